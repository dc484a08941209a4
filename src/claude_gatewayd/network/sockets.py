"""Options of connected sockets: each system's own by which it notices that the other end is gone without a word."""

import errno
import ipaddress
import logging
import socket
import sys
from collections.abc import Iterable
from typing import Final, NamedTuple

logger = logging.getLogger(__name__)

_GONE_AFTER: Final = 60  # seconds, about
_TCP_RXT_CONNDROPTIME: Final = 0x80  # macOS, <netinet/tcp.h>: seconds that it sends again without an answer
_PRIVACY: Final = "open 'x-apple.systempreferences:com.apple.preference.security?Privacy_LocalNetwork'"


class Option(NamedTuple):
    """An option of setsockopt(2)."""

    level: int
    number: int
    value: int


def dead_peer_options(platform: str = sys.platform) -> list[Option]:
    """Return what has the kernel notice within about a minute that nobody is there any more."""
    options = [Option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    named = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
    if platform == "darwin":  # keep-alive waits until what was sent is acknowledged, and that may take ten minutes
        options.append(Option(socket.IPPROTO_TCP, _TCP_RXT_CONNDROPTIME, _GONE_AFTER))
    else:
        named["TCP_USER_TIMEOUT"] = 1000 * _GONE_AFTER
    return [
        *options,
        *(Option(socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in named.items()
          if hasattr(socket, name)),
    ]  # fmt: skip


def watch_for_a_dead_peer(sock: socket.socket) -> None:
    """Let the kernel notice that the other end is gone. Never raises: what it refuses it has a reason for."""
    for option in dead_peer_options():
        try:
            sock.setsockopt(*option)
        except OSError as error:  # macOS: EINVAL, once the peer has closed
            logger.debug("cannot set socket option %d to %d: %s", option.number, option.value, error)


def refused_by_privacy(error: OSError, addresses: Iterable[str], platform: str = sys.platform) -> tuple[str, str]:
    """Return a sentence and a command if macOS may have refused a connection, ("", "") if not.

    Since macOS 15 a program needs permission for the local network. Terminal has it; an agent's Python may not, and
    gets "No route to host".
    """
    if platform != "darwin" or error.errno != errno.EHOSTUNREACH or not any(map(_is_local, addresses)):
        return "", ""
    return "macOS may refuse this program the local network: Privacy & Security > Local Network, Python", _PRIVACY


def _is_local(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return (found.is_private or found.is_link_local) and not found.is_loopback
