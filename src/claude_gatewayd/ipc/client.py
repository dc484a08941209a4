"""Send a command to the running daemon: one line to its control socket, one line back."""

import os
import socket
from pathlib import Path

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import wire
from claude_gatewayd.paths import SOCKET_NAME, another_users, is_installed, runtime_dirs


class NotRunning(GatewayError):
    """Nobody answers at the control socket; the hint is the command that starts the daemon."""


def ask(command: str, seconds: float = 10.0) -> wire.Message:
    """Return the daemon's result. Raises NotRunning, or GatewayError with the daemon's error."""
    with _connected(seconds) as sock:
        try:
            sock.sendall(wire.encode({"command": command}))
            line = b""
            while not line.endswith(b"\n") and (data := sock.recv(65536)):
                line += data
        except TimeoutError:
            raise GatewayError(f"cannot {command}: the daemon did not answer within {seconds:g} s") from None
        except OSError as error:
            raise GatewayError(f"cannot {command}: {error.strerror}", "claude-gatewayctl status") from None
    if not line:
        raise GatewayError(f"cannot {command}: the daemon ended before it answered", "claude-gatewayctl status")
    reply = wire.decode(line)
    if "error" in reply:
        raise GatewayError(str(reply["error"].get("message")), str(reply["error"].get("hint", "")))
    result = reply["result"]
    assert isinstance(result, dict)
    return result


def _connected(seconds: float) -> socket.socket:
    """Return a connection to the daemon, also to one of an earlier version, which is elsewhere. Raises GatewayError."""
    problem = None
    for directory in runtime_dirs(os.environ):
        path = str(directory / SOCKET_NAME)
        _refuse_another_users(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(seconds)
        try:
            sock.connect(path)
        except OSError as error:
            sock.close()
            why = "not running" if isinstance(error, (FileNotFoundError, ConnectionRefusedError)) else error.strerror
            start = "claude-gatewayctl start" if is_installed(os.environ) else "claude-gatewayd"
            problem = problem or NotRunning(f"cannot reach claude-gatewayd at {path}: {why}", start)
            continue
        return sock
    assert problem is not None
    raise problem


def _refuse_another_users(path: str) -> None:
    """Raise GatewayError if the socket's directory belongs to another user: in /tmp anybody can create it first."""
    directory = os.path.dirname(path)
    try:
        owner = os.lstat(directory).st_uid
    except OSError:
        return  # connect() will report why
    if owner != os.getuid():
        raise another_users(Path(directory), owner)
