"""The lock that a running daemon holds."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import IO

from claude_gatewayd.errors import GatewayError, list_command
from claude_gatewayd.paths import LOCK_NAME, runtime_dirs


def is_alive(pid: int) -> bool:
    """Return whether a process exists, whoever owns it. A zombie does."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


class AlreadyRunning(GatewayError):
    """Another daemon holds the lock."""


def lock_is_held() -> bool:
    """Return whether a daemon holds the lock. A zombie does not."""
    return any(_is_held(directory / LOCK_NAME) for directory in runtime_dirs(os.environ))


def _is_held(path: Path) -> bool:
    try:
        with path.open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def acquire(path: Path, url: str) -> IO[str]:
    """Take the lock and write into it who holds it. Raises GatewayError, AlreadyRunning names the holder.

    The kernel releases it when the process ends, however it ends.
    """
    try:
        lock = path.open("a+")
    except OSError as error:
        raise GatewayError(f"cannot use {path}: {error.strerror or error}", list_command(path.parent, path)) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip() or "by another process"
        lock.close()
        raise AlreadyRunning(
            f"cannot start: claude-gatewayd is running already, {holder}", "claude-gatewayctl status"
        ) from None
    with contextlib.suppress(OSError):  # a full disk: the lock holds without it
        os.ftruncate(lock.fileno(), 0)
        os.write(lock.fileno(), f"pid {os.getpid()}, {url}\n".encode())
    return lock
