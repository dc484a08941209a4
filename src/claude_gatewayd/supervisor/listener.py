"""The listening socket: handed over by the service manager, or bound here. It is never closed before the end."""

import errno
import ipaddress
import os
import re
import socket
import subprocess
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.service.activation import inherited_sockets

_BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that listens. *bound* is its address where we bound it, and empty where it was inherited."""

    socket: socket.socket
    bound: str

    @property
    def url(self) -> str:
        """Return how it is reached, as far as one address can say it."""
        host, port = self.socket.getsockname()[:2]
        if ipaddress.ip_address(host).is_unspecified:
            host = "127.0.0.1"
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def inherited(environ: MutableMapping[str, str]) -> Listener | None:
    """Return the socket that a service manager handed over. It wins over any port that is configured."""
    sockets = inherited_sockets(environ)
    listening = [s for s in sockets if s.family in (socket.AF_INET, socket.AF_INET6) and _listens(s)]
    for other in sockets:
        if other not in listening[:1]:
            other.close()
    return Listener(listening[0], "") if listening else None


def bind(host: str, port: int) -> Listener:
    """Bind to an address. Raises GatewayError, which says who has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1" if host == "localhost" else host, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise GatewayError(
                f"cannot listen on {host}:{port}: {who_listens(port) or 'another program'} has the port",
                "set another one: CLAUDE_GATEWAY_LISTEN_PORT=47001 claude-gatewayd",
            ) from None
        raise GatewayError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    return Listener(sock, f"{host}:{port}")


def who_listens(port: int) -> str:
    """Return "NAME (pid N)" of who listens on a TCP port, or an empty text where this user cannot see it."""
    if Path("/proc/net/tcp").exists():
        return _who_by_proc(port)
    try:
        found = subprocess.run(
            ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"],
            capture_output=True, text=True, timeout=5, check=False,
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(r"^p(\d+)\nc(.*)$", found, re.MULTILINE)
    return f"{match[2]} (pid {match[1]})" if match else ""


def _who_by_proc(port: int) -> str:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if any(os.readlink(entry) in inodes for entry in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue  # another user's, or gone
    return ""


def _listens(sock: socket.socket) -> bool:
    try:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return True  # not every system can say
