"""The dashboard's process: started for whoever asks for it, and ended a minute after the last page has gone.

It listens nowhere. A connection to it is a pair of sockets, of which it is sent the one over a socket of its own: so
nobody else can connect, there is no file that could be removed, and no path that could be too long. It ends when its
feed does, so also if this worker is killed.
"""

import asyncio
import contextlib
import logging
import os
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from claude_gatewayd.http1.upstream.connection import UpstreamConnection, UpstreamFailed
from claude_gatewayd.worker.dashboard.feed import Feed

logger = logging.getLogger(__name__)

COMMAND: Final = (sys.executable, "-P", "-m", "claude_gatewayd.dashboard")
_UNUSED_FOR = 60.0  # seconds after which it is ended
_TAKES_WITHIN = 30.0  # seconds: it has to start, on a machine that may be busy
_ENDS_WITHIN = 5.0  # after its feed has
_AGAIN_AFTER = 5.0  # one that did not start: another one would not, either
_LOGS = "the daemon's log shows why: claude-gatewayctl logs"


class _Running:
    """One process, and the socket over which it is sent connections."""

    def __init__(self, process: Process, door: socket.socket, on_end: Callable[["_Running"], None]) -> None:
        self.process = process
        self.has_taken = False  # a connection: so it has started
        self._door = door
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        # macOS loses a descriptor that its sender closes before it has been taken.
        self._under_way: deque[tuple[socket.socket, asyncio.Future[bool]]] = deque()
        door.setblocking(False)
        self._loop.add_reader(door.fileno(), self._taken)

    def send(self, end: socket.socket) -> "asyncio.Future[bool]":
        """Send it one end of a connection. The future says whether it has taken it; it does not if it ends before that.

        Raises OSError.
        """
        socket.send_fds(self._door, [b"c"], [end.fileno()])
        taken: asyncio.Future[bool] = self._loop.create_future()
        self._under_way.append((end, taken))
        return taken

    def close(self) -> None:
        """Send no more."""
        if self._door.fileno() >= 0:
            self._loop.remove_reader(self._door.fileno())
            self._door.close()
        while self._under_way:
            self._settle(has_taken=False)

    def _taken(self) -> None:
        try:
            taken = self._door.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            taken = b""
        self.has_taken |= bool(taken)
        for _ in taken:
            self._settle(has_taken=True)
        if not taken:
            self._on_end(self)

    def _settle(self, *, has_taken: bool) -> None:
        end, taken = self._under_way.popleft()
        end.close()
        if not taken.done():
            taken.set_result(has_taken)


class Child:
    """Start the process when it is needed, and end it when it is not. *feed* is sent to it."""

    def __init__(self, feed: Feed, environ: Mapping[str, str], command: Sequence[str] = COMMAND) -> None:
        self._feed = feed
        self._environ = environ
        self._command = command
        self._loop = asyncio.get_running_loop()
        self._starting = asyncio.Lock()
        self._running: _Running | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._users = 0
        self._unused: asyncio.TimerHandle | None = None
        self._why = ""  # it could not be started
        self._not_before = 0.0
        self.is_closed = False

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Keep the process while a request is under way, and for a minute after the last."""
        self._users += 1
        if self._unused is not None:
            self._unused.cancel()
            self._unused = None
        try:
            yield
        finally:
            self._users -= 1
            if not self._users and self._running is not None:
                self._unused = self._loop.call_later(_UNUSED_FOR, self._end)

    async def connect(self) -> UpstreamConnection:
        """Return a connection to it. Raises UpstreamFailed, with a sentence."""
        ours, theirs = socket.socketpair()
        try:
            async with self._starting:
                if self._running is None:
                    self._running = await self._start()
            async with asyncio.timeout(_TAKES_WITHIN):
                has_taken = await self._running.send(theirs)
            if not has_taken:
                raise UpstreamFailed("connect", self._why or "its process has ended")
            self._why = ""
            _transport, connection = await self._loop.create_unix_connection(UpstreamConnection, sock=ours)
        except BaseException as error:
            ours.close()
            theirs.close()
            if isinstance(error, TimeoutError):
                self.give_up()
                raise UpstreamFailed("timeout", f"its process does not answer; {_LOGS}") from None
            if isinstance(error, OSError):
                raise UpstreamFailed("connect", f"its process cannot be reached: {error.strerror}") from None
            raise
        return connection

    def give_up(self) -> None:
        """End it, for it does not answer: the next who asks has another one."""
        if self._running is not None:
            logger.warning("the dashboard's process does not answer, and is ended")
        self._end()

    async def close(self) -> None:
        """End it, and start no more."""
        self.end_soon()
        if self._ending:
            await asyncio.wait(self._ending)

    def end_soon(self) -> None:
        """End it after what it is doing, its streams at once, and start no more."""
        self.is_closed = True
        self._end()

    async def _start(self) -> _Running:
        """Start the process. Raises UpstreamFailed."""
        if self.is_closed:
            raise UpstreamFailed("connect", "this generation of the daemon ends")
        if time.monotonic() < self._not_before:
            raise UpstreamFailed("connect", self._why)
        door, its_door = socket.socketpair()
        its_feed, feed = os.pipe()
        descriptors = its_door.fileno(), its_feed
        arguments = ("--listen-fd", str(descriptors[0]), "--feed-fd", str(descriptors[1]))
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, *arguments, env=dict(self._environ), cwd="/", stdin=DEVNULL, stdout=DEVNULL,
                pass_fds=descriptors,
            )  # fmt: skip
        except BaseException as error:
            door.close()
            os.close(feed)
            if isinstance(error, OSError):
                self._failed(f"its process cannot be started: {error.strerror or error}")
                raise UpstreamFailed("connect", self._why) from None
            raise
        finally:
            its_door.close()
            os.close(its_feed)
        self._feed.attach(feed)
        return _Running(process, door, self._has_ended)

    def _end(self) -> None:
        """Close the feed, by which it ends."""
        running, self._running = self._running, None
        if self._unused is not None:
            self._unused.cancel()
            self._unused = None
        if running is not None:
            self._feed.detach()
            running.close()
            self._reap(running, expected=True)

    def _has_ended(self, running: _Running) -> None:
        """Note that it has ended, or will, by itself."""
        running.close()
        if running is self._running:
            self._running = None
            self._feed.detach()
            if not running.has_taken:
                self._failed(f"its process ended as soon as it was started; {_LOGS}")
        self._reap(running, expected=False)

    def _failed(self, why: str) -> None:
        self._why = why
        self._not_before = time.monotonic() + _AGAIN_AFTER

    def _reap(self, running: _Running, *, expected: bool) -> None:
        task = self._loop.create_task(self._reaped(running.process, expected=expected))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _reaped(self, process: Process, *, expected: bool) -> None:
        try:
            async with asyncio.timeout(_ENDS_WITHIN):
                status = await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            status = await process.wait()
            logger.warning("the dashboard's process did not end within %g s, and was ended", _ENDS_WITHIN)
            return
        if not expected or status:
            logger.warning("the dashboard's process ended with status %d", status)
