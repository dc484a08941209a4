"""When pings are told in a stream's silences: to the second, on a loop whose time is ours."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

import pytest

from claude_gatewayd.bedrock.stream import BedrockRewriter
from claude_gatewayd.http1 import head
from claude_gatewayd.http1.flow import Bytes, Sink
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.worker.metering.meter import Meter
from claude_gatewayd.worker.relay.rewriting import Passthrough, rewrite_stream
from tests.support.connection import FakeConnection
from tests.support.leaping import Loop

if TYPE_CHECKING:
    from claude_gatewayd.worker.relay.relay import Answer

START = b'event: message_start\ndata: {"type":"message_start","message":{"model":"x"}}\n\n'
DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
PING = b'event: ping\ndata: {"type": "ping"}\n\n'


class EventConnection(FakeConnection):
    """A client's connection that keeps which events it is sent, and when; it can be one that reads nothing more."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[float, str]] = []
        self.ended_at: float | None = None

    def send(self, data: Bytes) -> None:
        if bytes(data).endswith(b"0\r\n\r\n"):  # the last chunk
            self.ended_at = self.loop.time()
        for name in (b"message_start", b"content_block_delta", b"message_stop", b"ping", b"error"):
            if b"event: " + name in bytes(data):
                self.events.append((self.loop.time(), name.decode()))

    def pauses(self, *, paused: bool) -> None:
        """Read nothing more, or go on."""
        self.write_paused = paused
        assert self.answer_source is not None
        if paused:
            self.answer_source.pause_reading()
        else:
            self.answer_source.resume_reading()


class Upstream:
    """An answer of which *script* says what comes when."""

    def __init__(self, script: Callable[[Sink], Awaitable[None]]) -> None:
        self._script = script
        self.paused: list[bool] = []

    async def pipe_to(self, sink: Sink, *, silence: float) -> None:
        """Write what the script says."""
        sink.source = self
        try:
            await self._script(sink)
        finally:
            sink.source = None

    def pause_reading(self) -> None:
        self.paused.append(True)

    def resume_reading(self) -> None:
        self.paused.append(False)


def events_of(script: Callable[[Sink, EventConnection], Awaitable[None]]) -> tuple[list[tuple[float, str]], Upstream]:
    """Return what a client is told, and when, if *script* is what comes from upstream."""

    async def run() -> tuple[list[tuple[float, str]], Upstream]:
        client = EventConnection()
        exchange = Exchange(client, head.parse_request(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\n\r\n"))
        upstream = Upstream(lambda sink: script(sink, client))
        answer = cast("Answer", upstream)
        await rewrite_stream(answer, exchange, [], BedrockRewriter("x"), meter=Meter(), silence=999, ping_after=10)
        await asyncio.sleep(100)  # a timer that was left behind would tell more
        return client.events, upstream

    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(run())


def test_a_ping_each_ten_seconds_of_silence_and_none_but_there() -> None:
    async def script(sink: Sink, client: EventConnection) -> None:
        await asyncio.sleep(25)  # nothing has begun
        sink.write(START)
        await asyncio.sleep(9)
        sink.write(DELTA)
        await asyncio.sleep(25)
        sink.write(DELTA)
        await asyncio.sleep(1)
        sink.write(STOP)
        await asyncio.sleep(25)  # all has been said, though the upstream has not ended

    said, _ = events_of(script)
    assert said == [
        (25, "message_start"),
        (34, "content_block_delta"),
        (44, "ping"),
        (54, "ping"),
        (59, "content_block_delta"),
        (60, "message_stop"),
    ]


@pytest.mark.parametrize("nothing", [b": comment\n\n", b"event: content_block_delta\ndata: {", b"\n\n"])
def test_what_is_not_told_on_is_silence(nothing: bytes) -> None:
    async def script(sink: Sink, client: EventConnection) -> None:
        sink.write(START)
        for _ in range(3):
            await asyncio.sleep(4)
            sink.write(nothing)

    said, _ = events_of(script)
    assert said[:2] == [(0, "message_start"), (10, "ping")]


def test_a_ping_of_the_upstreams_is_no_silence() -> None:
    async def script(sink: Sink, client: EventConnection) -> None:
        sink.write(START)
        await asyncio.sleep(9)
        sink.write(PING)
        await asyncio.sleep(9)
        sink.write(STOP)

    said, _ = events_of(script)
    assert said == [(0, "message_start"), (9, "ping"), (18, "message_stop")]


def test_a_client_that_does_not_read_is_told_nothing_and_the_upstream_is_held_up() -> None:
    async def script(sink: Sink, client: EventConnection) -> None:
        sink.write(START)
        await asyncio.sleep(5)
        client.pauses(paused=True)
        sink.write(DELTA)  # was on its way
        await asyncio.sleep(300)
        client.pauses(paused=False)
        await asyncio.sleep(15)
        sink.write(STOP)

    said, upstream = events_of(script)
    assert said == [
        (0, "message_start"),
        (5, "content_block_delta"),
        (315, "ping"),
        (320, "message_stop"),
    ]
    assert upstream.paused == [True, False]


def test_a_client_that_was_full_before_the_upstream_was_asked_to_wait() -> None:
    async def script(sink: Sink, client: EventConnection) -> None:
        sink.write(START)
        client.write_paused = True
        sink.source = sink.source  # what is set last finds the client full
        await asyncio.sleep(300)
        client.pauses(paused=False)
        await asyncio.sleep(11)

    said, upstream = events_of(script)
    assert said == [(0, "message_start"), (310, "ping"), (311, "error")]
    assert upstream.paused == [True, False]


def test_nothing_follows_where_the_upstream_fails() -> None:
    async def script(sink: Sink, client: EventConnection) -> None:
        sink.write(START)
        await asyncio.sleep(5)
        raise UpstreamFailed("lost", "it is gone")

    assert events_of(script)[0] == [(0, "message_start"), (5, "error")]


FAILED = b'event: engine_error\ndata: {"kind": "throttlingException", "status": 429, "message": "Too many"}\n\n'


@pytest.mark.parametrize(("last", "name"), [(STOP, "message_stop"), (FAILED, "error")])
def test_a_client_does_not_wait_for_an_upstream_that_stays_after_the_end(last: bytes, name: str) -> None:
    ends: list[float | None] = []

    async def script(sink: Sink, client: EventConnection) -> None:
        sink.write(START)
        await asyncio.sleep(3)
        sink.write(last)
        await asyncio.sleep(1)
        sink.write(DELTA)
        try:
            await asyncio.sleep(120)
        finally:
            ends.extend((client.ended_at, client.loop.time()))

    assert events_of(script)[0] == [(0, "message_start"), (3, name)]
    assert ends == [3, 8]


def test_an_upstream_has_time_for_what_it_does_after_the_end() -> None:
    """LiteLLM calls the person's callbacks, and would take us for a client that went away."""
    done: list[float | None] = []

    async def script(sink: Sink, client: EventConnection) -> None:
        sink.write(START + STOP)
        await asyncio.sleep(4)
        done.append(client.ended_at)

    events_of(script)
    assert done == [0]


ALONE = b'event: message_start\ndata: {"type":"message_start"}\n\n'
LAST = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_stream_as_it_is_however_it_is_cut(ending: bytes) -> None:
    stream = (ALONE + b": a comment\n\n" + PING + LAST).replace(b"\n", ending)
    for size in (1, 2, 3, 7, 50, len(stream)):
        rewriter = Passthrough("own")
        pieces = [rewriter.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
        assert b"".join(pieces) == stream
        assert all(piece.endswith(ending * 2) for piece in pieces if piece), "a ping may stand between any two"
        assert rewriter.complete
        assert rewriter.finish(None) == b""


@pytest.mark.parametrize("cut", [0, len(ALONE), len(ALONE) + 20, len(ALONE + LAST) - 1])
@pytest.mark.parametrize("failure", [None, UpstreamFailed("timeout", "no byte came", silent=False)])
def test_one_without_an_end_ends_in_an_error(cut: int, failure: UpstreamFailed | None) -> None:
    rewriter = Passthrough("own")
    told = rewriter.feed((ALONE + LAST)[:cut]) + rewriter.finish(failure)
    *_, last, nothing = told.split(b"\n\n")
    assert nothing == b""
    assert last.startswith(b"event: error\ndata: ")
    assert b"own's answer broke off: " in last
    assert (b"timeout_error" in last) is (failure is not None)


def test_an_error_in_the_middle_is_the_end_however_long_it_is() -> None:
    message = "of arn:aws:bedrock:us-west-2:123456789012:x " + "y" * 100_000
    error = {"type": "error", "error": {"type": "overloaded_error", "message": message}}
    rewriter = Passthrough("own")
    told = rewriter.feed(ALONE + b"event: error\ndata: " + json.dumps(error).encode() + b"\n\n" + LAST)
    assert rewriter.complete
    assert told.startswith(ALONE + b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error"')
    assert b"123456789012" not in told
    assert len(told) < 3000
    assert rewriter.finish(None) == b""
