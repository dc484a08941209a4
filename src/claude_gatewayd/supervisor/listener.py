"""The listening socket: handed over by the service manager, or bound here. It is never closed before the end."""

import errno
import ipaddress
import logging
import os
import socket
import sys
from collections.abc import MutableMapping
from typing import NamedTuple

from claude_gatewayd import paths
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.service.activation import inherited_sockets, launchd_sockets
from claude_gatewayd.system.addresses import to_bind
from claude_gatewayd.system.ports import free_port, who_listens

logger = logging.getLogger(__name__)

_BACKLOG = 4096


class Listener(NamedTuple):
    """A socket that listens. *bound* is its address where we bound it, and empty where it was inherited."""

    socket: socket.socket
    bound: str

    @property
    def url(self) -> str:
        """Return the URL to reach it by; 127.0.0.1 for a socket that listens everywhere."""
        host, port = self.socket.getsockname()[:2]
        if ipaddress.ip_address(host).is_unspecified:
            host = "127.0.0.1"
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def inherited(environ: MutableMapping[str, str]) -> Listener | None:
    """Return the socket that a service manager handed over. It takes precedence over the configured port."""
    sockets = inherited_sockets(environ) or (launchd_sockets() if paths.is_agent(environ) else [])
    listening = [s for s in sockets if _has_port(s) and _listens(s)]
    if sockets and not listening:
        logger.warning("the service manager passed no socket that listens on a port: binding one")
    for other in sockets:
        if other not in listening[:1]:
            other.close()
    return Listener(listening[0], "") if listening else None


def bind(host: str, port: int) -> Listener:
    """Bind to an address. Raises GatewayError, which names the process that has it."""
    address = to_bind(host)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            holder = who_listens(port)
            # the service manager keeps the port while the service is down
            is_service = holder.name in ("systemd", "launchd") if holder is not None else _has_agent(port)
            who = holder or ("launchd" if is_service else "another program")
            raise GatewayError(
                f"cannot listen on {host}:{port}: {who} has the port",
                "claude-gatewayctl stop, or claude-gatewayctl start for the service"
                if is_service
                else _elsewhere(free_port(port)),
            ) from None
        raise GatewayError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    return Listener(sock, f"{host}:{port}")


def _elsewhere(port: int) -> str:
    if paths.is_installed(os.environ):
        return f"claude-gatewayctl install --port {port} && claude-gatewayctl configure-claude"
    return f"claude-gatewayctl config set listen.port {port} && claude-gatewayd"


def _has_agent(port: int) -> bool:
    """Return whether launchd has the port for our agent: it is root's, and nobody else sees what root has open."""
    if sys.platform != "darwin":
        return False
    from claude_gatewayd.service import launchd  # here, for it is not needed under systemd

    return launchd.holds(port, os.environ)


def _has_port(sock: socket.socket) -> bool:
    """Return whether it is bound: launchd may pass a socket without an address, of a port that it could not get."""
    return sock.family in (socket.AF_INET, socket.AF_INET6) and sock.getsockname()[1] != 0


def _listens(sock: socket.socket) -> bool:
    try:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return True  # not every system can say
