"""Checks of what is on this machine: the daemon, its port, its service, its configuration, LiteLLM, the disk. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import Any, NamedTuple

from claude_gatewayd.doctor.finding import Finding, Status, ok
from claude_gatewayd.model import Problem

DISK_FAIL, DISK_NOTE = 100 * 2**20, 2**30


def daemon(status: Status | None, why_not: str, mine: str) -> Iterator[Finding]:
    """Judge whether the daemon runs, serves, and is of this version."""
    if status is None:
        yield Finding(
            "daemon", "fail", why_not, "Claude Code finds nobody at the gateway's address",
            "claude-gatewayctl start", "start",
        )  # fmt: skip
        return
    problems = "; ".join(f"{one['where']}: {one['message']}" for one in status["problems"])
    if status["state"] == "serving":
        yield ok("daemon", f"serves on {status['address']} (pid {status['pid']})")
    else:
        yield Finding(
            "daemon", "fail", f"is {status['state']}", problems or "no generation serves",
            "claude-gatewayctl config check" if problems else "claude-gatewayctl logs",
        )  # fmt: skip
    if status["version"] != mine:
        yield Finding(
            "version", "note", f"the daemon is {status['version']}, this is {mine}",
            "an upgrade counts when a new generation serves", "claude-gatewayctl restart",
        )  # fmt: skip


def port(status: Status | None, url: str, holder: str, answer: str) -> Iterator[Finding]:
    """Judge who has the port. *holder* is who listens on it, *answer* what came of a request, "" for an answer."""
    if status is None and holder.startswith("claude-gatewayd "):
        yield Finding(
            "port", "fail", f"{url} is served by {holder}, which this shell does not find",
            "it was started with another XDG_RUNTIME_DIR or HOME",
            "XDG_RUNTIME_DIR=/run/user/$(id -u) claude-gatewayctl status",
        )  # fmt: skip
    elif status is None and holder:
        yield Finding(
            "port", "fail", f"{url} is taken by {holder}", "claude-gatewayd cannot listen there",
            "claude-gatewayctl config set listen.port 47001",
        )  # fmt: skip
    elif status is not None and answer:
        yield Finding(
            "port", "fail", f"{url} does not answer: {answer}", "the daemon runs, and a request does not get through",
            "claude-gatewayctl status",
        )  # fmt: skip
    elif status is not None:
        yield ok("port", f"{url} answers")


class Unit(NamedTuple):
    """What is installed: the unit's or agent's file, what it starts, where that leads, and what keeps it alive."""

    file: str
    starts: str
    leads_to: str
    enabled: bool
    lingers: bool | None


def unit(found: Unit | None, program: str) -> Iterator[Finding]:
    """Judge the service. *program* is this installation's daemon, *leads_to* and it without symlinks."""
    if found is None:
        yield Finding(
            "service", "note", "is not installed", "the daemon ends with your session, and nobody starts it again",
            "claude-gatewayctl install",
        )  # fmt: skip
        return
    if found.leads_to != program:
        why = f"it starts {found.starts}" + ("" if found.leads_to else ", which does not exist")
        yield Finding("service", "fail", f"{found.file} is of another installation", why, "claude-gatewayctl install")
    else:
        yield ok("service", f"{found.file} starts this installation")
    if not found.enabled:
        yield Finding(
            "service", "fail", "is not enabled", "nobody starts it when you log in", "claude-gatewayctl enable"
        )
    if found.lingers is False:
        yield Finding(
            "service", "note", "ends when you log out", "over SSH, or in a job that outlives your login, it is gone",
            "loginctl enable-linger",
        )  # fmt: skip


def configuration(
    problems: Sequence[Problem], file: str, changed_at: float, status: Status | None
) -> Iterator[Finding]:
    """Judge config.toml, and whether the daemon has it as it is now."""
    for problem in problems:
        hint = f"{problem.message}; {problem.hint}" if problem.hint else problem.message
        yield Finding("configuration", "fail", problem.where, hint, "claude-gatewayctl config check")
    if problems or status is None or status["config"]["loaded_at"] is None:
        if not problems:
            yield ok("configuration", file or "built-in defaults")
        return
    loaded = status["config"]["path"] or ""
    if loaded != file:
        yield Finding(
            "configuration", "fail", f"the daemon has {loaded or 'built-in defaults'}, this shell {file or 'no file'}",
            "they look in different places: CLAUDE_GATEWAY_CONFIG, XDG_CONFIG_HOME or HOME differ, or it is new",
            "claude-gatewayctl reload", "reload",
        )  # fmt: skip
    elif changed_at > status["config"]["loaded_at"]:
        yield Finding(
            "configuration", "note", f"{file} has changed since it was loaded", "the daemon goes by what it was before",
            "claude-gatewayctl reload", "reload",
        )  # fmt: skip
    else:
        yield ok("configuration", f"{file or 'built-in defaults'}, loaded as it is")


def litellm(installed: str, pinned: str, status: Status | None) -> Iterator[Finding]:
    """Judge LiteLLM, a configuration of the person's own for it, and callbacks."""
    again = "claude-gatewayctl upgrade"
    if not installed:
        yield Finding("LiteLLM", "fail", "is not installed", "Bedrock cannot step in without it", again)
    elif pinned and installed != pinned:
        why = f"this version of the gateway was built for {pinned}, and tested with no other"
        yield Finding("LiteLLM", "fail", f"{installed} is installed", why, again)
    how: Mapping[str, Any] = status["litellm"] if status is not None else {"state": "off"}
    if how["state"] == "failed":
        yield Finding("LiteLLM", "fail", "cannot be loaded", str(how["why"]), again)
    elif installed and installed == (pinned or installed):
        yield ok("LiteLLM", f"{installed}, {'loaded' if how['state'] == 'ready' else 'not loaded yet'}")
    for problem in (how.get("config") or {}).get("problems", ()):
        why = f"{problem['message']}; {problem['hint']}" if problem["hint"] else problem["message"]
        yield Finding("LiteLLM config", "note", problem["where"], why, "claude-gatewayctl reload")
    for callback in how.get("callbacks", ()):
        if callback["loaded"]:
            yield ok("callback", callback["name"])
        else:
            mend = "claude-gatewayctl reload"
            yield Finding("callback", "fail", f"{callback['name']} is not loaded", callback["why"], mend)


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
            "what is learned cannot be kept",
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
                "permissions", "fail", found, "others can reach what is yours alone", mend, "private", one.path
            )
        else:
            continue
        good = False
    if good and modes:
        yield ok("permissions", "what is yours alone is yours alone")
