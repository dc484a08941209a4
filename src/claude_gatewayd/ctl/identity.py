"""Make sure that who answers at the gateway's address is this person's gateway, before anything is led there."""

import os
from pathlib import Path
from typing import Any

from claude_gatewayd import paths
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client, proof
from claude_gatewayd.ipc.proof import Asked, Identity

_MANAGERS = ("systemd", "launchd")
_READY = ("serving", "refusing")  # the states in which a daemon answers, with requests' answers or with its problems


class PortTaken(client.NotRunning):
    """Our daemon does not run, and somebody else answers at its address; the hint takes a free port."""


def ask(url: str, within: float = proof.WITHIN, *, runs: bool = False) -> Asked:
    """Ask who answers at *url*. Nobody can be ours before there is a gateway key; if our daemon *runs*, it is made."""
    file = paths.gateway_key_file(os.environ)
    try:
        key = file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        key = _made(file) if runs else ""
    return proof.ask(url, key, within)


def _made(file: Path) -> str:
    """Return the key of a daemon whose worker has never run, and so has not made it."""
    from claude_gatewayd.system.secret_file import read_or_make_gateway_key

    try:
        return read_or_make_gateway_key(file)
    except GatewayError:
        return ""


def require(url: str, status: dict[str, Any] | None) -> None:
    """Raise GatewayError if somebody else answers at *url*. *status* is that of our daemon, None if it does not run."""
    asked = ask(url, runs=status is not None)
    if is_acceptable(asked.who, status) or (status is None and is_held_for_us(asked)):
        return
    raise GatewayError(f"cannot use {url}: {describe(asked, status)}", mend(asked, status))


def is_acceptable(who: Identity, status: dict[str, Any] | None) -> bool:
    """Whether Claude Code may be led there.

    A daemon that is between two generations has the port, but is silent; an older version knows of no proofs.
    """
    if status is None:
        return who in ("ours", "nobody")
    if "proven" not in status:
        return True
    return who == "ours" or (who == "silent" and status["state"] not in _READY)


def is_held_for_us(asked: Asked) -> bool:
    """Whether a silent port is held by the service manager, for a service of ours that does not answer."""
    if asked.who != "silent" or not paths.is_installed(os.environ):
        return False
    from claude_gatewayd.service.platform import choose  # here: it is for the rare case alone
    from claude_gatewayd.system.ports import who_listens

    holder = who_listens(asked.port)
    if holder is not None and holder.name not in _MANAGERS:
        return False
    ours = choose()
    try:
        ours.check(os.environ)
        return ours.state(os.environ).listening
    except GatewayError:
        return False


def describe(asked: Asked, status: dict[str, Any] | None = None) -> str:
    """Return who answers in place of the daemon whose *status* it is, or of one that does not run."""
    if status is not None:
        own = f"your gateway, which runs as pid {status['pid']}"
        return f"who answers there does not prove to be {own}, unless its HOME or XDG_STATE_HOME is not this shell's"
    if asked.who == "ours":
        return "your own gateway is there, which this shell cannot reach: XDG_RUNTIME_DIR or HOME differ"
    from claude_gatewayd.system.ports import who_listens  # here: it is for the rare case alone

    who = who_listens(asked.port) or "another program"
    return f"{who} listens there, and does not prove to be your gateway"


def mend(asked: Asked, status: dict[str, Any] | None = None, verb: str = "") -> str:
    """Return the command that takes a free port; *verb* is the one to repeat with it, if it can."""
    if status is not None:
        return "claude-gatewayctl reload; claude-gatewayctl doctor"  # it reads the key again
    from claude_gatewayd.system.ports import free_port

    free = free_port(asked.port)
    if verb or not paths.is_installed(os.environ):
        return f"claude-gatewayctl {verb or 'setup'} --port {free}"
    return f"claude-gatewayctl install --port {free} && claude-gatewayctl configure-claude"


def squatter(url: str, within: float = proof.WITHIN) -> PortTaken | None:
    """Return what is wrong with who answers at *url* while our daemon does not run; None if nobody answers."""
    asked = ask(url, within)
    if is_acceptable(asked.who, None) or is_held_for_us(asked):
        return None
    why = f"it is not running, and Claude Code must not use {url}: {describe(asked)}"
    return PortTaken(f"cannot reach claude-gatewayd: {why}", mend(asked))


def require_free(url: str, verb: str) -> None:
    """Raise GatewayError if anybody listens at *url*, where a daemon is to listen. *verb* takes another --port."""
    asked = ask(url)
    if asked.who != "nobody":
        raise GatewayError(f"cannot {verb}: port {asked.port} is taken: {describe(asked)}", mend(asked, verb=verb))
