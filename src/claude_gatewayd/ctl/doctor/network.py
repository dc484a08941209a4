"""Checks of what lies beyond this machine: Anthropic, the clock, AWS, and real answers through each lane. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from claude_gatewayd.aws.clock import SET_CLOCK
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.ctl.doctor.finding import Finding, Status, ok
from claude_gatewayd.ctl.terminal import spending
from claude_gatewayd.ctl.terminal.text import duration
from claude_gatewayd.network import trust
from claude_gatewayd.system.clock_time import clock_time

CLOCK_MAY_DIFFER = 240.0  # AWS refuses signatures at five minutes
LOGIN_ENDS_SOON = 3600.0
ENABLE_BEDROCK: Final = "claude-gatewayctl config set bedrock.enabled auto --reload"


class Reached(NamedTuple):
    """How far a connection to *origin* came: to *failed* ("" for an answer), with *why*; *skew* of the clock.

    An origin is what curl takes: scheme, host, and a port that is not the scheme's own.
    """

    origin: str
    route: str
    failed: str
    why: str
    skew: float | None

    @property
    def host(self) -> str:
        """Return the host alone."""
        return urlsplit(self.origin).hostname or ""


class Handshake(NamedTuple):
    """What a TLS handshake with *origin* came to: the kind of failure, "" for none, with *why* and a hint."""

    origin: str
    failed: str = ""
    why: str = ""
    hint: str = ""


_MENDS = {
    "name": "ping -c 1 {host}",
    "connection": "curl -sv -o /dev/null {origin}/",
    "time": "curl -sv -o /dev/null {origin}/",
    "certificate": trust.advice(0)[1],
    "proxy": "claude-gatewayctl config set network.proxy http://USER:PASSWORD@PROXY:3128",
}


_SAYS = {
    "name": "its name cannot be resolved: this machine seems to be offline",
    "connection": "the connection fails",
    "time": "it does not answer in time",
    "certificate": "its certificate is not trusted; usually a company inspects TLS",
    "proxy": "the proxy refuses the connection",
}


def anthropic(reached: Reached, status: Status | None, by_daemon: Handshake | None = None) -> Iterator[Finding]:
    """Judge the way to Anthropic: name, connection, certificate, proxy; and the clock by its answer.

    *by_daemon* is how far the daemon came, whose environment and permissions are not those of this shell.
    """
    if reached.failed:
        why = f"{_SAYS[reached.failed]} ({reached.why})"
        mend = _MENDS[reached.failed].format(host=quote(reached.host), origin=quote(reached.origin))
        yield Finding("Anthropic", "fail", f"{reached.host}{reached.route}", why, mend)
    elif by_daemon is not None and by_daemon.failed:
        found = f"{reached.host}: the daemon cannot reach it, though this shell can"
        yield Finding("Anthropic", "fail", found, by_daemon.why, by_daemon.hint or "claude-gatewayctl install")
    else:
        yield ok("Anthropic", f"{reached.host} answers{reached.route}")
    if reached.skew is not None and abs(reached.skew) > CLOCK_MAY_DIFFER:
        ahead = "fast" if reached.skew > 0 else "slow"
        yield Finding(
            "clock", "fail", f"is {duration(abs(reached.skew))} {ahead}",
            "AWS rejects signatures made with this clock", SET_CLOCK,
        )  # fmt: skip
    elif reached.skew is not None:
        yield ok("clock", f"accurate to within {max(1, round(abs(reached.skew)))} s")
    how = status["anthropic"] if status is not None else {"state": "unknown"}
    if how["state"] == "failing" and not reached.failed:
        yield Finding(
            "Anthropic", "note", f"the last request failed: {how['failure']}", "Bedrock answers instead, where it can",
            "claude-gatewayctl status",
        )  # fmt: skip


def bedrock(status: Status | None, kind: str, keys_from: str, why: str, hint: str, now: float) -> Iterator[Finding]:
    """Judge Bedrock: the source of its keys (*kind*, *keys_from*), what the daemon knows of them, the last answers."""
    keys = (status or {}).get("credentials") or {}
    if kind == "none" and not keys.get("why"):  # else the daemon wants keys, and knows why there are none
        yield Finding("Bedrock", "note", "is off", f"{why}: there is no fallback when Anthropic fails", hint)
        return
    if status is None:
        yield ok("Bedrock", f"{keys_from}; the daemon is not running, so no more is known")
        return
    how = status["bedrock"]
    if not how["enabled"]:
        why = f"{how['why']}: there is no fallback when Anthropic fails"
        yield Finding("Bedrock", "note", "is off", why, ENABLE_BEDROCK)
        return
    yield from credentials(status.get("credentials") or {}, keys_from, how["region"], now)
    yield from transport(how.get("through", ""))
    yield from budget((status.get("usage") or {}).get("month") or {})
    if (how["last_failure"] or 0) > (how["last_success"] or 0):
        yield Finding("Bedrock", "fail", "its last request failed", how["failure"], "claude-gatewayctl doctor --deep")
    for model, refused in _by_model(how.get("refused", [])):
        features = ", ".join(one["feature"] for one in refused)
        words = "; ".join(dict.fromkeys(one["message"] for one in refused))
        report = f"claude-gatewayd {status['version']}, Bedrock's {model} refuses {features}: {words!r}"
        why = f"requests are answered without; please report this as a bug: {report}"
        yield Finding(
            "Bedrock", "note", f"{model} refuses what it should take", why, "claude-gatewayctl reload --forget"
        )
    for one in how.get("denied_models", ()):
        yield Finding("Bedrock", "note", f"{one['model']}: {one['why']}", one["step"], "claude-gatewayctl models")


def budget(month: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge what is left of the month's budget for Bedrock. A daemon of an earlier version has none."""
    limit = month.get("budget", 0.0)
    spent = spending.budget(month) if limit else ""
    if limit and month["bedrock_cost"] >= limit:
        more = f"claude-gatewayctl config set bedrock.monthly_budget {2 * limit:g} --reload"
        yield Finding("budget", "note", spent, "names that end with -bedrock are still answered", more)
    elif limit:
        yield ok("budget", spent)


_THROUGH: Final = "claude-gatewayctl config set bedrock.through"
_CHOICES: Final = {
    "litellm": (
        "is asked directly until LiteLLM is loaded, then through it, so that your callbacks in LiteLLM see it",
        f"always directly is faster and needs a tenth of the memory: {_THROUGH} direct --reload",
    ),
    "direct": (
        "is always asked directly, which is fast and needs little memory, but no callback in LiteLLM sees it",
        f"through LiteLLM, once that is loaded: {_THROUGH} litellm --reload",
    ),
}


def transport(through: str) -> Iterator[Finding]:
    """Explain the choice of `[bedrock] through`, by what is set; "" explains nothing: an older worker has no choice."""
    if through in _CHOICES:
        found, other = _CHOICES[through]
        yield Finding("Bedrock", "ok", found, other)


def _by_model(refused: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    for model in dict.fromkeys(one["model"] for one in refused):
        yield model, [one for one in refused if one["model"] == model]


def unusable_keys(source: str, why: str, hint: str) -> Finding:
    """Judge a source of keys that the files describe, and that gives none as it stands there."""
    return Finding("AWS", "fail", f"{source} gives no keys", why, hint)


def bedrock_endpoint(handshake: Handshake) -> Finding:
    """Judge the route to Bedrock's endpoint, by a handshake that costs nothing."""
    origin, failed, why, hint = handshake
    host = urlsplit(origin).hostname or ""
    if not failed:
        return ok("Bedrock", f"{host} is reachable")
    found = {"certificate": "its certificate is not trusted", "proxy": "the proxy refuses the connection"}
    if failed == "offline":
        why, hint = bedrock_errors.name_not_resolved(host, why)
    mend = hint or f"curl -sv -o /dev/null {quote(origin)}/"
    return Finding("Bedrock", "fail", found.get(failed, f"{host} is not reachable"), why, mend)


def credentials(keys: Status, keys_from: str, region: str, now: float) -> Iterator[Finding]:
    """Judge the AWS credentials by what the daemon's keeper says of them, {} for nothing."""
    who = ", ".join(filter(None, (keys.get("source") or keys_from, keys.get("role", ""), region)))
    until = keys.get("works_until")
    mend = keys.get("hint") or "claude-gatewayctl credentials --check"
    match keys.get("state", "ok"):
        case "ok":
            yield ok("AWS", who)
        case "expiring" | "login-needed" if until is not None and until > now:
            found = f"the login of {who} has ended" if keys["state"] == "login-needed" else f"the login of {who} ends"
            yield Finding("AWS", "note", found, f"Bedrock can step in until {clock_time(until, now)}", mend)
        case "expiring":
            yield Finding("AWS", "note", f"the login of {who} ends", keys.get("why", ""), mend)
        case "login-needed":
            yield Finding("AWS", "fail", f"{who} needs a login", keys.get("why") or "Bedrock cannot step in", mend)
        case _:
            yield Finding("AWS", "fail", f"{who} provides no keys", keys.get("why") or "Bedrock cannot step in", mend)


class SsoLogin(NamedTuple):
    """The SSO login behind the profile that counts: *why* it cannot be used, with *hint*, or when it ends."""

    profile: str
    why: str = ""
    hint: str = ""
    ends: float | None = None
    renews: bool = False


def sso(found: SsoLogin | None, now: float) -> Iterator[Finding]:
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


class Ping(NamedTuple):
    """What a real request through a lane came to: *wanted* the upstream, *upstream* who answered.

    *transport* is how Bedrock was asked, if it answered: "litellm" or "direct".
    """

    wanted: str
    status: int
    upstream: str
    fallback: str
    message: str
    seconds: float
    transport: str = ""


_TRANSPORTS: Final = {"litellm": " through LiteLLM", "direct": " directly"}


def no_ping() -> Iterator[Finding]:
    """Say that Anthropic was not asked: there is no login, or only Claude Code itself can read it."""
    why = "there is no Claude Code login here that another program can read"
    yield Finding("ping anthropic", "note", "was not sent", why, "claude --print hello")


def ping(answer: Ping) -> Iterator[Finding]:
    """Judge a real answer."""
    check = f"ping {answer.wanted}"
    if answer.status == 200 and answer.upstream == answer.wanted:
        yield ok(check, f"answered{_TRANSPORTS.get(answer.transport, '')} in {answer.seconds:.1f} s")
    elif answer.status == 200:
        why = f"x-gateway-fallback: {answer.fallback}"
        mend = "claude-gatewayctl status"
        yield Finding(check, "fail", f"{answer.upstream or 'an unknown upstream'} answered instead", why, mend)
    else:
        found = f"answered {answer.status}" if answer.status else "no answer"
        mend = "claude /login" if answer.status == 401 else "claude-gatewayctl status"
        yield Finding(check, "fail", found, answer.message, mend)
