"""Answers while no generation can serve: 503, with the problem and what mends it.

An exit instead would be worse: a service manager would start us again and again for the connections that wait.
"""

import asyncio
import json
import logging
import socket

from claude_gatewayd.model import Problem

logger = logging.getLogger(__name__)

_AT_ONCE = 64
_READ_WITHIN = 5.0
_MOST = 1024 * 1024


class Apology:
    """Accept on *listener* and apologise, while there is something to apologise for."""

    def __init__(self, listener: socket.socket) -> None:
        self.problems: list[Problem] = []
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def apologise(self, problems: list[Problem]) -> None:
        """Answer with *problems* from now on; with none of them, leave the socket to those who serve."""
        was, self.problems = bool(self.problems), problems
        if problems and not was:
            self._listener.setblocking(False)
            self._loop.add_reader(self._listener.fileno(), self._ready)
        elif was and not problems:
            self._loop.remove_reader(self._listener.fileno())

    def _ready(self) -> None:
        if len(self._tasks) >= _AT_ONCE:
            return
        try:
            sock, _address = self._listener.accept()
        except OSError:
            return
        task = self._loop.create_task(self._answer(sock))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, sock: socket.socket) -> None:
        try:
            async with asyncio.timeout(_READ_WITHIN):
                reader, writer = await asyncio.open_connection(sock=sock, limit=_MOST)
                try:
                    request = await reader.readuntil(b"\r\n\r\n")
                    writer.write(_answer(self.problems, is_head=request.startswith(b"HEAD ")))
                    writer.write_eof()
                    while await reader.read(65536):  # read away the body, else a reset overtakes the answer
                        pass
                finally:
                    writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            logger.debug("a caller did not wait for the apology: %s", error)


def _answer(problems: list[Problem], *, is_head: bool) -> bytes:
    said = "; ".join(f"{p.where}: {p.message}" + (f" ({p.hint})" if p.hint else "") for p in problems)
    message = f"claude-gatewayd cannot serve: {said}. Mend it, then run: claude-gatewayctl reload"
    body = json.dumps({"type": "error", "error": {"type": "api_error", "message": message}}).encode()
    return (
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        b"connection: close\r\n\r\n" % len(body)
    ) + (b"" if is_head else body)
