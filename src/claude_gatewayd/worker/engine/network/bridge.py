"""A local HTTP proxy in front of a SOCKS proxy, for LiteLLM only, whose libraries do not speak SOCKS."""

import asyncio
import base64
import contextlib
import hmac
import secrets
import socket
from typing import Final

from claude_gatewayd.network import socks
from claude_gatewayd.network.proxy import Proxy

_TIMEOUT: Final = 10.0  # seconds: to read LiteLLM's request, and for the SOCKS proxy to connect
_CHUNK: Final = 64 * 1024
_MAX_HEAD: Final = 8192


class SocksBridge:
    """It listens once it is created; `serve` answers until it is cancelled. Only LiteLLM gets its password."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._password = secrets.token_urlsafe(24)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self._authorization = b"Basic " + base64.b64encode(f"gateway:{self._password}".encode())

    @property
    def url(self) -> str:
        """Its URL for LiteLLM, with the password."""
        return f"http://gateway:{self._password}@127.0.0.1:{self._port}"

    async def serve(self) -> None:
        """Serve until cancelled."""
        connections: set[asyncio.Task[None]] = set()

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = asyncio.ensure_future(self._serve_connection(reader, writer))
            connections.add(connection)
            connection.add_done_callback(connections.discard)

        server = await asyncio.start_server(begin, sock=self._listener, limit=_MAX_HEAD)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            for connection in connections:
                connection.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                host, port = self._target_of(await reader.readuntil(b"\r\n\r\n"))
                sock = await socks.connect(self._proxy, host, port, _TIMEOUT)
            upstream_reader, upstream_writer = await asyncio.open_connection(sock=sock)
        except (socks.SocksRefused, OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            status = b"403 Forbidden" if isinstance(error, ValueError) else b"502 Bad Gateway"
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, upstream_writer))
                both.create_task(_copy(upstream_reader, writer))
        finally:
            upstream_writer.transport.abort()
            writer.transport.abort()

    def _target_of(self, head: bytes) -> tuple[str, int]:
        """Return the host and the port of a CONNECT request. Raises ValueError if it is not LiteLLM's."""
        first, *lines = head.split(b"\r\n")
        method, target, _version = first.split(b" ")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        if method != b"CONNECT" or not hmac.compare_digest(
            fields.get(b"proxy-authorization", b""), self._authorization
        ):
            raise ValueError
        host, _, port = target.decode("ascii").rpartition(":")
        return host.strip("[]"), int(port)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction to its end, then end the other side's input."""
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
