"""A connection to an upstream, and the upstream at its other end."""

import asyncio
from typing import NamedTuple

import pytest
from hypothesis import settings

from claude_gatewayd.http1.head import ResponseHead
from claude_gatewayd.http1.upstream.connection import UpstreamConnection, UpstreamFailed
from tests.fakes.transport import Wire, settle
from tests.support.sinks import Pieces

KB = 1024
FUZZ = settings(max_examples=200, deadline=None)
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Got(NamedTuple):
    """An answer that was read to its end."""

    head: ResponseHead
    body: bytes
    watched: bytes
    interim: list[int]


class Upstream:
    """A connection to an upstream, and the upstream itself: `wire` is its end."""

    def __init__(self) -> None:
        self.connection = UpstreamConnection()
        self.wire = Wire(self.connection)

    async def exchange(
        self,
        pieces: list[bytes],
        *,
        request: bytes = REQUEST,
        without_body: bool = False,
        raw: bool = True,
        ends: bool = False,
        late: bool = False,
        seconds: float = 5.0,
        silence: float = 5.0,
    ) -> Got:
        """Ask, let it answer with *pieces* (and with *ends* end), and read; with *late* only when all has come."""
        interim: list[int] = []
        watched: list[bytes] = []
        sink = Pieces()
        self.connection.send(
            request,
            b"",
            without_body=without_body,
            complete=True,
            interim=lambda early: interim.append(early.status),
        )
        saying = asyncio.ensure_future(self._say(pieces, ends=ends))
        try:
            if late:
                await saying
            head = await self.connection.answer(seconds)
            self.connection.begin_pipe(sink, raw=raw, silence=silence, watch=lambda data: watched.append(bytes(data)))
            await self.connection.piped()
            return Got(head, sink.data, b"".join(watched), interim)
        finally:
            await saying

    async def _say(self, pieces: list[bytes], *, ends: bool) -> None:
        await self.wire.say(pieces)
        if ends:
            await self.wire.end()

    async def fails(
        self, pieces: list[bytes], *, ends: bool = False, late: bool = False, **more: float
    ) -> UpstreamFailed:
        """Return how an exchange fails."""
        with pytest.raises(UpstreamFailed) as caught:
            await self.exchange(pieces, ends=ends, late=late, **more)  # type: ignore[arg-type]
        await settle()
        assert not self.connection.reusable
        return caught.value
