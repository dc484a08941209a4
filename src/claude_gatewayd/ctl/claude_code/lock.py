"""The lock that Claude Code takes round its own changes of settings.json: a directory beside it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from claude_gatewayd.errors import GatewayError

PATIENCE = 5.0
# Whoever holds it touches it every few seconds; one that nobody has touched for so long was left behind.
STALE = 30.0
_AGAIN = 0.05


@contextmanager
def held(file: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock of *file*; raise GatewayError if it is not to be had within *patience* seconds."""
    lock = file.with_name(f"{file.name}.lock")
    deadline = time.monotonic() + patience
    while True:
        try:
            lock.mkdir(mode=0o700)
            break
        except FileExistsError:
            if _was_left_behind(lock):
                _take_away(lock)
            elif time.monotonic() >= deadline:
                raise GatewayError(
                    f"cannot change {file}: another program holds {lock}",
                    f"try again; if no claude runs: rmdir {quote(str(lock))}",
                ) from None
            else:
                time.sleep(_AGAIN)
        except OSError as error:
            raise GatewayError(
                f"cannot change {file}: {lock}: {error.strerror}", f"ls -ld {quote(str(lock.parent))}"
            ) from None
    try:
        yield
    finally:
        try:
            lock.rmdir()
        except OSError:
            pass  # somebody took us for dead; the change itself was whole


def _was_left_behind(lock: Path) -> bool:
    try:
        return time.time() - lock.stat().st_mtime > STALE
    except OSError:
        return False  # released just now


def _take_away(lock: Path) -> None:
    """Remove a lock that was left behind, and not the fresh one of somebody who did so just before us."""
    aside = lock.with_name(f"{lock.name}.stale.{os.getpid()}")
    try:
        lock.rename(aside)
        if _was_left_behind(aside):
            aside.rmdir()
        else:
            aside.rename(lock)
    except OSError:
        pass  # another one was faster, or it is no empty directory: then we wait for it
