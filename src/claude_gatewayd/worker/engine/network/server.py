"""Uvicorn's server, without the loop that looks ten times a second whether it is to end."""

import asyncio
import contextlib
import socket

import uvicorn


class EventServer(uvicorn.Server):
    """Serve until `stop`. *is_started* is set when the application has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_started = asyncio.Event()
        self._stop_asked = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        """Have it end; from any thread."""
        self.should_exit = True
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(self._stop_asked.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application. Raises SystemExit if it does not start."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.is_started.set()

    async def main_loop(self) -> None:
        """Wait until it is to end."""
        if not await self.on_tick(0):  # which sets the headers of every answer
            await self._stop_asked.wait()
