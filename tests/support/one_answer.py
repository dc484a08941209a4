"""A client's connection of those that make load: small, for there are hundreds in a process."""

import asyncio
from typing import Any, Final, NamedTuple, cast

import httptools

GONE: Final = 0  # in place of a status: the connection ended


class Outcome(NamedTuple):
    """An answer's status, and whether it is whole, or as much of it as was wanted."""

    status: int
    is_whole: bool


class OneAnswer(asyncio.Protocol):
    """A connection that has one answer at a time. Who wants to see bodies overrides `on_body` and `is_whole`."""

    def __init__(self) -> None:
        self.is_open = False
        self._outcome: asyncio.Future[Outcome] | None = None
        self._status = GONE

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self.settle(is_whole=False)

    def ask(self, request: bytes) -> "asyncio.Future[Outcome]":
        """Send a request; return what has its outcome when the answer has come, or the connection has ended."""
        self._parser: Any = httptools.HttpResponseParser(self)
        self._status = GONE
        self._outcome = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._outcome

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        """See a piece of the body."""

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        self.settle(is_whole=self.is_whole())

    def is_whole(self) -> bool:
        """Return whether an answer that has ended is what was asked for."""
        return True

    def settle(self, *, is_whole: bool) -> None:
        """Let whoever asked have the outcome."""
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(Outcome(self._status, is_whole))

    def close(self) -> None:
        """Close it."""
        self.is_open = False
        self.transport.close()
