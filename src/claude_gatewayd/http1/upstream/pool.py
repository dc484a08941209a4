"""Idle upstream connections, kept for the next request."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from claude_gatewayd.http1.upstream.connection import UpstreamConnection

_MOST = 64
# The machine slept where the wall clock moved this much more than the monotonic one.
_SLEPT = 10.0


class Pool:
    """Keep connections made by *connect* for *idle_seconds*, the last used first.

    After a sleep of the machine all are given up: their other ends may be gone without a word.
    """

    def __init__(self, connect: Callable[[], Awaitable[UpstreamConnection]], *, idle_seconds: float = 45.0) -> None:
        self._connect = connect
        self._idle_seconds = idle_seconds
        self._loop = asyncio.get_running_loop()
        self._idle: deque[tuple[float, UpstreamConnection]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._offset = time.time() - time.monotonic()
        self._closed = False

    def idle(self) -> UpstreamConnection | None:
        """Return a connection that has been used before; None if there is none."""
        offset = time.time() - time.monotonic()
        if not -_SLEPT <= offset - self._offset <= _SLEPT:
            self.empty()
        self._offset = offset
        while self._idle:
            _since, connection = self._idle.pop()
            if not connection.lost:
                return connection
        return None

    async def connect(self) -> UpstreamConnection:
        """Return a new connection. Raises UpstreamFailed."""
        connection = await self._connect()
        connection.on_lost = self._lost
        return connection

    def release(self, connection: UpstreamConnection) -> None:
        """Take *connection* back, to keep it or to end it."""
        if not connection.reusable or connection.lost or self._closed or len(self._idle) >= _MOST:
            connection.abort()
            return
        connection.keep()
        self._idle.append((self._loop.time(), connection))
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._idle_seconds, self._sweep)

    def close(self) -> None:
        """End the idle ones, and whatever comes back from now on."""
        self._closed = True
        self.empty()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def empty(self) -> None:
        """End the idle ones."""
        while self._idle:
            self._idle.pop()[1].close()

    def _sweep(self) -> None:
        oldest = self._loop.time() - self._idle_seconds
        while self._idle and self._idle[0][0] <= oldest:
            self._idle.popleft()[1].close()
        # The first is the oldest: the last used is taken first.
        due = self._idle[0][0] + self._idle_seconds if self._idle else None
        self._sweeper = self._loop.call_at(due, self._sweep) if due is not None else None

    def _lost(self, connection: UpstreamConnection) -> None:
        for entry in self._idle:
            if entry[1] is connection:
                self._idle.remove(entry)
                return
