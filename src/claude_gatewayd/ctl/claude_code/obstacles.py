"""What keeps Claude Code from the gateway although settings.json points there, and where that is set.

settings.json beats the shell; a project's settings beat it, and managed settings beat all.
"""

import getpass
import json
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, Literal

from claude_gatewayd.ctl.claude_code import json_text
from claude_gatewayd.ctl.claude_code.destinations import (
    BASE_URL,
    BEDROCK_PATH,
    FRONT_MATTER,
    HEADERS,
    PROXIES,
    ROWS,
    SETTINGS,
    USE_BEDROCK,
    VARIABLES,
    Row,
    as_text,
    is_true,
    leads_to_bedrock_mode,
    models_elsewhere,
)
from claude_gatewayd.ctl.claude_code.json_text import NotStrict
from claude_gatewayd.ctl.claude_code.settings import HERE, GatewayTarget, excepts_all
from claude_gatewayd.paths import absolute, expanduser, home

Origin = Literal["shell", "start-up", "user", "project", "managed"]

CONFIGURE = "claude-gatewayctl configure-claude"
CONFIGURE_BEDROCK = f"{CONFIGURE} --bedrock"
_BEATEN = ("provider", "model", "credential", "mode")  # by settings.json, where a shell says otherwise
_LONGEST = 1024 * 1024
_NAMES = "|".join(VARIABLES)
_ASSIGNMENT = re.compile(
    rf"(?:^|[\s;&'\"(])(?:(?:set\s+-\S+|setenv)\s+({_NAMES})\s+|({_NAMES})=)(\"[^\"]*\"|'[^']*'|[^\s;'\"]*)"
)
_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n.*?^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_MODEL_LINE = re.compile(r"^model[ \t]*:[ \t]*[\"']?([^\"'\s#]+)", re.MULTILINE)
_DEFINITIONS = ("agents/**/*.md", "commands/**/*.md", "skills/*/SKILL.md")
_MOST_DEFINITIONS = 500  # in one place: nobody writes more, and a generator may
_CREDENTIAL_LINE = re.compile(
    r"^\s*(?:authorization\s*:\s*(?:bearer\s)?|x-api-key\s*:)\s*(\S+)", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing in the way: where it is written, the variable, why it matters, and what to type.

    *harmful* is False for what only may be, like a credential that is not the subscription's.
    """

    kind: Origin
    where: str
    name: str
    why: str
    hint: str
    harmful: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return the form it has as JSON."""
        return {"kind": self.kind, "where": self.where, "name": self.name, "why": self.why, "hint": self.hint,
                "harmful": self.harmful}  # fmt: skip


def judge(
    kind: Origin, where: str, name: str, value: Any, url: str, hint: str, *, pinned: bool = False, bedrock: bool = False
) -> Obstacle | None:
    """Return what a variable or a setting does there to a Claude Code that is to talk to *url*; None: no harm.

    *pinned*: managed settings lead to *url* themselves. *bedrock*: Claude Code is in Bedrock mode.
    """
    row = ROWS[name]
    if kind == "user" and row.kind in ("provider", "socket", "model"):
        hint = CONFIGURE_BEDROCK if bedrock else CONFIGURE
    text = as_text(value)
    if bedrock and (row.kind in ("address", "bedrock", "credential", "endpoint", "mode") or name == USE_BEDROCK):
        return _judge_bedrock_mode(kind, where, row, value, url, hint)
    match row.kind:
        case "address":
            return _judge_address(kind, where, text, url, hint)
        case "provider" if is_true(value):
            return Obstacle(kind, where, name, row.why, hint)
        case "launcher" if is_true(value) and kind in ("shell", "start-up"):  # in settings it does nothing
            return Obstacle(kind, where, name, row.why, hint)
        case "socket" if text:
            return Obstacle(kind, where, name, row.why, hint)
        case "model":
            return _judge_models(kind, where, row, value, hint, bedrock=bedrock)
        case "proxy" if text:
            return Obstacle(kind, where, name, row.why, CONFIGURE_BEDROCK if bedrock else CONFIGURE)
        case "endpoint" if kind == "managed":
            allowed = value if isinstance(value, list) else []  # as Claude Code takes what is no list
            return None if pinned and "customEndpoint" in allowed else Obstacle(kind, where, name, row.why, hint)
        case "credential":
            return _judge_credential(kind, where, name, text, hint)
        case "mode" if is_true(value) or (row.is_setting and text not in ("", "claudeai")):
            return Obstacle(kind, where, name, row.why, hint, harmful=False)
    return None


def _judge_bedrock_mode(kind: Origin, where: str, row: Row, value: Any, url: str, hint: str) -> Obstacle | None:
    """Judge what there is about Bedrock mode in settings that beat the person's own."""
    if kind not in ("project", "managed"):
        return None
    why = ""
    if row.name == USE_BEDROCK and not is_true(value):
        why = "it takes Claude Code out of Bedrock mode, and to Anthropic, not to the gateway"
    elif row.kind == "bedrock" and as_text(value).rstrip("/") != url + BEDROCK_PATH:
        why = "it overrides your own settings with another address"
    elif row.kind == "endpoint" and kind == "managed" and not (isinstance(value, list) and "bedrock" in value):
        why = 'Claude Code does not start in Bedrock mode: the list needs "bedrock"'
    return Obstacle(kind, where, row.name, why, hint) if why else None


def _judge_models(
    kind: Origin, where: str, row: Row, value: Any, hint: str, *, bedrock: bool = False
) -> Obstacle | None:
    found = sorted(models_elsewhere(row, value, bedrock=bedrock), key=lambda one: not one[1])
    return Obstacle(kind, where, row.name, found[0][0], hint, harmful=found[0][1]) if found else None


def _judge_address(kind: Origin, where: str, value: str, url: str, hint: str) -> Obstacle | None:
    if value.rstrip("/") == url or kind == "user":
        return None
    if kind in ("project", "managed"):
        return Obstacle(kind, where, BASE_URL, "it overrides your own settings with another address", hint)
    why = "it names another address; settings.json overrides it for Claude Code, but not for other programs"
    return Obstacle(kind, where, BASE_URL, why, hint, harmful=False)


def _judge_credential(kind: Origin, where: str, name: str, value: str, hint: str) -> Obstacle | None:
    if name == HEADERS:
        line = _CREDENTIAL_LINE.search(value)
        value = line[1] if line else ""
    if not value:
        return None
    why = ROWS[name].why
    if name not in ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", HEADERS) or value.startswith(("sk-ant-", "$")):
        return Obstacle(kind, where, name, why, hint, harmful=False)
    return Obstacle(kind, where, name, f"{why}, and it is not a credential of Anthropic's", hint)


def assignments(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield (line, name, value) of what a shell's start-up file sets: in sh, fish, csh, environment.d, an alias."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        for found in _ASSIGNMENT.finditer(line):
            yield number, found[1] or found[2], found[3].strip("\"'")


def in_settings(text: str) -> dict[str, Any]:
    """Return the variables that settings of Claude Code set, as text, and the settings of the table as they are.

    There are none where it is no JSON.
    """
    try:
        document = json_text.read(text).values()
    except NotStrict:
        return {}
    env = document.get("env")
    found = {name: as_text(value) for name, value in env.items()} if isinstance(env, dict) else {}
    found = {name: value for name, value in found.items() if name not in SETTINGS}
    return found | {name: document[name] for name in SETTINGS if document.get(name) is not None}


def read_settings(file: Path) -> dict[str, Any]:
    """Return what a settings file says, as `in_settings` does; none where there is no such file."""
    return in_settings(_text_of_settings(file))


def variables(file: Path) -> dict[str, str]:
    """Return the variables that a settings file sets; none where there is no such file."""
    return {name: value for name, value in read_settings(file).items() if name not in SETTINGS}


def in_effect(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that Claude Code finds in the person's settings and in managed ones, which go before."""
    found: dict[str, str] = {}
    for file in (settings_file(environ), *managed_files()):
        found |= variables(file)
    return found


def has_helper(file: Path) -> bool:
    """Say whether settings let a program of the person's own say the key."""
    return bool(read_settings(file).get("apiKeyHelper"))


def start_up_files(environ: Mapping[str, str]) -> list[Path]:
    """Return the files in which a shell or a session finds variables, whether they exist or not."""
    base = home(environ)
    zsh = Path(environ.get("ZDOTDIR") or base)
    xdg = Path(environ.get("XDG_CONFIG_HOME") or base / ".config")
    names = (".bashrc", ".bash_profile", ".bash_login", ".profile", ".bash_aliases", ".cshrc", ".tcshrc")
    files = [base / name for name in names]
    files += [zsh / name for name in (".zshenv", ".zprofile", ".zshrc", ".zlogin")]
    files += [xdg / "fish" / "config.fish", *_sorted(xdg / "fish" / "conf.d", "*.fish")]
    files += [*_sorted(xdg / "environment.d", "*.conf"), base / ".pam_environment"]
    files += [Path("/etc/environment"), Path("/etc/profile"), *_sorted(Path("/etc/profile.d"), "*.sh")]
    return files


def project_files(directory: Path, environ: Mapping[str, str]) -> list[Path]:
    """Return the settings that a Claude Code in *directory* finds before the person's own, the strongest first."""
    top = home(environ)
    found = []
    for place in (directory, *directory.parents):
        if place in (top, Path("/")):
            break
        found += [place / ".claude" / name for name in ("settings.local.json", "settings.json")]
    return found


def definition_files(own: Path, directory: Path, environ: Mapping[str, str]) -> Iterator[tuple[Origin, Path]]:
    """Yield the agents, commands and skills that a Claude Code in *directory* finds; *own* is the settings.json."""
    projects = [file.parent for file in project_files(directory, environ) if file.name == own.name]
    places: list[tuple[Origin, Path]] = [("user", own.parent)]
    places += [("project", place) for place in projects if place != own.parent]
    for kind, place in places:
        for pattern in _DEFINITIONS:
            yield from ((kind, file) for file in _sorted(place, pattern)[:_MOST_DEFINITIONS])


def front_matter_model(text: str) -> tuple[int, str] | None:
    """Return (line, model) of the front matter of an agent, a command or a skill."""
    head = _FRONT_MATTER.match(text)
    found = _MODEL_LINE.search(head[0]) if head else None
    return (text.count("\n", 0, found.start()) + 1, found[1]) if found else None


def managed_files() -> list[Path]:
    """Return the settings of whoever manages this machine, which go before all others."""
    is_mac = sys.platform == "darwin"
    base = Path("/Library/Application Support/ClaudeCode" if is_mac else "/etc/claude-code")
    files = [base / "managed-settings.json", *_sorted(base / "managed-settings.d", "*.json")]
    return files + _managed_preferences() if is_mac else files


def _managed_preferences() -> list[Path]:
    """Return what a company's management of Macs pushes, for this person and for all."""
    base, name = Path("/Library/Managed Preferences"), "com.anthropic.claudecode.plist"
    try:
        return [base / getpass.getuser() / name, base / name]
    except (KeyError, OSError):  # nobody's uid
        return [base / name]


def settings_file(environ: Mapping[str, str]) -> Path:
    """Return the person's settings.json, whether it exists or not."""
    named = environ.get("CLAUDE_CONFIG_DIR")
    base = absolute(expanduser(named, environ)) if named else home(environ) / ".claude"
    return base / "settings.json"


def find(
    environ: Mapping[str, str],
    directory: Path,
    url: str,
    planned: str | None = None,
    managed: Iterable[Path] | None = None,
) -> list[Obstacle]:
    """Return all that is in the way of a Claude Code that starts in *directory* and is to talk to *url*.

    *planned* is what the person's settings.json is going to be, where that is not what it is; *managed* are the files
    of managed settings, where they are not this machine's.
    """
    own = settings_file(environ)
    settings = [
        (kind, file, in_settings(planned if kind == "user" and planned is not None else _text_of_settings(file)))
        for kind, file in _settings(own, directory, environ, managed_files() if managed is None else managed)
    ]
    user = next((values for kind, _, values in settings if kind == "user"), {})
    no_proxy = user.get("no_proxy") or user.get("NO_PROXY") or ""
    # a gateway elsewhere may well be behind a proxy
    round_it = excepts_all(no_proxy, HERE) or not GatewayTarget(url, "").hosts
    bedrock = leads_to_bedrock_mode({**environ, **user}, url)
    pinned = any(kind == "managed" and values.get(BASE_URL, "").rstrip("/") == url for kind, _, values in settings)
    beaten = {
        name
        for name, value in user.items()
        if name in ROWS
        and ROWS[name].kind in _BEATEN
        and judge("user", str(own), name, value, url, "", bedrock=bedrock) is None
    }
    found: list[Obstacle | None] = []

    def add(kind: Origin, where: str, name: str, value: Any, hint: str) -> None:
        if (
            name in ROWS
            and not (name in PROXIES and round_it)
            and not (kind in ("shell", "start-up") and name in beaten)
        ):
            found.append(judge(kind, where, name, value, url, hint, pinned=pinned, bedrock=bedrock))

    for kind, file, values in settings:
        for name, value in values.items():
            add(kind, str(file), name, value, f"${{EDITOR:-vi}} {quote(str(file))}")
    for kind, file in definition_files(own, directory, environ):
        if (pin := front_matter_model(_text(file))) is not None:
            hint = f"${{EDITOR:-vi}} +{pin[0]} {quote(str(file))}"
            found.append(_judge_models(kind, f"{file}:{pin[0]}", FRONT_MATTER, pin[1], hint, bedrock=bedrock))
    for name in VARIABLES:
        if name in environ:
            add("shell", "this shell", name, environ[name], f"unset {name}")
    seen = set()
    for file in start_up_files(environ):
        if (real := os.path.realpath(file)) in seen:
            continue
        seen.add(real)
        for line, name, value in assignments(_text(file)):
            add("start-up", f"{file}:{line}", name, value, f"${{EDITOR:-vi}} +{line} {quote(str(file))}")
    return [one for one in found if one is not None]


def proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies that start-up files set: other terminals have them, if this shell has not."""
    found: dict[str, str] = {}
    for file in start_up_files(environ):
        found |= {name: value for _, name, value in assignments(_text(file)) if name in PROXIES and value}
    return found


def _settings(
    own: Path, directory: Path, environ: Mapping[str, str], managed: Iterable[Path]
) -> Iterable[tuple[Origin, Path]]:
    yield "user", own
    for file in project_files(directory, environ):
        if file != own:
            yield "project", file
    for file in managed:
        yield "managed", file


def _text(file: Path) -> str:
    """Return what a plain file holds; "" for anything else: a start-up file may be a pipe of some password manager."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            return ""
        with file.open("rb") as opened:
            return opened.read(_LONGEST).decode("utf-8-sig", errors="replace")
    except (OSError, ValueError):
        return ""


def _text_of_settings(file: Path) -> str:
    if file.suffix != ".plist":
        return _text(file)
    import plistlib  # here, for few have such a file
    from xml.parsers.expat import ExpatError

    try:
        return json.dumps(plistlib.loads(file.read_bytes()), default=str)
    except (OSError, ValueError, plistlib.InvalidFileException, ExpatError):
        return ""


def _sorted(directory: Path, pattern: str) -> list[Path]:
    try:
        return sorted(directory.glob(pattern))
    except OSError:
        return []
