"""The lock that means: a daemon runs. Who has it, and whether it is held."""

import fcntl
import os
from pathlib import Path
from typing import IO

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.paths import lock_file


def is_alive(pid: int) -> bool:
    """Say whether a process is there, whosever it is. One that has ended is, until somebody reaps it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def lock_is_held() -> bool:
    """Say whether a daemon still has the lock. An ended one has not, even while nobody has reaped it."""
    try:
        with lock_file(os.environ).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def acquire(path: Path, url: str) -> IO[str]:
    """Take the lock and write down who has it. Raises GatewayError with the one who has it already.

    The lock ends with the file, however we end.
    """
    try:
        lock = path.open("a+")
    except OSError as error:
        raise GatewayError(f"cannot use {path}: {error.strerror}", f"ls -ld {path.parent} {path}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip() or "by another process"
        lock.close()
        raise GatewayError(
            f"cannot start: claude-gatewayd is running already, {holder}", "claude-gatewayctl status"
        ) from None
    lock.truncate(0)
    lock.write(f"pid {os.getpid()}, {url}\n")
    lock.flush()
    return lock
