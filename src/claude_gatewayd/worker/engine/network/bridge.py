"""A proxy on this machine for LiteLLM alone, that leads through a SOCKS proxy: its libraries speak none."""

import asyncio
import base64
import contextlib
import hmac
import secrets
import socket
from typing import Final

from claude_gatewayd.network import socks
from claude_gatewayd.network.proxy import Proxy

_WITHIN: Final = 10.0  # seconds, for what LiteLLM asks, and for the SOCKS proxy to connect
_CHUNK: Final = 64 * 1024
_LONGEST: Final = 8192


class SocksBridge:
    """It listens as soon as it is made; `serve` answers, until it is cancelled. Nobody else knows its password."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._password = secrets.token_urlsafe(24)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self._authorization = b"Basic " + base64.b64encode(f"gateway:{self._password}".encode())

    @property
    def url(self) -> str:
        """Return the URL by which LiteLLM asks it."""
        return f"http://gateway:{self._password}@127.0.0.1:{self._port}"

    async def serve(self) -> None:
        """Serve until cancelled."""
        talks: set[asyncio.Task[None]] = set()

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            talk = asyncio.ensure_future(self._talk(reader, writer))
            talks.add(talk)
            talk.add_done_callback(talks.discard)

        server = await asyncio.start_server(begin, sock=self._listener, limit=_LONGEST)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            for talk in talks:
                talk.cancel()
            await asyncio.gather(*talks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_WITHIN):
                host, port = self._asked(await reader.readuntil(b"\r\n\r\n"))
                sock = await socks.connect(self._proxy, host, port, _WITHIN)
            there, out = await asyncio.open_connection(sock=sock)
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
                both.create_task(_copy(reader, out))
                both.create_task(_copy(there, writer))
        finally:
            out.transport.abort()
            writer.transport.abort()

    def _asked(self, head: bytes) -> tuple[str, int]:
        """Return where LiteLLM wants to go. Raises ValueError where it is not LiteLLM that asks."""
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
    """Copy until the end of one direction, and say so in the other."""
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
