"""Who is slow holds up the other side; a look at the beginning loses nothing."""

import asyncio
import time

import pytest

from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from tests.fakes.transport import settle
from tests.support.exchanging import KB, OK, REQUEST, Upstream
from tests.support.loop import on_uvloop
from tests.support.sinks import Dam, Pieces


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("full_at_once", [False, True])
@on_uvloop
async def test_a_full_sink_holds_up_the_answer(late: bool, full_at_once: bool) -> None:
    """Whatever had come before it was asked for; and the silence that this makes is not the upstream's."""
    upstream = Upstream()
    connection, wire = upstream.connection, upstream.wire
    connection.send(REQUEST, b"", without_body=False, complete=True)
    await wire.say([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1024 * KB)])
    pieces = [b"x" * 16 * KB] * 64
    if late:
        await wire.say(pieces)
        assert not wire.is_reading()
    await connection.answer(1.0)
    dam = Dam(full_at_once=full_at_once)
    connection.begin_pipe(dam, raw=True, silence=0.1)
    piping = asyncio.ensure_future(connection.piped())
    await settle()
    if not late:
        await wire.say(pieces)
    await settle()
    assert dam.got <= (256 + 16) * KB if late else dam.got <= 16 * KB
    await asyncio.sleep(0.3)
    assert not piping.done()
    dam.open()
    await piping
    assert dam.got == 1024 * KB
    assert dam.source is None


@on_uvloop
async def test_an_answer_that_nobody_asks_for_is_not_kept() -> None:
    upstream = Upstream()
    upstream.connection.send(REQUEST, b"", without_body=False, complete=True)
    await upstream.wire.say([b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 16 * KB] * 64])
    assert not upstream.wire.is_reading()
    sink = Pieces()
    await upstream.connection.answer(1.0)
    upstream.connection.begin_pipe(sink, raw=True, silence=1.0)
    assert len(sink.data) <= (256 + 16) * KB
    await upstream.wire.end()
    await upstream.connection.piped()
    assert len(sink.data) == 1024 * KB


@pytest.mark.parametrize("late", [False, True])
@on_uvloop
async def test_a_look_ends_as_soon_as_enough_is_seen_and_loses_nothing(late: bool) -> None:
    upstream = Upstream()
    connection, wire = upstream.connection, upstream.wire
    connection.send(REQUEST, b"", without_body=False, complete=True)
    await wire.say([OK[:-5], *([b"he", b"ll"] if late else [])])
    await connection.answer(1.0)
    seen: list[bytes] = []

    def sees(payload: Bytes) -> bool:
        seen.append(bytes(payload))
        return b"l" in payload

    looking = asyncio.ensure_future(connection.look(sees, 5.0))
    await settle()
    if not late:
        assert not looking.done()
        await wire.say([b"he", b"ll"])
    await settle()
    assert looking.done()
    await looking
    await wire.say([b"o"])
    assert seen == [b"he", b"ll"]
    sink = Pieces()
    connection.begin_pipe(sink, raw=True, silence=1.0)
    await connection.piped()
    assert sink.data == b"hello"


@pytest.mark.parametrize("how", ["the end", "its time", "all that may be kept", "all that may be kept, before it"])
@on_uvloop
async def test_a_look_that_sees_nothing_ends(how: str) -> None:
    """And at once where nothing more can come: who looks later than what it looks at has come would wait in vain."""
    upstream = Upstream()
    connection, wire = upstream.connection, upstream.wire
    connection.send(REQUEST, b"", without_body=False, complete=True)
    length = 320 * KB if how != "the end" else 32 * KB
    await wire.say([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length])
    await connection.answer(1.0)
    much = [b"x" * 16 * KB] * (length // 16 // KB)
    begun = time.monotonic()
    if how.endswith("before it"):
        await wire.say(much)
    looking = asyncio.ensure_future(connection.look(lambda payload: False, 0.2 if how == "its time" else 9.0))
    if how.startswith("all"):
        await wire.say(much)
        assert not wire.is_reading()
    elif how == "the end":
        await wire.say(much)
        assert connection.body_done
    await looking
    assert time.monotonic() - begun < 3
    connection.abort()


@on_uvloop
async def test_a_look_at_what_breaks() -> None:
    upstream = Upstream()
    upstream.connection.send(REQUEST, b"", without_body=False, complete=True)
    await upstream.wire.say([OK[:-1]])
    await upstream.connection.answer(1.0)
    looking = asyncio.ensure_future(upstream.connection.look(lambda payload: False, 9.0))
    await settle()
    await upstream.wire.vanish()
    with pytest.raises(UpstreamFailed) as caught:
        await looking
    assert (caught.value.kind, caught.value.silent) == ("lost", False)
    with pytest.raises(UpstreamFailed):
        await upstream.connection.look(lambda payload: False, 9.0)


class Spring:
    """A source that knows whether it may flow."""

    def __init__(self) -> None:
        self.flows = True

    def pause_reading(self) -> None:
        self.flows = False

    def resume_reading(self) -> None:
        self.flows = True


@on_uvloop
async def test_a_slow_upstream_holds_up_the_upload() -> None:
    upstream = Upstream()
    spring = Spring()
    upstream.wire.slow = True
    upstream.connection.send(REQUEST, b"", without_body=False, complete=False)
    upstream.connection.source = spring
    upstream.connection.write(b"x" * 100 * KB)
    assert not spring.flows
    upstream.wire.read_on()
    assert spring.flows
    upstream.connection.request_complete()
    assert upstream.connection.source is None
    upstream.connection.abort()
    await settle()
