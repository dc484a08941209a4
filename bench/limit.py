"""The limit of Python: a pass-through that parses heads with httptools, moves bytes by uvloop, and does no more.

It has no back-pressure, no time limits, no TLS, and no task for a request: a point of reference, not a design.
`python limit.py PORT UPSTREAM_PORT`
"""

import asyncio
import sys
from typing import cast

import httptools
import uvloop

HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"host", b"proxy-connection")
)


class Upstream(asyncio.Protocol):
    """A connection to the upstream, which serves one client's connection at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._client: Client | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, client: "Client", head: bytes, body: bytes) -> None:
        """Send a request of *client*'s."""
        assert self.transport is not None
        self._client = client
        self._parser = httptools.HttpResponseParser(self)
        self._lines: list[bytes] = []
        self._is_chunked = True
        self._is_done = False
        self._out: list[bytes] = []
        self.transport.writelines((head, body))

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if lower == b"content-length":
            self._is_chunked = False
        if lower not in HOP_BY_HOP:
            self._lines.append(name + b": " + value + b"\r\n")

    def on_headers_complete(self) -> None:
        if self._is_chunked:
            self._lines.append(b"transfer-encoding: chunked\r\n")
        self._out.append(b"HTTP/1.1 %d OK\r\n%b\r\n" % (self._parser.get_status_code(), b"".join(self._lines)))

    def on_body(self, data: bytes) -> None:
        self._out += (b"%x\r\n" % len(data), data, b"\r\n") if self._is_chunked else (data,)

    def on_message_complete(self) -> None:
        if self._is_chunked:
            self._out.append(b"0\r\n\r\n")
        self._is_done = True

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)
        client = self._client
        if client is None:
            return
        if self._out:
            client.write(b"".join(self._out))
            self._out.clear()
        if self._is_done:
            self._client = None
            client.pool.append(self)
            client.expect()


class Client(asyncio.Protocol):
    """A client's connection."""

    def __init__(self, port: int, pool: list[Upstream]) -> None:
        self.pool = pool
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self.expect()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        self._transport = None

    def expect(self) -> None:
        """Make ready for the next request."""
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._lines: list[bytes] = []
        self._body: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send a part of the answer."""
        if self._transport is not None:
            self._transport.write(data)

    def on_url(self, target: bytes) -> None:
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() not in HOP_BY_HOP:
            self._lines.append(name + b": " + value + b"\r\n")

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        method, lines = self._parser.get_method(), b"".join(self._lines)
        head = b"%b %b HTTP/1.1\r\nhost: 127.0.0.1\r\n%b\r\n" % (method, self._target, lines)
        body = b"".join(self._body)
        if self.pool:
            self.pool.pop().ask(self, head, body)
        else:
            self._connecting = asyncio.get_running_loop().create_task(self._connect(head, body))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    async def _connect(self, head: bytes, body: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, upstream = await loop.create_connection(Upstream, "127.0.0.1", self._port)
        upstream.ask(self, head, body)


async def serve(port: int, upstream_port: int) -> None:
    """Serve for ever."""
    pool: list[Upstream] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(upstream_port, pool), "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
