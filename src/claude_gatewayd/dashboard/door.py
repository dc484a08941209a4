"""Uvicorn on connections that the worker has made: this process listens nowhere."""

import asyncio
import contextlib
import functools
import socket
from typing import Any

import uvicorn

_AT_ONCE = 64
_ENDS_WITHIN = 4  # seconds for what is under way, less than the worker waits


class Door(uvicorn.Server):
    """Serve *app* on the connections that arrive on *sock*, until `stop` or the end of it."""

    def __init__(self, app: Any, sock: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="none",
                lifespan="off",
                http="httptools",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_ENDS_WITHIN,
                timeout_keep_alive=60,
            )
        )
        self._sock = sock
        self._stopped = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # the feed ends us
        sock.setblocking(False)

    async def run_until_stopped(self) -> None:
        """Serve, and end what is under way."""
        await self.serve(sockets=[])

    def stop(self) -> None:
        """Have it end."""
        self.should_exit = True
        self._stopped.set()

    async def main_loop(self) -> None:
        """Take connections until it is to end, without uvicorn's looking ten times a second whether it is."""
        loop = asyncio.get_running_loop()
        await self.on_tick(0)  # which sets the headers of every answer
        loop.add_reader(self._sock.fileno(), self._take)
        try:
            await self._stopped.wait()
        finally:
            loop.remove_reader(self._sock.fileno())

    def _take(self) -> None:
        """Take what has arrived, and say so: until then the worker keeps its copy of the descriptor."""
        loop = asyncio.get_running_loop()
        for _ in range(_AT_ONCE):
            try:
                data, descriptors, _flags, _address = socket.recv_fds(self._sock, 1, 1)
                if data:
                    self._sock.send(b"t")
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            for descriptor in descriptors:
                task = loop.create_task(self._serve_on(socket.socket(fileno=descriptor)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            if not data:
                self.stop()
                return

    async def _serve_on(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        protocol: Any = self.config.http_protocol_class
        connect = functools.partial(
            protocol, config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        await asyncio.get_running_loop().connect_accepted_socket(connect, sock)
