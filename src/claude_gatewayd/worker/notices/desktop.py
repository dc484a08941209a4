"""Notifications on the desktop, by the programs that come with it. Best effort: a server has no desktop."""

import html
import os
import shutil
import sys
from collections.abc import Mapping

from claude_gatewayd.worker.notices import run_command
from claude_gatewayd.worker.notices.notice import Notice

_TIMEOUT = 5.0  # seconds
_APP = "claude-gateway"
# The texts are arguments of the script, so that nothing in them is ever run as AppleScript.
_SCRIPT = (
    "on run argv",
    "display notification (item 2 of argv) with title (item 1 of argv)",
    "end run",
)


async def show(notice: Notice, environ: Mapping[str, str]) -> str:
    """Show a notification if there seems to be a desktop. Return why it failed, "" if it did not."""
    if sys.platform != "darwin" and not _has_bus(environ):
        return ""
    failed = "neither notify-send nor gdbus is installed" if sys.platform != "darwin" else "osascript is not installed"
    for argv in commands_for(notice, environ, sys.platform):
        why = await run_command.run(argv, run_command.allowed_environment(environ), _TIMEOUT, log_stderr=False)
        if not why:
            return ""
        failed = f"{argv[0]}: {why}"
    return failed


def commands_for(notice: Notice, environ: Mapping[str, str], platform: str) -> list[list[str]]:
    """Return the commands that can show a notice, the best first."""
    body = f"{notice.message}\n{notice.hint}" if notice.hint else notice.message
    if platform == "darwin":
        script = [part for line in _SCRIPT for part in ("-e", line)]
        return [["osascript", *script, notice.title, body]] if _is_installed("osascript", environ) else []
    commands = []
    markup = html.escape(body, quote=False)  # the notification specification: a body may hold markup
    icon, urgency, number = (
        ("dialog-warning", "critical", 2) if notice.is_urgent else ("dialog-information", "normal", 1)
    )
    if _is_installed("notify-send", environ):
        shown = markup.replace("\\", "\\\\")  # notify-send interprets \n and the like
        commands.append(
            ["notify-send", f"--app-name={_APP}", f"--icon={icon}", f"--urgency={urgency}", "--", notice.title, shown]
        )
    if _is_installed("gdbus", environ):
        commands.append(_by_gdbus(icon, notice.title, markup, number))
    return commands


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
    return shutil.which(program, path=environ.get("PATH")) is not None


def _has_bus(environ: Mapping[str, str]) -> bool:
    if environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return True
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    return bool(runtime) and os.path.exists(os.path.join(runtime, "bus"))
