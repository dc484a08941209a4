"""How long an upstream may be silent."""

import asyncio

import pytest

from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from tests.fakes.transport import settle
from tests.support.exchanging import KB, OK, REQUEST, Upstream
from tests.support.leaping import on_leaping_time
from tests.support.loop import on_uvloop
from tests.support.sinks import Pieces


@pytest.mark.parametrize(
    ("stream", "silent", "word"),
    [
        (b"", True, "of an answer"),
        (b"HTTP/1.1 200 OK\r\nX", False, "of an answer"),
        (b"HTTP/1.1 103 Early\r\n\r\n", False, "of an answer"),
        (OK[:-1], False, "of its answer"),
        (b"HTTP/1.1 200 OK\r\n\r\n", False, "of its answer"),
    ],
)
@on_uvloop
async def test_silence(stream: bytes, silent: bool, word: str) -> None:
    upstream = Upstream()
    failed = await upstream.fails([stream] if stream else [], seconds=0.1, silence=0.1)
    assert (failed.kind, failed.silent) == ("timeout", silent)
    assert word in failed.detail
    assert upstream.wire.closed


@on_uvloop
async def test_a_slow_answer_is_not_silent() -> None:
    upstream = Upstream()
    connection = upstream.connection
    connection.send(REQUEST, b"", without_body=False, complete=True)
    sink = Pieces()
    await upstream.wire.say([OK[:-5]])
    await connection.answer(0.2)
    connection.begin_pipe(sink, raw=True, silence=0.2)
    piping = asyncio.ensure_future(connection.piped())
    for at in range(5):
        await asyncio.sleep(0.1)
        await upstream.wire.say([b"hello"[at : at + 1]])
    await piping
    assert sink.data == b"hello"


@pytest.mark.parametrize("asleep", [0.0, 86400.0])
@on_leaping_time
async def test_pings_alone_are_heard_for_so_long_only(asleep: float) -> None:
    """At the default, ten minutes, and with pings as often as Anthropic sends them; our own pauses do not count."""
    upstream = Upstream()
    connection, wire, loop = upstream.connection, upstream.wire, asyncio.get_running_loop()
    connection.send(REQUEST, b"", without_body=False, complete=True)
    await wire.say([b"HTTP/1.1 200 OK\r\n\r\n"])
    await connection.answer(1.0)
    sink = Pieces()
    connection.begin_pipe(sink, raw=True, silence=600.0, watch=lambda data: data == b"ping", only_pings=1800.0)
    piping = asyncio.ensure_future(connection.piped())
    await settle()
    if asleep:
        connection.pause_reading()
        await asyncio.sleep(asleep)
        connection.resume_reading()
    for _ in range(100):
        await asyncio.sleep(15.0)
        await wire.say([b"ping"])
    await wire.say([b"a word"])
    begun = loop.time()
    while not piping.done():
        await asyncio.sleep(15.0)
        await wire.say([b"ping"])
    assert 1800 <= loop.time() - begun <= 1815
    with pytest.raises(UpstreamFailed, match="nothing of its answer but pings came in time") as caught:
        await piping
    assert caught.value.kind == "timeout"


@on_uvloop
async def test_a_head_that_dribbles_gets_no_longer_for_it() -> None:
    upstream = Upstream()
    upstream.connection.send(REQUEST, b"", without_body=False, complete=True)
    answering = asyncio.ensure_future(upstream.connection.answer(0.25))
    for sign in OK[:40]:
        if answering.done():
            break
        await asyncio.sleep(0.05)
        await upstream.wire.say([bytes([sign])])
    with pytest.raises(UpstreamFailed) as caught:
        await answering
    assert (caught.value.kind, caught.value.silent) == ("timeout", False)


@on_uvloop
async def test_the_time_for_an_answer_runs_from_the_end_of_the_request() -> None:
    upstream = Upstream()
    connection = upstream.connection
    connection.send(REQUEST, b"", without_body=False, complete=False)
    answering = asyncio.ensure_future(connection.answer(0.15))
    await asyncio.sleep(0.3)
    connection.write(b"more")
    assert not answering.done()
    connection.request_complete()
    with pytest.raises(UpstreamFailed, match="in time"):
        await answering
    assert upstream.wire.heard == REQUEST + b"more"


@on_uvloop
async def test_an_answer_before_the_end_of_the_request() -> None:
    upstream = Upstream()
    connection = upstream.connection
    connection.send(REQUEST, b"", without_body=False, complete=False)
    await upstream.wire.say([OK])
    assert (await connection.answer(1.0)).status == 200
    connection.begin_pipe(Pieces(), raw=True, silence=1.0)
    await connection.piped()
    assert not connection.reusable
    connection.abort()
    await settle()


@on_uvloop
async def test_a_large_request_on_a_slow_line_is_on_its_way() -> None:
    upstream = Upstream()
    wire = upstream.wire
    wire.slow = True
    upstream.connection.send(REQUEST, b"x" * 300 * KB, without_body=False, complete=True)
    answering = asyncio.ensure_future(upstream.connection.answer(0.15))
    for _ in range(6):
        await asyncio.sleep(0.1)
        wire.unsent = wire.unsent[10 * KB :]
        assert not answering.done()
    with pytest.raises(UpstreamFailed, match="in time"):  # and now it does not move any more
        await answering
