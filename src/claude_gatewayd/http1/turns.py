"""Share the turns of the loop among bodies that take long to follow.

What arrives at once may hold a hundred thousand chunks of one byte. Whoever sends such a body, credential or none, may
make it slow, but nobody else's.
"""

import asyncio
import time
import weakref
from collections import deque
from collections.abc import Callable

_SECONDS = 0.002  # of a turn, for all such bodies together


class Turns:
    """Give out what time there is in each turn of *loop*, in the order in which it was asked for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float] = time.perf_counter) -> None:
        self._loop = loop
        self._now = now
        self._queue: deque[Callable[[], None]] = deque()
        self._planned = False

    def later(self, go_on: Callable[[], None]) -> None:
        """Call *go_on* once, in a turn that has time for it. It does a little, and asks again if there is more."""
        self._queue.append(go_on)
        self._plan()

    def _plan(self) -> None:
        if self._queue and not self._planned:
            self._planned = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        until = self._now() + _SECONDS
        try:
            while self._queue and self._now() < until:
                self._queue.popleft()()
        finally:
            self._planned = False
            self._plan()


_turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = weakref.WeakKeyDictionary()


def of(loop: asyncio.AbstractEventLoop) -> Turns:
    """Return the turns of a loop: one for all its connections."""
    found = _turns.get(loop)
    if found is None:
        found = _turns[loop] = Turns(loop)
    return found
