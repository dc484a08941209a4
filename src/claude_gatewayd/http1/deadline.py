"""A deadline that is cheap to move, and what moves it while an answer comes."""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Final

_SLEPT: Final = 1.0  # seconds


def clock_without_sleep(loop: asyncio.AbstractEventLoop, platform: str = sys.platform) -> Callable[[], float] | None:
    """Return a clock that stands still while the machine sleeps, where the loop's does not; None where it does, too.

    On macOS uvloop's counts sleep, and Python's does not (libuv: mach_continuous_time, CPython: mach_absolute_time).
    """
    return time.monotonic if platform == "darwin" and type(loop).__module__.startswith("uvloop") else None


class Deadline:
    """Call *expired* when the deadline has passed.

    Moving it is one assignment: the timer behind it is set anew only when it fires too early. So every byte that
    arrives may move it, on the hottest path. *awake* is a clock that stands still while the machine sleeps, where the
    loop's does not: then what is waited for at a wake gets its time again.
    """

    __slots__ = ("_at", "_awake", "_expired", "_loop", "_offset", "_seconds", "_timer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        expired: Callable[[], None],
        awake: Callable[[], float] | None = None,
    ) -> None:
        self._loop = loop
        self._expired = expired
        self._awake = awake or clock_without_sleep(loop)
        self._at: float | None = None
        self._seconds = 0.0
        self._offset = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Let it pass *seconds* from now, wherever it stood."""
        self._at = self._loop.time() + seconds
        self._seconds = seconds
        if self._timer is None or self._timer.when() > self._at:
            self._arm()

    def clear(self) -> None:
        """Let it never pass. The timer may still fire once, and finds nothing to do."""
        self._at = None

    def close(self) -> None:
        """Give the timer back."""
        self._at = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        assert self._at is not None
        if self._awake is not None:
            self._offset = self._loop.time() - self._awake()
        self._timer = self._loop.call_at(self._at, self._fired)

    def _fired(self) -> None:
        self._timer = None
        if self._at is None:
            return
        now = self._loop.time()
        if self._awake is not None and now - self._awake() - self._offset > _SLEPT:
            self._at = now + self._seconds
        if now < self._at:
            self._arm()
            return
        self._at = None
        self._expired()


class Silence:
    """Move a deadline while an answer comes."""

    __slots__ = ("_deadline", "_loop", "_only_pings", "_pings_until", "_seconds", "pinged")

    def __init__(self, loop: asyncio.AbstractEventLoop, deadline: Deadline) -> None:
        self.pinged = False  # the last that came
        self._loop = loop
        self._deadline = deadline
        self._seconds = 0.0
        self._only_pings: float | None = None
        self._pings_until = 0.0

    def begin(self, seconds: float, only_pings: float | None) -> None:
        """Let it pass after *seconds* without a byte, or *only_pings* with nothing but pings; None: they count."""
        self._seconds = seconds
        self._only_pings = only_pings

    def heard(self, *, only_pings: bool) -> None:
        """Set the deadline anew: something has come, or begins to be waited for."""
        seconds = self._seconds
        if self._only_pings is not None:
            now = self._loop.time()
            self.pinged = only_pings
            if only_pings:
                seconds = min(seconds, self._pings_until - now)
            else:
                self._pings_until = now + self._only_pings
        self._deadline.set(seconds)
