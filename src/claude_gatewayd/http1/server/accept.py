"""Accepting on a socket that several generations share.

Our own accept, because closing a server in the loop iteration in which it accepted loses that connection
(CPython's Server._attach). Here what was accepted is always served: stopping only stops looking at the socket.
"""

import asyncio
import logging
import socket
from collections.abc import Callable

logger = logging.getLogger(__name__)

_AT_ONCE = 64
_PAUSE = 0.1


class Acceptor:
    """Accept on *sock* and give each connection a protocol from *factory*, while there is *room* for it."""

    def __init__(self, sock: socket.socket, factory: Callable[[], asyncio.Protocol], room: Callable[[], bool]) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._factory = factory
        self._room = room
        self._tasks: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._resting = False
        sock.setblocking(False)

    def start(self) -> None:
        """Look at the socket."""
        self._loop.add_reader(self._sock.fileno(), self._ready)

    def stop(self) -> None:
        """Look at it no more. Ours is only one descriptor of it: another generation may be accepting on another."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()  # where we are the last to have it, callers are refused, and do not wait for our streams

    async def settled(self) -> None:
        """Wait until what was accepted has its protocol."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _ready(self) -> None:
        for _ in range(_AT_ONCE):
            if not self._room():
                self._rest("there are too many connections")
                return
            try:
                conn, _address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return  # another generation was faster, or the client has gone already
            except OSError as error:
                self._rest(str(error))  # out of descriptors or memory: it stays queued in the kernel
                return
            self._resting = False
            conn.setblocking(False)
            task = self._loop.create_task(self._loop.connect_accepted_socket(self._factory, conn))
            self._tasks.add(task)
            task.add_done_callback(self._connected)

    def _connected(self, task: "asyncio.Task[object]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.debug("a connection ended before it began: %s", error)

    def _rest(self, why: str) -> None:
        self._loop.remove_reader(self._sock.fileno())
        self._pause = self._loop.call_later(_PAUSE, self.start)
        if not self._resting:  # once per spell
            self._resting = True
            logger.warning("accepting no connections for a while: %s", why)
