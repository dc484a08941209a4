"""Each check as a pure function of what has been gathered: findings, with the reason and the command that mends it."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from shlex import quote
from typing import Any, NamedTuple

from claude_gatewayd.claude_code.obstacles import Obstacle
from claude_gatewayd.doctor.finding import Finding, ok
from claude_gatewayd.model import Problem

Status = Mapping[str, Any]

CLOCK_MAY_DIFFER = 240.0  # AWS refuses signatures at five minutes
LOGIN_ENDS_SOON = 3600.0
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


class Reached(NamedTuple):
    """How far a connection to Anthropic came: to *failed* ("" for an answer), with *why*; *skew* of the clock."""

    host: str
    way: str
    failed: str
    why: str
    skew: float | None


_MENDS = {
    "name": "ping -c 1 {host}",
    "connection": "curl -sv -o /dev/null https://{host}/",
    "time": "curl -sv -o /dev/null https://{host}/",
    "certificate": "claude-gatewayctl config set anthropic.ca_file ~/company-ca.pem",
    "proxy": "claude-gatewayctl config set anthropic.proxy http://USER:PASSWORD@PROXY:3128",
}
_SAYS = {
    "name": "its name cannot be resolved: this machine seems to be offline",
    "connection": "it cannot be connected to",
    "time": "it does not answer in time",
    "certificate": "its certificate is not trusted: a company that inspects TLS, mostly",
    "proxy": "the proxy does not let it through",
}


def anthropic(reached: Reached, status: Status | None) -> Iterator[Finding]:
    """Judge the way to Anthropic: name, connection, certificate, proxy; and the clock by its answer."""
    if reached.failed:
        why = f"{_SAYS[reached.failed]} ({reached.why})"
        yield Finding(
            "Anthropic", "fail", f"{reached.host}{reached.way}", why, _MENDS[reached.failed].format(host=reached.host)
        )
    else:
        yield ok("Anthropic", f"{reached.host} answers{reached.way}")
    if reached.skew is not None and abs(reached.skew) > CLOCK_MAY_DIFFER:
        ahead = "fast" if reached.skew > 0 else "slow"
        yield Finding(
            "clock", "fail", f"is {abs(reached.skew) / 60:.0f} minutes {ahead}", "AWS refuses what is signed now",
            "sudo timedatectl set-ntp true",
        )  # fmt: skip
    elif reached.skew is not None:
        yield ok("clock", f"right within {max(1, round(abs(reached.skew)))} s")
    how = status["anthropic"] if status is not None else {"state": "unknown"}
    if how["state"] == "failing" and not reached.failed:
        yield Finding(
            "Anthropic", "note", f"the last request failed: {how['failure']}", "Bedrock answers instead, where it can",
            "claude-gatewayctl status",
        )  # fmt: skip


class Login(NamedTuple):
    """What Claude Code is signed in with: *kind* "" for nothing, *place* where that is, *ends* when."""

    kind: str
    place: str
    ends: float | None = None


def credential(login: Login, now: float) -> Iterator[Finding]:
    """Judge what the client brings; what it is worth, only Anthropic can say."""
    if not login.kind:
        yield Finding(
            "credential", "fail", "Claude Code has none", "the gateway passes the caller's own on, and has none itself",
            "claude /login",
        )  # fmt: skip
    elif login.ends is not None and login.ends < now:
        yield Finding(
            "credential",
            "note",
            f"{login.kind} ({login.place}) has ended",
            "Claude Code renews it when it starts",
            "claude",
        )
    else:
        yield ok("credential", f"{login.kind} ({login.place})")


def obstacles(found: Iterable[Obstacle], in_service: Sequence[str]) -> Iterator[Finding]:
    """Judge variables in the shell, in start-up files, in settings, and in the running service."""
    clear = True
    for one in found:
        clear = clear and not one.harmful
        yield Finding("variables", "fail" if one.harmful else "note", f"{one.name} in {one.where}", one.why, one.hint)
    for name in in_service:
        yield Finding(
            "variables", "note", f"{name} in the running service", "what started it has it, and so may your terminals",
            f"systemctl --user unset-environment {name}",
        )  # fmt: skip
    if clear:
        yield ok("variables", "nothing leads Claude Code elsewhere")


def client(path: str, version: str) -> Iterator[Finding]:
    """Judge whether Claude Code is there."""
    if not path:
        mend = "npm install --global @anthropic-ai/claude-code"
        yield Finding("Claude Code", "fail", "is not on the PATH", "there is nobody to serve", mend)
    elif not version:
        yield Finding(
            "Claude Code", "fail", f"{path} does not say its version", "it does not start", f"{quote(path)} --version"
        )
    else:
        yield ok("Claude Code", f"{version}, {path}")


class OwnSettings(NamedTuple):
    """What settings.json says: *broken* why it cannot be read, the base URL, and whether the gateway key is sent."""

    file: str
    broken: str = ""
    points_at: str = ""
    has_key: bool = False


def settings(own: OwnSettings, shell: str, url: str, *, remote: bool) -> Iterator[Finding]:
    """Judge settings.json. *shell* is the base URL of this shell; *remote*: the gateway asks callers for its key."""
    mend = "claude-gatewayctl configure-claude"
    if own.broken:
        why = "Claude Code ignores such a file as a whole"
        yield Finding("settings", "fail", own.broken, why, f"${{EDITOR:-vi}} {quote(own.file)}")
    elif own.points_at.rstrip("/") == url and own.has_key:
        yield ok("settings", f"{own.file} points here")
    elif own.points_at.rstrip("/") == url:
        why = "Bedrock steps in only for a credential that Anthropic has accepted before"
        why = "remote = true is set: without the key each request is answered by 401" if remote else why
        found = f"{own.file} points here, without the gateway key"
        yield Finding("settings", "fail" if remote else "note", found, why, mend, "configure-claude")
    elif not own.points_at and shell.rstrip("/") == url:
        why = "a Claude Code that is started elsewhere goes around the gateway"
        yield Finding("settings", "note", "only this shell points here", why, mend, "configure-claude")
    else:
        found = f"points at {own.points_at}" if own.points_at else "does not point here"
        why = "Claude Code goes around the gateway"
        yield Finding("settings", "fail", f"{own.file} {found}", why, mend, "configure-claude")


def bedrock(status: Status | None, kind: str, told: str, why: str, hint: str, now: float) -> Iterator[Finding]:
    """Judge Bedrock: where keys come from (*kind*, *told*), what the daemon knows of them, and the last answers."""
    if kind == "none":
        yield Finding("Bedrock", "note", "is off", f"{why}: nobody steps in when Anthropic cannot", hint)
        return
    if status is None:
        yield ok("Bedrock", f"{told}; the daemon, which would know more, does not run")
        return
    how = status["bedrock"]
    if not how["enabled"]:
        mend = "claude-gatewayctl config set bedrock.enabled auto"
        yield Finding("Bedrock", "note", "is off", f"{how['why']}: nobody steps in when Anthropic cannot", mend)
        return
    keys = status.get("credentials") or {}
    state = keys.get("state", "")
    until = keys.get("works_until")
    if state in ("login-needed", "down") or (until is not None and until < now):
        found = f"the AWS credentials ({told}) {'need a login' if state == 'login-needed' else 'cannot be had'}"
        yield Finding("AWS", "fail", found, keys.get("why", ""), keys.get("hint") or "claude-gatewayctl sso-login")
    elif state == "expiring":
        clock = time.strftime("%H:%M", time.localtime(until)) if until else "soon"
        mend = keys.get("hint") or "claude-gatewayctl sso-login"
        yield Finding("AWS", "note", f"the login of {told} ends at {clock}", "Bedrock stops then", mend)
    else:
        who = ", ".join(filter(None, (told, keys.get("role", ""), how["region"])))
        yield ok("AWS", who)
    if (how["last_failure"] or 0) > (how["last_success"] or 0):
        yield Finding(
            "Bedrock", "fail", "its last answer was a failure", how["failure"], "claude-gatewayctl doctor --deep"
        )


class Sso(NamedTuple):
    """The SSO login behind the profile that counts: *why* it cannot be used, with *hint*, or when it ends."""

    profile: str
    why: str = ""
    hint: str = ""
    ends: float | None = None
    renews: bool = False


def sso(found: Sso | None, now: float) -> Iterator[Finding]:
    """Judge the SSO login by its file. None: the keys come another way, or a running daemon knows better."""
    if found is None:
        return
    mend = f"claude-gatewayctl sso-login --profile {quote(found.profile)}"
    if found.why:
        yield Finding("AWS login", "fail", f"profile {found.profile} has none", found.why, found.hint or mend)
    elif found.renews or (found.ends is not None and found.ends - now > LOGIN_ENDS_SOON):
        yield ok("AWS login", f"profile {found.profile}{', renews itself' if found.renews else ''}")
    elif found.ends is not None and found.ends > now:
        minutes = max(1, round((found.ends - now) / 60))
        yield Finding("AWS login", "note", f"profile {found.profile} ends in {minutes} min", "Bedrock stops then", mend)
    else:
        yield Finding("AWS login", "fail", f"profile {found.profile} has ended", "Bedrock cannot step in", mend)


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


class Ping(NamedTuple):
    """What a real request through a lane came to: *wanted* the upstream, *upstream* who answered."""

    wanted: str
    status: int
    upstream: str
    fallback: str
    said: str
    seconds: float


def ping(answer: Ping) -> Iterator[Finding]:
    """Judge a real answer."""
    check = f"ping {answer.wanted}"
    if answer.status == 200 and answer.upstream == answer.wanted:
        yield ok(check, f"answered in {answer.seconds:.1f} s")
    elif answer.status == 200:
        why = f"x-gateway-fallback: {answer.fallback}"
        mend = "claude-gatewayctl status"
        yield Finding(check, "fail", f"{answer.upstream or 'nobody known'} answered in its place", why, mend)
    else:
        found = f"answered {answer.status}" if answer.status else "no answer"
        mend = "claude /login" if answer.status == 401 else "claude-gatewayctl status"
        yield Finding(check, "fail", found, answer.said, mend)
