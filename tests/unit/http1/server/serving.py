"""A server on a real socket, and handlers for it."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from claude_gatewayd.http1 import framing
from claude_gatewayd.http1.flow import Budget
from claude_gatewayd.http1.head import Malformed
from claude_gatewayd.http1.server.accept import Acceptor
from claude_gatewayd.http1.server.connection import Limits, ServerConnection
from claude_gatewayd.http1.server.connections import Connections
from claude_gatewayd.http1.server.exchange import Exchange, Handler
from tests.fakes.transport import settle
from tests.support.loop import Client

MB = 1024 * 1024
PATIENT = Limits()


def refusal(problem: Malformed) -> bytes:
    text = problem.why.encode()
    lines = b"HTTP/1.1 %d No\r\ncontent-length: %d\r\nConnection: close\r\n\r\n"
    return lines % (problem.status, len(text)) + text


class Serving:
    """A server with one handler, on a port of loopback."""

    def __init__(self, handler: Handler, limits: Limits = PATIENT, *, room: int = 1000, buffers: int = 0) -> None:
        self.connections = Connections(refusal)
        self._handler = handler
        self._limits = limits
        self._room = room
        self._buffers = buffers
        self._stopped = False

    async def __aenter__(self) -> Self:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        if self._buffers:  # those of the kernel: else it takes megabytes before anybody is held up
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffers)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffers)
        sock.listen(100)
        self.address = sock.getsockname()
        self.acceptor = Acceptor(
            sock,
            lambda: ServerConnection(self._handler, self.connections, self._limits),
            self.has_room,
        )
        self.acceptor.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.stop()
        self.connections.abort()
        await self.connections.all_ended()
        await settle()

    async def stop(self) -> None:
        """Accept no more."""
        if not self._stopped:
            self._stopped = True
            self.acceptor.stop()
            await self.acceptor.settled()

    def has_room(self) -> bool:
        return self.connections.make_room(self._room)

    async def client(self, *, receive_buffer: int = 0) -> Client:
        return await Client.to(self.address, receive_buffer=receive_buffer)


def request(
    target: bytes = b"/", *lines: bytes, method: bytes = b"GET", body: bytes = b"", version: bytes = b"1.1"
) -> bytes:
    length = [b"Content-Length: %d" % len(body)] if body else []
    head = [method + b" " + target + b" HTTP/" + version, b"Host: localhost", *lines, *length]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def upload(body: bytes, *lines: bytes, target: bytes = b"/") -> bytes:
    return request(target, *lines, method=b"POST", body=body)


def chunked(*pieces: bytes, trailers: list[bytes] | None = None) -> bytes:
    head = request(b"/", b"Transfer-Encoding: chunked", method=b"POST")
    return head + b"".join(map(framing.chunk, pieces)) + framing.last_chunk(trailers or [])


async def echo(exchange: Exchange) -> None:
    """Answer with what was asked."""
    body = await exchange.hold(64 * MB, Budget(64 * MB))
    exchange.reply(200, b"OK", [], exchange.head.target + b" " + body)


class Waiting:
    """A handler that answers when it is told, and knows what became of it."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.cancelled: list[bytes] = []
        self.go = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        self.asked.append(exchange.head.target)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.append(exchange.head.target)
            raise
        exchange.reply(200, b"OK", [], b"at last")


HANDLERS: dict[str, Callable[[Exchange], Coroutine[Any, Any, None]]] = {}


def named(handler: Callable[[Exchange], Coroutine[Any, Any, None]]) -> Callable[[Exchange], Coroutine[Any, Any, None]]:
    HANDLERS[handler.__name__] = handler
    return handler


@named
async def replies(exchange: Exchange) -> None:
    exchange.reply(200, b"OK", [], b"")


@named
async def aborts(exchange: Exchange) -> None:
    exchange.start(200, b"OK", [])
    exchange.abort()


@named
async def forgets(exchange: Exchange) -> None:
    pass


@named
async def fails(exchange: Exchange) -> None:
    raise RuntimeError("a fault")


@named
async def waits(exchange: Exchange) -> None:
    await asyncio.sleep(60)
