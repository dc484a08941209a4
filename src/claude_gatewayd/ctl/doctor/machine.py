"""Checks of what is on this machine: the daemon, its port, its service, its configuration, LiteLLM, the disk. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import Any, NamedTuple

from claude_gatewayd.ctl.doctor.finding import Finding, Status, ok
from claude_gatewayd.problem import Problem
from claude_gatewayd.system.ports import Holder

DISK_FAIL, DISK_NOTE = 100 * 2**20, 2**30
LARGEST_REQUEST = 32 * 2**20


def daemon(status: Status | None, why_not: str, mine: str, *, installed: bool, mend: str = "") -> Iterator[Finding]:
    """Judge whether the daemon runs, serves, and is of this version. *installed*: as a service.

    *mend* is the command for *why_not*, "" if it has to be started.
    """
    if status is None:
        start = "claude-gatewayctl start" if installed else "claude-gatewayctl setup"
        why = "nothing answers at the gateway's address"
        yield Finding("daemon", "fail", why_not, why, mend or start, "" if mend else "start")
        return
    problems = "; ".join(f"{one['where']}: {one['message']}" for one in status["problems"])
    if status["state"] == "serving":
        yield ok("daemon", f"serving on {status['address']} (pid {status['pid']})")
    else:
        yield Finding(
            "daemon", "fail", f"is {status['state']}", problems or "no generation is serving",
            "claude-gatewayctl config check" if problems else "claude-gatewayctl logs",
        )  # fmt: skip
    if status["version"] != mine:
        yield Finding(
            "version", "note", f"the daemon is {status['version']}, this is {mine}",
            "an upgrade takes effect with a new generation", "claude-gatewayctl restart",
        )  # fmt: skip


def port(
    status: Status | None, url: str, holder: Holder | None, answer: str, impostor: tuple[str, str] = ("", "")
) -> Iterator[Finding]:
    """Judge who has the port. *holder* is who listens on it, *answer* what came of a request, "" for an answer.

    *impostor* describes who answers without proof of being ours, with the command against it.
    """
    if impostor[0]:
        yield Finding(
            "port", "fail", f"{url} is not yours: {impostor[0]}", "it gets all that is sent there", impostor[1]
        )
    elif status is None and holder is not None and holder.name == "claude-gatewayd":
        yield Finding(
            "port", "fail", f"{url} is served by {holder}, which this shell cannot reach",
            "it was started with another XDG_RUNTIME_DIR or HOME",
            "XDG_RUNTIME_DIR=/run/user/$(id -u) claude-gatewayctl status",
        )  # fmt: skip
    elif status is not None and answer:
        yield Finding(
            "port", "fail", f"{url} does not answer: {answer}", "the daemon is running, but a request gets no answer",
            "claude-gatewayctl status",
        )  # fmt: skip
    elif status is not None:
        yield ok("port", f"{url} answers")


class ServiceReport(NamedTuple):
    """How the service is with its manager. *cannot* says why that one cannot be asked, with *hint*.

    *leads_to* is what it starts, without symlinks, "" where that is gone; *upgraded* says that `upgrade` has built it.
    *trouble* keeps it from running. *lingers*
    and *moves_streams* are None where there is no such thing.
    """

    file: str = ""
    starts: str = ""
    leads_to: str = ""
    active: bool = False
    enabled: bool = True
    stale: bool = False
    trouble: str = ""
    hint: str = ""
    cannot: str = ""
    lingers: bool | None = None
    moves_streams: bool | None = None
    upgraded: bool = False
    sandbox: str = ""


def sandbox(file: str, profile: str) -> Iterator[Finding]:
    """Judge a sandbox, which *file* makes, where the keys of *profile* come from a credential_process."""
    if file and profile:
        yield Finding(
            "service", "note", f"has a sandbox, which the credential_process of profile {profile} may not survive",
            "no program in a sandbox may gain privileges, as op, sudo and snaps do",
            f"rm {quote(file)}; claude-gatewayctl install",
        )  # fmt: skip


def service(found: ServiceReport, program: str, status: Status | None) -> Iterator[Finding]:
    """Judge the service. *program* is this installation's daemon, without symlinks."""
    if found.cannot:
        why = f"{found.cannot}; the daemon does not come back after a reboot"
        yield Finding("service", "note", "cannot be installed", why, found.hint)
        return
    if not found.file and not found.trouble.endswith("masked"):
        yield Finding(
            "service", "note", "is not installed", "the daemon stops with your session, and nothing restarts it",
            "claude-gatewayctl install",
        )  # fmt: skip
        return
    if found.trouble:
        yield Finding("service", "fail", "cannot run", found.trouble, found.hint)
    elif found.upgraded and found.leads_to not in ("", program):
        yield ok("service", f"{found.file} starts the upgraded version, {found.leads_to}")
    elif found.leads_to != program:
        why = f"it starts {found.starts}" + ("" if found.leads_to else ", which does not exist")
        yield Finding(
            "service", "fail", f"{found.file} belongs to another installation", why, "claude-gatewayctl install"
        )
    elif found.stale:
        why = "its files have changed since the service manager read them"
        yield Finding("service", "note", "is out of date", why, "claude-gatewayctl install")
    else:
        yield ok("service", f"{found.file} starts this installation")
    if not found.enabled and found.file:
        yield Finding(
            "service", "fail", "is not enabled", "it does not start when you log in", "claude-gatewayctl enable"
        )
    if status is not None and not status["inherited"] and not found.active:
        yield Finding(
            "service", "note", "is not running: the daemon was started by hand",
            "if the daemon stops, nothing restarts it", "claude-gatewayctl install --now",
        )  # fmt: skip
    if found.lingers is False:
        yield Finding(
            "service", "note", "stops when you log out", "it is gone for SSH sessions and jobs that outlive your login",
            "claude-gatewayctl install --linger",
        )  # fmt: skip
    if found.moves_streams is False:
        yield Finding(
            "service", "note", "has no message bus", "a restart waits for open streams instead of moving them aside",
            "sudo apt-get install dbus-user-session",
        )  # fmt: skip


_ENDING = ("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN")
_MAY_DIFFER = ("PATH", "TZ")


def environment(daemon: Mapping[str, str], shell: Mapping[str, str], *, by_service: bool) -> Iterator[Finding]:
    """Judge the environment of the running daemon, {} where it cannot be seen, beside what a shell would hand on."""
    if not daemon:
        return
    again = "claude-gatewayctl install" if by_service else "claude-gatewayctl stop"
    if all(daemon.get(name) for name in _ENDING):
        mend = f"systemctl --user unset-environment {' '.join(_ENDING)}; claude-gatewayctl restart"
        yield Finding(
            "environment", "fail", "the daemon was started with temporary AWS keys",
            "they expire within hours, and while they are set no profile is used",
            mend if by_service else f"unset {' '.join(_ENDING)}; claude-gatewayctl stop",
        )  # fmt: skip
    other = [name for name, value in shell.items() if name not in _MAY_DIFFER and daemon.get(name, "") != value]
    if other:
        why = "the daemon uses its own environment; this command copies this shell's"
        why = why if by_service else "the daemon uses its own environment; start it again from this shell"
        yield Finding("environment", "note", f"this shell differs from the daemon's in {', '.join(other)}", why, again)
    elif not all(daemon.get(name) for name in _ENDING):
        yield ok("environment", "the daemon's matches this shell's where it matters")


def configuration(
    problems: Sequence[Problem], file: str, changed_at: float, status: Status | None
) -> Iterator[Finding]:
    """Judge config.toml, and whether the daemon has it as it is now."""
    for problem in problems:
        hint = f"{problem.message}; {problem.hint}" if problem.hint else problem.message
        yield Finding("configuration", "fail", problem.where, hint, "claude-gatewayctl config check")
    last = status["last_reload"] if status is not None else None
    if last is not None and not last["applied"]:
        refusal = "; ".join(f"{one['where']}: {one['message']}" for one in last["problems"])
        yield Finding("configuration", "fail", "the last reload was refused", refusal, "claude-gatewayctl reload")
    if problems or status is None or status["config"]["loaded_at"] is None:
        if not problems:
            yield ok("configuration", file or "built-in defaults")
        return
    loaded = status["config"]["path"] or ""
    if loaded != file:
        yield Finding(
            "configuration", "fail", f"the daemon uses {loaded or 'built-in defaults'}, this shell {file or 'no file'}",
            "CLAUDE_GATEWAY_CONFIG, XDG_CONFIG_HOME or HOME differ, or the file is new",
            "claude-gatewayctl reload", "reload",
        )  # fmt: skip
    elif changed_at > status["config"]["loaded_at"]:
        yield Finding(
            "configuration", "note", f"{file} has changed since it was loaded",
            "the daemon still uses the earlier version", "claude-gatewayctl reload", "reload",
        )  # fmt: skip
    else:
        yield ok("configuration", f"{file or 'built-in defaults'}, up to date")


def limits(max_body: int) -> Iterator[Finding]:
    """Judge limits that are lower than what Claude Code sends."""
    if max_body < LARGEST_REQUEST:
        yield Finding(
            "configuration", "note", f"[listen] max_body is {max_body} bytes", "Anthropic accepts up to 32 MB",
            "claude-gatewayctl config unset listen.max_body",
        )  # fmt: skip


_WITHOUT = "Bedrock is asked directly meanwhile; OpenAI's routes and models of your own are not served"


def litellm(
    installed: str, pinned: str, status: Status | None, tried: Mapping[str, Any] | None = None
) -> Iterator[Finding]:
    """Judge LiteLLM, a configuration of the person's own for it, and callbacks.

    *tried* is what came of loading it here, where no worker has.
    """
    again = "claude-gatewayctl upgrade"
    if not installed:
        yield Finding("LiteLLM", "fail", "is not installed", _WITHOUT, again)
    elif pinned and installed != pinned:
        why = f"this version of the gateway is tested with {pinned} only"
        yield Finding("LiteLLM", "fail", f"{installed} is installed", why, again)
    how: Mapping[str, Any] = tried or (status["litellm"] if status is not None else {"state": "off"})
    if how["state"] == "failed":
        yield Finding("LiteLLM", "fail", "cannot be loaded", f"{how['why']}; {_WITHOUT}", again)
    elif how["state"] == "ready" and how.get("why"):
        yield Finding("LiteLLM", "fail", "does not respond", f"{how['why']}; {_WITHOUT}", "claude-gatewayctl reload")
    elif installed and installed == (pinned or installed):
        words = {"ready": "loaded", "loadable": "can be loaded", "loading": "is being loaded"}
        yield ok("LiteLLM", f"{installed}, {words.get(how['state'], 'not loaded yet (doctor --deep tries it)')}")
    for problem in (how.get("config") or {}).get("problems", ()):
        why = f"{problem['message']}; {problem['hint']}" if problem["hint"] else problem["message"]
        yield Finding("LiteLLM config", "note", problem["where"], why, "claude-gatewayctl reload")
    for callback in how.get("callbacks", ()):
        if callback["loaded"]:
            yield ok("callback", callback["name"])
        else:
            mend = callback.get("hint") or "claude-gatewayctl reload"  # a worker of an older version sends none
            yield Finding("callback", "fail", f"{callback['name']} is not loaded", callback["why"], mend)


INSTALLATION = "the installation"
_PROTECTED = ("Documents", "Desktop", "Downloads", "Library/Mobile Documents")


def protected(home: str, used: Mapping[str, str]) -> Iterator[Finding]:
    """Judge what an agent uses, each with its path: macOS may refuse agents a person's own folders."""
    for what, path in used.items():
        folder = next((one for one in _PROTECTED if path.startswith(f"{home}/{one}/")), "")
        if folder:
            found = f"{what} is in ~/{folder}: {path}"
            why = "macOS may refuse an agent that folder (Privacy & Security > Files and Folders)"
            mend = "make install" if what == INSTALLATION else f"mv {quote(path)} ~/    # and name its new place"
            yield Finding("service", "note", found, why, mend)


def disk(free: int, place: str) -> Iterator[Finding]:
    """Judge the room that is left where state is kept."""
    room = f"{free / 2**20:.0f} MiB free in {place}"
    if free >= DISK_NOTE:
        yield ok("disk", f"{free / 2**30:.0f} GiB free in {place}")
    else:
        state = "fail" if free < DISK_FAIL else "note"
        yield Finding(
            "disk",
            "fail" if state == "fail" else "note",
            room,
            "state cannot be saved",
            f"df -h {quote(place)}",
        )


class Mode(NamedTuple):
    """A path of ours, with the permission bits that it has, those that it may have, and whether it is ours."""

    path: str
    bits: int
    may: int
    ours: bool


def permissions(modes: Sequence[Mode]) -> Iterator[Finding]:
    """Judge who can read what is ours alone."""
    good = True
    for one in modes:
        if not one.ours:
            why = "only your own files can be trusted"
            yield Finding(
                "permissions", "fail", f"{one.path} belongs to another user", why, f"ls -ld {quote(one.path)}"
            )
        elif one.bits & ~one.may:
            mend = f"chmod {one.may:o} {quote(one.path)}"
            found = f"{one.path} has mode {one.bits:o}"
            yield Finding(
                "permissions", "fail", found, "other users can access private files", mend, "private", one.path
            )
        else:
            continue
        good = False
    if good and modes:
        yield ok("permissions", "private files are private")
