"""A connection in memory: what the other end says and hears, cut exactly as a test wants it."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any


class Wire(asyncio.Transport):
    """The transport of *protocol*. The test is the other end: it says, and looks at what it has heard.

    What is said while the protocol does not read waits. What is written arrives at once, unless the other end has
    been made `slow`: then it waits too, and the protocol is told to pause, as a real transport would.
    """

    def __init__(self, protocol: asyncio.Protocol, *, high: int = 64 * 1024) -> None:
        super().__init__()
        self.heard = b""
        self.ended = False  # they said that nothing more comes
        self.closed = False  # nobody is there any more
        self.slow = False
        self.unsent = b""
        self._protocol = protocol
        self._high = high
        self._full = False
        self._reading = True
        self._closing = False
        self._said: deque[bytes | None] = deque()
        self._loop = asyncio.get_running_loop()
        protocol.connection_made(self)

    # -- what a test does

    async def say(self, pieces: Iterable[bytes]) -> None:
        """Send pieces, each on its own, with time between them."""
        for piece in filter(None, pieces):
            self._said.append(piece)
            self._deliver()
            await settle()

    async def end(self) -> None:
        """Say that nothing more comes."""
        self._said.append(None)
        self._deliver()
        await settle()

    async def vanish(self) -> None:
        """Be gone."""
        self._lose(ConnectionResetError())
        await settle()

    def read_on(self) -> None:
        """Be slow no more."""
        self.slow = False
        self.heard += self.unsent
        self.unsent = b""
        if self._full:
            self._full = False
            self._protocol.resume_writing()

    # -- what a protocol does

    def write(self, data: Any) -> None:
        assert not self.ended, "written after the end"
        if self._closing:
            return
        if not self.slow:
            self.heard += data
            return
        self.unsent += data
        if len(self.unsent) > self._high and not self._full:
            self._full = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    def get_write_buffer_size(self) -> int:
        return len(self.unsent)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._loop.call_soon(self._deliver)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self.close()

    def _deliver(self) -> None:
        while self._said and self._reading and not self._closing:
            piece = self._said.popleft()
            if piece is not None:
                self._protocol.data_received(piece)
            elif not self._protocol.eof_received():
                self.close()

    def _lose(self, error: Exception | None) -> None:
        self._closing = True
        if not self.closed:
            self.closed = True
            self._protocol.connection_lost(error)


async def settle() -> None:
    """Let everything run that can run now."""
    for _ in range(12):
        await asyncio.sleep(0)
