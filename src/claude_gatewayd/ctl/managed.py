"""Why the daemon does not answer: somebody else has its port, or what the service manager knows."""

import os
from typing import TYPE_CHECKING

from claude_gatewayd import paths
from claude_gatewayd.ctl import identity
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client
from claude_gatewayd.service.platform import choose

if TYPE_CHECKING:
    from claude_gatewayd.ctl.claude_code.remote.gateway import RemoteGateway

_ASKED_WITHIN = 3.0  # seconds: somebody waits for `status`


def why_down(down: client.NotRunning) -> client.NotRunning:
    """Return who has the port in its place; else the error with what the service manager knows."""
    from claude_gatewayd.ctl.claude_code import edit_settings  # here, for it is seldom needed
    from claude_gatewayd.ctl.claude_code.remote import gateway

    if (remote := gateway.in_settings(os.environ)) is not None:
        needless = f"{down.message}, and need not: Claude Code uses the gateway at {remote.url}"
        return client.NotRunning(f"{needless}{_of_key(remote)}", "claude-gatewayctl doctor")
    if (taken := identity.squatter(edit_settings.here(os.environ).url)) is not None:
        return taken
    if not paths.is_installed(os.environ):
        return down
    ours = choose()
    try:
        ours.check(os.environ)
        found = ours.state(os.environ)
    except GatewayError:
        return down
    if not found.trouble or not (found.file or found.masked):
        return down
    return client.NotRunning(f"{down.message}; {found.trouble}", found.hint)


def _of_key(remote: "RemoteGateway") -> str:
    """Return what the gateway elsewhere says of the person's key, "" where it says nothing within a short time."""
    from claude_gatewayd.ctl.claude_code import obstacles
    from claude_gatewayd.ctl.claude_code.remote import asking

    answered = asking.ask(remote.url, remote.key, {**os.environ, **obstacles.in_effect(os.environ)}, _ASKED_WITHIN)
    return "" if answered.key is None else f". {asking.described(answered.key)}"


def can_be_installed() -> bool:
    """Return whether there is a service manager that could run the service."""
    try:
        choose().check(os.environ)
    except GatewayError:
        return False
    return True
