"""What the fake proxies share: a server in a thread of its own, and bytes in both directions."""

import asyncio
import contextlib
import socket
import ssl
import threading
from types import TracebackType
from typing import Final, Self

_TIMEOUT: Final = 60.0


class ProxyServer:
    """Listen on a port of this machine, and `serve` each client, until `close`. With *context* over TLS."""

    def __init__(self, name: str, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Accept from now on."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(_TIMEOUT)

    def close(self) -> None:
        """End every conversation, and the thread."""
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(_TIMEOUT)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_TIMEOUT)
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._talk, sock=self._listener, ssl=self._context)

    async def _shut(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client, as the kind of proxy does."""
        raise NotImplementedError

    async def pipe(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, opened: bytes = b""
    ) -> None:
        """Let a client talk to another port of this machine, having written *opened*, until one of the two ends."""
        there, out = await asyncio.open_connection("127.0.0.1", port)
        writer.write(opened)
        tasks = [asyncio.ensure_future(_copy(*way)) for way in ((reader, out), (there, writer))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in tasks:
                one.cancel()
            out.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                await self.serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
