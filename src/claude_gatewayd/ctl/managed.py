"""Why the daemon does not answer: somebody else has its port, or what the service manager knows."""

import os

from claude_gatewayd import paths
from claude_gatewayd.ctl import identity
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client
from claude_gatewayd.service.platform import choose


def why_down(down: client.NotRunning) -> client.NotRunning:
    """Return who has the port in its place; else the error with what the service manager knows."""
    from claude_gatewayd.ctl.claude_code import edit_settings  # here, for it is seldom needed
    from claude_gatewayd.ctl.claude_code.remote import gateway

    if (remote := gateway.in_settings(os.environ)) is not None:
        return client.NotRunning(
            f"{down.message}, and need not: Claude Code uses the gateway at {remote.url}", "claude-gatewayctl doctor"
        )
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


def can_be_installed() -> bool:
    """Return whether there is a service manager that could run the service."""
    try:
        choose().check(os.environ)
    except GatewayError:
        return False
    return True
