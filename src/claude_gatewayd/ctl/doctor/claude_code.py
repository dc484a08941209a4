"""Checks of Claude Code: whether it is there, what it is signed in with, and whether it comes to the gateway. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from shlex import quote
from typing import Final, NamedTuple

from claude_gatewayd.ctl.claude_code.obstacles import CONFIGURE, CONFIGURE_BEDROCK, Obstacle
from claude_gatewayd.ctl.claude_code.remote import asking
from claude_gatewayd.ctl.claude_code.remote.asking import RemoteAnswer
from claude_gatewayd.ctl.doctor.finding import Finding, Remedy, Severity, ok

FIX: Final = "claude-gatewayctl doctor --fix"


class ClaudeLogin(NamedTuple):
    """What Claude Code is signed in with: *kind* "" for nothing, *place* where that is, *ends* when."""

    kind: str
    place: str
    ends: float | None = None


def credential(login: ClaudeLogin, now: float, *, bedrock: bool = False) -> Iterator[Finding]:
    """Judge what the client brings; what it is worth, only Anthropic can say. In *bedrock* mode it needs nothing."""
    if bedrock:
        yield ok("credential", "none is needed: Claude Code is in Bedrock mode, and the gateway has the AWS keys")
    elif not login.kind:
        yield Finding(
            "credential", "fail", "Claude Code has none",
            "the gateway passes on the caller's credential and has none of its own", "claude /login",
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
        state: Severity = "fail" if one.harmful else "note"
        ours = one.hint in (CONFIGURE, CONFIGURE_BEDROCK, FIX)
        remedy: Remedy = "configure-claude" if one.harmful and ours else ""
        yield Finding("variables", state, f"{one.name} in {one.where}", one.why, one.hint, remedy)
    for name in in_service:
        yield Finding(
            "variables", "note", f"{name} in the running service",
            "whatever started the daemon has it, and so may your terminals",
            f"systemctl --user unset-environment {name}",
        )  # fmt: skip
    if clear:
        yield ok("variables", "nothing points Claude Code elsewhere")


def client(path: str, version: str) -> Iterator[Finding]:
    """Judge whether Claude Code is there."""
    if not path:
        mend = "npm install --global @anthropic-ai/claude-code"
        yield Finding("Claude Code", "fail", "is not on the PATH", "the gateway serves nobody without it", mend)
    elif not version:
        yield Finding(
            "Claude Code",
            "fail",
            f"{path} does not report its version",
            "it does not start",
            f"{quote(path)} --version",
        )
    else:
        yield ok("Claude Code", f"{version}, {path}")


def gateway(url: str, answered: RemoteAnswer, now: float, *, in_settings: bool) -> Iterator[Finding]:
    """Judge a gateway on another machine. *in_settings*: settings.json has the certificates that it may need."""
    through = f" through the proxy {answered.proxy}" if answered.proxy else ""
    match answered.outcome:
        case "accepted":
            whose = f"the key of {answered.key.name}" if answered.key is not None else "the key"
            yield ok("gateway", f"{url} answers{through} and accepts {whose}")
            found, mend = asking.trouble_ahead(answered.key, now) if answered.key is not None else ("", "")
            if found:
                yield Finding("gateway", "note", found, "whoever operates the gateway can change that there", mend)
        case "unproven":
            found = f"{url} answers{through}; the key could not be checked"
            yield Finding("gateway", "note", found, answered.why, answered.hint)
        case _:
            yield Finding("gateway", "fail", f"{url}{through}", answered.why, answered.hint)
    if answered.ca_file and not in_settings:
        found = f"it is trusted only by what this shell has, {answered.ca_file}"
        why = "a Claude Code that is started elsewhere does not trust it"
        yield Finding("certificate", "note", found, why, FIX, "configure-claude")


def of_a_remote_gateway(one: Obstacle) -> Obstacle:
    """Return an obstacle with a hint that leads to the same gateway: configure-claude alone leads to this machine's."""
    return replace(one, hint=FIX) if one.hint in (CONFIGURE, CONFIGURE_BEDROCK) else one


class OwnSettings(NamedTuple):
    """What settings.json says: *broken* why it cannot be read, the base URL, and whether the gateway key is sent."""

    file: str
    broken: str = ""
    points_at: str = ""
    has_key: bool = False


def settings(own: OwnSettings, shell: str, url: str, *, remote: bool, bedrock: bool = False) -> Iterator[Finding]:
    """Judge settings.json. *shell* is the base URL of this shell; *remote*: the gateway asks callers for its key.

    *bedrock*: they lead here in Bedrock mode.
    """
    mend = CONFIGURE_BEDROCK if bedrock else CONFIGURE
    if own.broken:
        why = "Claude Code ignores the whole file"
        yield Finding("settings", "fail", own.broken, why, f"${{EDITOR:-vi}} {quote(own.file)}")
    elif own.points_at.rstrip("/") == url and own.has_key:
        yield ok("settings", f"{own.file} points here")
    elif own.points_at.rstrip("/") == url:
        why = "Bedrock steps in only on Linux, and for a credential that Anthropic has accepted before"
        why = "remote = true is set: without the key every request gets 401" if remote else why
        why = "in Bedrock mode every request needs the key: without it Claude Code gets 403" if bedrock else why
        found = f"{own.file} points here, without the gateway key"
        yield Finding("settings", "fail" if remote or bedrock else "note", found, why, mend, "configure-claude")
    elif not own.points_at and shell.rstrip("/") == url:
        why = "Claude Code started elsewhere bypasses the gateway"
        yield Finding("settings", "note", "only this shell points here", why, mend, "configure-claude")
    else:
        found = f"points at {own.points_at}" if own.points_at else "does not point here"
        why = "Claude Code bypasses the gateway"
        yield Finding("settings", "fail", f"{own.file} {found}", why, mend, "configure-claude")
