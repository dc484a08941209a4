"""A proxy that is asked by CONNECT and, whatever it is asked for, leads to ports of this machine.

    with ConnectProxy({"bedrock.test:443": fake.port}) as proxy:
        ...                          # HTTPS_PROXY=proxy.url
        assert proxy.asked == ["bedrock.test:443"]

What is not in the map is led to where it says, if that is loopback; all else gets 403. With *user* it wants
"name:password", and answers 407 without.
"""

import asyncio
import base64
import contextlib
import socket
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

_TIMEOUT: Final = 10.0


class ConnectProxy:
    """The proxy, in a thread of its own. *asked* are the targets, in order, refused ones too."""

    def __init__(self, leads_to: Mapping[str, int] | None = None, *, user: str = "") -> None:
        self.asked: list[str] = []
        self._leads_to = dict(leads_to or {})
        self._authorization = "Basic " + base64.b64encode(user.encode()).decode() if user else ""
        self._user = f"{user}@" if user else ""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="connect-proxy", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Its URL, with what it wants."""
        return f"http://{self._user}127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(_TIMEOUT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(_TIMEOUT)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_TIMEOUT)
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._talk, sock=self._listener)

    async def _shut(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, target, _ = head.split(" ", 2)
        self.asked.append(target)
        if self._authorization and f"proxy-authorization: {self._authorization}".lower() not in head.lower():
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        host, _, port = target.rpartition(":")
        at = self._leads_to.get(target, int(port) if host in ("127.0.0.1", "localhost") and port.isdigit() else 0)
        if method != "CONNECT" or not at:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        there, out = await asyncio.open_connection("127.0.0.1", at)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        ways = (self._copy(reader, out), self._copy(there, writer))
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in tasks:
                one.cancel()
            out.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
