"""Tests as coroutines on uvloop, and a client that has nothing but a socket."""

import asyncio
import functools
import gc
import re
import socket
import struct
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, Self

import uvloop

P = ParamSpec("P")

PATIENCE = 60.0  # seconds for a test, which hangs if it takes longer


def on_uvloop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test's coroutine. An error that nobody was told of fails it: a lost task, an unread future."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        untold: list[dict[str, Any]] = []

        async def within() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _loop, context: untold.append(context))
            async with asyncio.timeout(PATIENCE):
                await test(*args, **kwargs)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(within())
            gc.collect(0)
        assert not untold, untold

    return run


async def until(true: Callable[[], bool], *, seconds: float = 30.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110  what a kernel does sets no event
            await asyncio.sleep(0.002)


class Answer(NamedTuple):
    """An answer as a client sees it."""

    status: int
    lines: list[bytes]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header's value."""
        for line in self.lines:
            key, _, value = line.partition(b":")
            if key.lower() == name.encode():
                return value.strip().decode("latin-1")
        return None


class Client:
    """One TCP connection to a server, by hand."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.interim: list[int] = []
        self._buffer = b""
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def to(cls, address: Any, *, receive_buffer: int = 0) -> Self:
        """Connect."""
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(sock, address)
        return cls(sock)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    async def send(self, *pieces: bytes) -> None:
        """Send pieces one by one."""
        for piece in pieces:
            await self._loop.sock_sendall(self.sock, piece)
            if len(pieces) > 1:
                await asyncio.sleep(0.002)

    async def send_what_fits(self, data: bytes, *, still: float = 0.3) -> int:
        """Send until nothing has moved for a while; return how much has gone."""
        sent = 0
        while sent < len(data):
            try:
                sent += self.sock.send(data[sent : sent + 65536])
                continue
            except BlockingIOError:
                pass
            waited = 0.0
            while waited < still:
                await asyncio.sleep(0.02)
                waited += 0.02
                try:
                    sent += self.sock.send(data[sent : sent + 65536])
                    break
                except BlockingIOError:
                    continue
            else:
                break
        return sent

    def end(self) -> None:
        """Send nothing more, but go on listening."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Be gone."""
        self.sock.close()

    def reset(self) -> None:
        """Be gone with a bang."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    async def receive(self) -> bytes:
        """Return the next bytes, empty at the end."""
        return await self._loop.sock_recv(self.sock, 65536)

    async def rest(self) -> bytes:
        """Return everything up to the end."""
        while data := await self.receive():
            self._buffer += data
        rest, self._buffer = self._buffer, b""
        return rest

    async def answer(self, *, to: bytes = b"GET") -> Answer:
        """Return the next final answer, whole. Interim ones are put down in `interim`."""
        while True:
            head = (await self._up_to(b"\r\n\r\n"))[:-4]
            first, *lines = head.split(b"\r\n")
            status = int(first.split(b" ")[1])
            if status >= 200:
                break
            self.interim.append(status)
        answer = Answer(status, lines, b"")
        length = answer.header("content-length")
        if to == b"HEAD" or status in (204, 304):
            return answer
        if answer.header("transfer-encoding") == "chunked":
            return answer._replace(body=await self._chunks())
        return answer._replace(body=await self.rest() if length is None else await self._exactly(int(length)))

    async def _up_to(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            await self._more()
        at = self._buffer.index(mark) + len(mark)
        found, self._buffer = self._buffer[:at], self._buffer[at:]
        return found

    async def _exactly(self, size: int) -> bytes:
        pieces = [self._buffer]
        got = len(self._buffer)
        while got < size:
            self._buffer = b""
            await self._more()
            pieces.append(self._buffer)
            got += len(self._buffer)
        data = b"".join(pieces)
        self._buffer = data[size:]
        return data[:size]

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(re.split(rb"[;\r]", await self._up_to(b"\r\n"))[0], 16):
            body += await self._exactly(size)
            assert await self._exactly(2) == b"\r\n"
        while await self._up_to(b"\r\n") != b"\r\n":
            pass
        return body

    async def _more(self) -> None:
        data = await self.receive()
        if not data:
            raise EOFError(f"the server ended the connection; left: {self._buffer[:200]!r}")
        self._buffer += data
