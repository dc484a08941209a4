"""Answers cut anywhere, upstreams that fail in each phase, and what comes unasked."""

import asyncio
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.http1 import framing
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from tests.fakes.transport import settle
from tests.support.cuts import cut_anywhere
from tests.support.exchanging import FUZZ, OK, REQUEST, Upstream
from tests.support.loop import on_uvloop

# any answer, however it is cut


CHUNKED = st.tuples(
    st.lists(st.binary(min_size=1, max_size=30), max_size=4), st.sampled_from([[], [b"X-T: 1", b"X-U:2"]])
)


class Planned(NamedTuple):
    """An answer's bytes and what is to come of them."""

    stream: bytes
    raw: bytes
    payload: bytes
    trailers: list[bytes]
    interim: list[int]
    without_body: bool
    until_close: bool
    keep: bool


@st.composite
def answers(draw: st.DrawFn) -> Planned:
    kind = draw(st.sampled_from(["counted", "chunked", "until close", "head", "204", "304"]))
    lines = draw(st.sampled_from([[], [b"X-A: b"], [b"Set-Cookie: a", b"Set-Cookie: b"]]))
    keep = draw(st.booleans())
    raw = payload = b""
    trailers: list[bytes] = []
    status = b"200"
    if not keep:
        lines = [*lines, b"Connection: close"]
    if kind == "counted":
        raw = payload = draw(st.binary(max_size=60))
        lines = [*lines, b"Content-Length: %d" % len(raw)]
    elif kind == "chunked":
        pieces, trailers = draw(CHUNKED)
        payload = b"".join(pieces)
        raw = b"".join(map(framing.chunk, pieces)) + framing.last_chunk(trailers)
        lines = [*lines, b"Transfer-Encoding: chunked"]
    elif kind == "until close":
        raw = payload = draw(st.binary(max_size=60))
    else:
        lines = [*lines, draw(st.sampled_from([b"Content-Length: 7", b"Transfer-Encoding: chunked", b"X: y"]))]
        status = status if kind == "head" else kind.encode()
    head = b"\r\n".join([b"HTTP/1.1 " + status + b" Reason", *lines]) + b"\r\n\r\n"
    early = draw(st.lists(st.sampled_from([100, 102, 103]), max_size=2))
    before = b"".join(b"HTTP/1.1 %d Early\r\nLink: x\r\n\r\n" % number for number in early)
    interim = [number for number in early if number != 100]
    return Planned(before + head + raw, raw, payload, trailers, interim, kind == "head", kind == "until close", keep)


@FUZZ
@given(st.lists(answers(), min_size=1, max_size=3), st.booleans(), st.booleans(), st.data())
def test_any_answers_cut_anywhere(planned: list[Planned], raw: bool, late: bool, data: st.DataObject) -> None:
    async def talk() -> None:
        upstream = Upstream()
        for number, plan in enumerate(planned):
            pieces = data.draw(cut_anywhere(plan.stream))
            got = await upstream.exchange(
                pieces, without_body=plan.without_body, raw=raw, ends=plan.until_close, late=late
            )
            assert got.body == (plan.raw if raw else plan.payload)
            assert got.watched == plan.payload
            assert got.interim == plan.interim
            assert upstream.connection.trailers == plan.trailers
            assert upstream.connection.reusable == (plan.keep and not plan.until_close)
            assert upstream.wire.heard == REQUEST * (number + 1)
            if not upstream.connection.reusable:
                break
            upstream.connection.keep()
        upstream.connection.abort()
        await settle()

    asyncio.run(talk())


@FUZZ
@given(answers(), st.booleans(), st.data())
def test_an_answer_cut_short_anywhere(plan: Planned, late: bool, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(plan.stream) - 1))
    short = plan.stream[:place]
    head_is_there = len(plan.stream) - len(plan.raw) <= place

    async def talk() -> None:
        upstream = Upstream()
        if plan.until_close and head_is_there:
            got = await upstream.exchange(data.draw(cut_anywhere(short)), ends=True, late=late)
            assert plan.raw.startswith(got.body)
            assert not upstream.connection.reusable
            return
        with pytest.raises(UpstreamFailed) as caught:
            await upstream.exchange(
                data.draw(cut_anywhere(short)), without_body=plan.without_body, ends=True, late=late
            )
        assert (caught.value.kind, caught.value.silent) == ("lost", not short)
        assert upstream.connection.lost

    asyncio.run(talk())


MALFORMED = [
    b"<html><body>502</body></html>\r\n\r\n",
    b"SSH-2.0-OpenSSH\r\n\r\n",
    b"HTTP/2.0 200 OK\r\n\r\n",
    b"\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
    b"HTTP/1.1 103 Early\r\n\r\nrubbish\r\n\r\n",
    b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n",
]


@pytest.mark.parametrize("stream", MALFORMED, ids=lambda stream: repr(stream[:50]))
def test_an_answer_that_is_none(stream: bytes) -> None:
    async def talk() -> None:
        for pieces in ([stream], [stream[:20], stream[20:]]):
            for late in (False, True):
                upstream = Upstream()
                failed = await upstream.fails(pieces, late=late)
                assert (failed.kind, failed.silent) == ("malformed", False)
                assert upstream.wire.closed

    asyncio.run(talk())


def test_an_upstream_that_closes_in_each_phase() -> None:
    async def talk() -> None:
        for late in (False, True):
            assert (await Upstream().fails([], ends=True, late=late)).silent
            assert not (await Upstream().fails([b"H"], ends=True, late=late)).silent
            assert not (await Upstream().fails([OK[:-1]], ends=True, late=late)).silent
            assert not (await Upstream().fails([b"HTTP/1.1 100 Continue\r\n\r\n"], ends=True, late=late)).silent

    asyncio.run(talk())


def test_a_reset_ends_no_body() -> None:
    """Only an orderly end may end a body that runs until the close."""

    async def talk() -> None:
        upstream = Upstream()
        asking = asyncio.ensure_future(upstream.fails([b"HTTP/1.1 200 OK\r\n\r\nhalf"]))
        await settle()
        await settle()
        await upstream.wire.vanish()
        assert (await asking).kind == "lost"

    asyncio.run(talk())


@pytest.mark.parametrize(
    ("most", "early"),
    [
        (128, b"HTTP/1.1 100 Continue\r\n\r\n"),
        (128, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        (6, b"HTTP/1.1 103 Early Hints\r\nX: %b\r\n\r\n" % (b"x" * 10_000)),
    ],
)
@on_uvloop
async def test_interim_answers_have_an_end(most: int, early: bytes) -> None:
    """Each exchange has its own share of them."""
    upstream = Upstream()
    for _ in range(2):
        got = await upstream.exchange([early * (most // 2), early * (most // 2), OK])
        assert got.body == b"hello"
        assert len(got.interim) == (most if b"103" in early else 0)
        upstream.connection.keep()
    for pieces in ([early * (most + 1), OK], [early] * (most + 1)):
        failed = await Upstream().fails(pieces)
        assert (failed.kind, failed.silent) == ("malformed", False)
        assert "interim answers without end" in failed.detail


# what comes unasked


def test_more_than_the_answer() -> None:
    async def talk() -> None:
        upstream = Upstream()  # in one piece
        assert (await upstream.exchange([OK + b"HTTP/1.1 200 OK\r\n"])).body == b"hello"
        assert not upstream.connection.reusable
        upstream = Upstream()  # behind it
        assert (await upstream.exchange([OK, b"more"])).body == b"hello"
        await settle()
        assert not upstream.connection.reusable
        assert upstream.wire.closed
        upstream = Upstream()  # where no body is
        assert (await upstream.exchange([OK], without_body=True)).body == b""
        assert not upstream.connection.reusable
        upstream = Upstream()
        assert (await upstream.exchange([b"HTTP/1.1 204 No\r\n\r\nmore"])).body == b""
        assert not upstream.connection.reusable
        await settle()

    asyncio.run(talk())


def test_it_is_not_reusable_from_the_very_moment() -> None:
    async def talk() -> None:
        upstream = Upstream()
        await upstream.exchange([OK])
        assert upstream.connection.reusable
        upstream.connection.data_received(b"more")
        assert not upstream.connection.reusable
        await settle()

    asyncio.run(talk())


def test_a_connection_that_ends_as_it_is_used() -> None:
    """Whoever asks is told at once, and does not wait for the time to run out."""

    async def talk() -> None:
        upstream = Upstream()
        upstream.connection.close()
        upstream.connection.send(REQUEST, b"body", without_body=False, complete=True)
        with pytest.raises(UpstreamFailed) as caught:
            await upstream.connection.answer(60.0)
        assert (caught.value.kind, caught.value.silent) == ("lost", True)
        upstream = Upstream()
        await upstream.exchange([OK])
        upstream.connection.keep()
        await upstream.wire.vanish()
        upstream.connection.send(REQUEST, b"body", without_body=False, complete=True)
        with pytest.raises(UpstreamFailed) as caught:
            async with asyncio.timeout(10):
                await upstream.connection.answer(60.0)
        assert (caught.value.kind, caught.value.silent) == ("lost", True)

    asyncio.run(talk())


def test_who_gives_up_can_abort() -> None:
    async def talk() -> None:
        for stream in (b"", OK[:-1]):
            upstream = Upstream()
            asking = asyncio.ensure_future(upstream.exchange([stream] if stream else []))
            await settle()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            upstream.connection.abort()
            await settle()
            assert upstream.wire.closed

    asyncio.run(talk())


def test_an_abort_is_told_to_who_waits() -> None:
    async def talk() -> None:
        upstream = Upstream()
        asking = asyncio.ensure_future(upstream.fails([OK[:-1]]))
        await settle()
        upstream.connection.abort()
        assert (await asking).kind == "lost"

    asyncio.run(talk())
