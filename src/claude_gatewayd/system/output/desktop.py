"""The commands that show a notification: programs that come with the desktop, or that a person has added."""

from collections.abc import Mapping

_APP = "claude-gateway"
# The texts are arguments of the script, so that nothing in them is ever run as AppleScript.
_SCRIPT = (
    "on run argv",
    "display notification (item 2 of argv) with title (item 1 of argv)",
    "end run",
)
# To macOS, what osascript shows comes from Script Editor, and is dropped without a word until that may show something.
ALLOW_ON_MACOS = "open 'x-apple.systempreferences:com.apple.Notifications-Settings.extension'"


def commands(title: str, body: str, environ: Mapping[str, str], platform: str, *, urgent: bool) -> list[list[str]]:
    """Return the commands that can show a notification, the best first."""
    if platform == "darwin":
        return _on_macos(title, body, environ)
    import html  # here, for it has half a megabyte of entities, and few workers show any

    found = []
    markup = html.escape(body, quote=False)  # the notification specification: a body may hold markup
    icon, urgency, number = ("dialog-warning", "critical", 2) if urgent else ("dialog-information", "normal", 1)
    if _is_installed("notify-send", environ):
        shown = markup.replace("\\", "\\\\")  # notify-send interprets \n and the like
        found.append(
            ["notify-send", f"--app-name={_APP}", f"--icon={icon}", f"--urgency={urgency}", "--", title, shown]
        )
    if _is_installed("gdbus", environ):
        found.append(_by_gdbus(icon, title, markup, number))
    return found


def _on_macos(title: str, body: str, environ: Mapping[str, str]) -> list[list[str]]:
    script = [part for line in _SCRIPT for part in ("-e", line)]
    found = {
        # an application of its own: it has a permission of its own, and asks for it
        "terminal-notifier": ["-group", _APP, "-title", title, "-message", body],
        "osascript": [*script, title, body],
    }
    return [[program, *arguments] for program, arguments in found.items() if _is_installed(program, environ)]


def _by_gdbus(icon: str, title: str, body: str, urgency: int) -> list[str]:
    return [
        *("gdbus", "call", "--session", "--timeout", "4", "--dest", "org.freedesktop.Notifications"),
        *("--object-path", "/org/freedesktop/Notifications", "--method", "org.freedesktop.Notifications.Notify"),
        *(_gvariant(_APP), "uint32 0", _gvariant(icon), _gvariant(title), _gvariant(body)),
        *("@as []", f"{{'urgency': <byte {urgency}>}}", "int32 -1"),
    ]


def _gvariant(text: str) -> str:
    """Quote a text for gdbus, which would take an unquoted one for another type if it looks like it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _is_installed(program: str, environ: Mapping[str, str]) -> bool:
    import shutil  # here, for it loads compressors

    return shutil.which(program, path=environ.get("PATH")) is not None
