"""Reap processes that nobody else will, where the supervisor is the first process, as in a container.

The kernel gives the first process whatever has lost its parent: a program that a credential_process has started, the
children of a worker that was killed. Of the supervisor's own children whoever started them waits for them at once. So
whoever is still unreaped at a second look is an orphan.
"""

import asyncio
import os
from typing import Final

_EVERY: Final = 5.0  # seconds between two looks


async def reap_for_ever() -> None:
    """Look after orphans, if they come to this process at all."""
    seen: frozenset[int] = frozenset()
    while os.getpid() == 1:
        seen = reap(seen)
        await asyncio.sleep(_EVERY)


def reap(seen: frozenset[int]) -> frozenset[int]:
    """Reap those that have ended and were *seen* at the look before. Returns those that have ended since."""
    ended = frozenset(pid for pid in _children() if _has_ended(pid))
    for pid in ended & seen:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass  # whoever started it was late, and has it
    return ended - seen


def _children() -> list[int]:
    try:
        with open("/proc/thread-self/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:  # a kernel that does not list them
        return []


def _has_ended(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False
