"""What the service manager knows where the daemon does not answer."""

import os

from claude_gatewayd import paths
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client
from claude_gatewayd.service.platform import choose


def why_down(down: client.NotRunning) -> client.NotRunning:
    """Return the error with what keeps the service from running, if the service manager knows."""
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
