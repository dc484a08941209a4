"""An Anthropic without a socket, at times of the loop: for tests whose clock leaps."""

import asyncio
import json
from collections import deque
from typing import NamedTuple

from claude_gatewayd.http1.upstream.connection import UpstreamConnection
from tests.fakes.transport import Wire

OK = b'{"type":"message"}'


class Says(NamedTuple):
    """What Anthropic answers, *after* so many seconds."""

    status: int = 200
    after: float = 0.0
    headers: tuple[bytes, ...] = ()
    message: str = ""
    has_body: bool = True

    @property
    def data(self) -> bytes:
        """The answer on the wire."""
        error = {"type": "error", "error": {"type": "x", "message": self.message}}
        body = OK if self.status == 200 else json.dumps(error).encode()
        lines = (b"Content-Type: application/json", b"Content-Length: %d" % len(body), *self.headers)
        return b"HTTP/1.1 %d X\r\n%b\r\n\r\n%b" % (self.status, b"\r\n".join(lines), body if self.has_body else b"")


class Anthropic:
    """Anthropic: it answers by a list, and then always well. Times are by the loop."""

    def __init__(self) -> None:
        self.answers: deque[Says] = deque()
        self.asked: list[float] = []
        self.given_up: list[float] = []

    async def connect(self) -> UpstreamConnection:
        """Connect: at once."""
        connection = UpstreamConnection()
        _Line(connection, self)
        return connection


class _Line(Wire):
    """One connection to it."""

    def __init__(self, connection: UpstreamConnection, anthropic: Anthropic) -> None:
        self._anthropic = anthropic
        self._answering: asyncio.Task[None] | None = None
        super().__init__(connection)

    def writelines(self, list_of_data: object) -> None:
        self._anthropic.asked.append(self._loop.time())
        answers = self._anthropic.answers
        self._answering = asyncio.ensure_future(self._answer(answers.popleft() if answers else Says()))

    async def _answer(self, says: Says) -> None:
        await asyncio.sleep(says.after)
        self._answering = None
        await self.say([says.data])

    def abort(self) -> None:
        if self._answering is not None:
            self._answering.cancel()
            self._answering = None
            self._anthropic.given_up.append(self._loop.time())
        super().abort()
