"""Answers pass the meter: what reaches the client is what came, and what was used is known."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_gatewayd.bedrock.event_stream import CONTENT_TYPE
from claude_gatewayd.bedrock.stream import BedrockRewriter
from claude_gatewayd.http1 import head
from claude_gatewayd.http1.framing import Chunked
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.http1.upstream.connection import UpstreamConnection, UpstreamFailed
from claude_gatewayd.ledger.token_counts import TokenCounts
from claude_gatewayd.worker.metering.meter import Meter, Reading
from claude_gatewayd.worker.relay.relay import Answer
from claude_gatewayd.worker.relay.rewriting import Passthrough, StreamRewriter, rewrite_stream
from tests.support import invoke_streams as invoke
from tests.support.connection import FakeConnection
from tests.support.cuts import cut_anywhere
from tests.support.exchanging import Upstream
from tests.support.metered_streams import BODY, CODINGS, START, TEXT, WHOLE

if TYPE_CHECKING:
    from claude_gatewayd.http1.upstream.pool import Pool

FUZZ = settings(max_examples=10, deadline=None)
ALL = Reading(TokenCounts(5, 70), "claude-opus-5-5", "msg_1")
REQUEST = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\n\r\n"
EVENTS = b"text/event-stream"

T = TypeVar("T")


class FakePool:
    """A pool that takes what it is given."""

    def release(self, connection: UpstreamConnection) -> None: ...


class Passed(NamedTuple):
    """What came of an answer: the bytes that the client got behind the head, and what the meter read."""

    head: bytes
    raw: bytes
    reading: Reading
    failure: UpstreamFailed | None

    @property
    def body(self) -> bytes:
        """The body without its framing."""
        if b"transfer-encoding: chunked" not in self.head.lower():
            return self.raw
        reader, body, rest = Chunked(), b"", self.raw
        while rest:
            used, payload = reader.feed(rest)
            body += bytes(payload)
            rest = rest[used:]
        assert reader.done
        return body


def run(work: Coroutine[None, None, T]) -> T:
    return asyncio.run(work)


async def _asked(wire: list[bytes], *, ends: bool) -> tuple[Answer, FakeConnection, Exchange, asyncio.Task[None]]:
    upstream = Upstream()
    upstream.connection.send(REQUEST, b"", without_body=False, complete=True)
    saying = asyncio.create_task(_say(upstream, wire, ends=ends))
    found = await upstream.connection.answer(5)
    client = FakeConnection()
    exchange = Exchange(client, head.parse_request(REQUEST))
    return Answer(upstream.connection, cast("Pool", FakePool()), found), client, exchange, saying


async def _say(upstream: Upstream, wire: list[bytes], *, ends: bool) -> None:
    await upstream.wire.say(wire)
    if ends:
        await upstream.wire.end()


async def passed_on(wire: list[bytes], *, watched: bool, pings: float | None = None, ends: bool = False) -> Passed:
    answer, client, exchange, saying = await _asked(wire, ends=ends)
    meter = Meter()
    failure = await answer.pass_on(exchange, [], meter=meter, silence=5, watched=watched, only_pings=pings)
    await saying
    begun, _, raw = client.got.partition(b"\r\n\r\n")
    return Passed(begun, raw, meter.read(), failure)


async def rewritten(wire: list[bytes], rewriter: StreamRewriter, *, ends: bool = False) -> Passed:
    answer, client, exchange, saying = await _asked(wire, ends=ends)
    meter = Meter()
    failure = await rewrite_stream(answer, exchange, [], rewriter, meter=meter, silence=5, ping_after=10)
    await saying
    begun, _, raw = client.got.partition(b"\r\n\r\n")
    return Passed(begun + b"\r\n", raw, meter.read(), failure)


def framed(kind: bytes, coding: str, body: bytes, framing: str) -> bytes:
    """Return an answer as it comes over the wire."""
    lines = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Encoding: %b\r\n" % (kind, coding.encode())
    if framing == "length":
        return lines + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    if framing == "close":
        return lines + b"\r\n" + body
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(body[at : at + 50]), body[at : at + 50]) for at in range(0, len(body), 50))
    return lines + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("kind", ["watched stream", "stream with pings", "stream", "JSON"])
@FUZZ
@given(st.data())
def test_no_byte_changes(kind: str, framing: str, coding: str, data: st.DataObject) -> None:
    body = CODINGS[coding](BODY if kind == "JSON" else WHOLE)
    wire = framed(b"application/json" if kind == "JSON" else EVENTS, coding, body, framing)
    passed = run(
        passed_on(
            data.draw(cut_anywhere(wire)),
            watched=kind == "watched stream",
            pings=100 if "pings" in kind else None,
            ends=framing == "close",
        )
    )
    assert passed.body == body
    assert passed.failure is None
    assert passed.reading == ALL


@pytest.mark.parametrize("watched", [True, False])
def test_of_a_stream_that_breaks_off_there_is_what_came(watched: bool) -> None:
    wire = framed(EVENTS, "", START + TEXT, "chunked").removesuffix(b"0\r\n\r\n")
    passed = run(passed_on([wire], watched=watched, ends=True))
    assert passed.failure is not None
    assert passed.reading.counts == TokenCounts(5, 1)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate"])
@pytest.mark.parametrize("kind", [EVENTS, b"application/json"])
def test_what_is_not_in_its_coding_reaches_the_client_all_the_same(coding: str, kind: bytes) -> None:
    passed = run(passed_on([framed(kind, coding, WHOLE, "chunked")], watched=False))
    assert passed.body == WHOLE
    assert passed.reading == Reading()


@FUZZ
@given(st.data())
def test_bedrock_mode(data: st.DataObject) -> None:
    body = invoke.framed(invoke.START, invoke.TEXT, invoke.END, invoke.STOP)
    passed = run(passed_on(data.draw(cut_anywhere(framed(CONTENT_TYPE, "", body, "chunked"))), watched=False))
    assert passed.body == body
    assert passed.reading == Reading(ALL.counts, ALL.model, "msg_bdrk_1")


@FUZZ
@given(st.data())
def test_a_stream_of_bedrocks_that_is_rewritten(data: st.DataObject) -> None:
    body = invoke.framed(invoke.START, invoke.TEXT, invoke.END, invoke.STOP)
    wire = data.draw(cut_anywhere(framed(CONTENT_TYPE, "", body, "chunked")))
    passed = run(rewritten(wire, BedrockRewriter("as-it-was-asked")))
    assert passed.reading == Reading(TokenCounts(5, 70), "as-it-was-asked", "msg_bdrk_1")


@FUZZ
@given(st.data())
def test_a_stream_of_messages_of_litellms(data: st.DataObject) -> None:
    passed = run(rewritten(data.draw(cut_anywhere(framed(EVENTS, "", WHOLE, "chunked"))), Passthrough("own")))
    assert passed.body == WHOLE
    assert passed.reading == ALL


def test_a_rewritten_stream_that_breaks_off() -> None:
    wire = framed(EVENTS, "", START + TEXT, "chunked").removesuffix(b"0\r\n\r\n")
    passed = run(rewritten([wire], Passthrough("own"), ends=True))
    assert b"event: error" in passed.raw
    assert passed.reading.counts == TokenCounts(5, 1)
