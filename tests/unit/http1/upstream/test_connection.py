"""The upstream side: answers cut anywhere, upstreams that fail in each phase, and connections that are used again."""

import asyncio
import time
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_gatewayd.http1 import framing
from claude_gatewayd.http1.flow import Bytes, Source
from claude_gatewayd.http1.head import ResponseHead
from claude_gatewayd.http1.upstream.connection import UpstreamConnection, UpstreamFailed
from claude_gatewayd.http1.upstream.pool import Pool
from tests.fakes.transport import Wire, settle
from tests.support.cuts import cut_anywhere
from tests.support.leaping import on_leaping_time
from tests.support.loop import on_uvloop, until

KB = 1024
FUZZ = settings(max_examples=200, deadline=None)
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Pieces:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""
        self.source: Source | None = None

    def write(self, data: Bytes) -> None:
        self.data += data


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
    told = [number for number in early if number != 100]
    return Planned(before + head + raw, raw, payload, trailers, told, kind == "head", kind == "until close", keep)


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


# deadlines


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


# back-pressure


class Dam:
    """A sink that is full from its first byte on, until it is opened."""

    def __init__(self, *, full_at_once: bool = False) -> None:
        self.got = 0
        self.shut = True
        self._source: Source | None = None
        self._full_at_once = full_at_once

    @property
    def source(self) -> Source | None:
        return self._source

    @source.setter
    def source(self, source: Source | None) -> None:
        self._source = source
        if source is not None and self.shut and (self.got or self._full_at_once):
            source.pause_reading()

    def write(self, data: Bytes) -> None:
        self.got += len(data)
        if self.shut and self._source is not None:
            self._source.pause_reading()

    def open(self) -> None:
        self.shut = False
        assert self._source is not None
        self._source.resume_reading()


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
            async with asyncio.timeout(1):
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


# the pool


class Upstreams:
    """Makes connections, and knows them all."""

    def __init__(self) -> None:
        self.made: list[Upstream] = []

    async def __call__(self) -> UpstreamConnection:
        self.made.append(Upstream())
        return self.made[-1].connection


async def used(pool: Pool, upstreams: Upstreams, *, fresh: bool = False) -> UpstreamConnection:
    """Do one exchange over the pool, and give its connection back."""
    connection, _ = await pool.acquire(fresh=fresh)
    upstream = next(upstream for upstream in upstreams.made if upstream.connection is connection)
    await upstream.exchange([OK])
    pool.release(connection)
    return connection


def test_a_pool_gives_the_last_used_first() -> None:
    async def talk() -> None:
        upstreams = Upstreams()
        pool = Pool(upstreams)
        first, second = [(await pool.acquire())[0] for _ in range(2)]
        for upstream in upstreams.made:
            await upstream.exchange([OK])
        pool.release(first)
        pool.release(second)
        assert await pool.acquire() == (second, True)
        assert await pool.acquire() == (first, True)
        third, used_before = await pool.acquire()
        assert not used_before
        assert third not in (first, second)
        pool.close()

    asyncio.run(talk())


def test_a_fresh_one_is_made_though_others_are_idle() -> None:
    async def talk() -> None:
        upstreams = Upstreams()
        pool = Pool(upstreams)
        idle = await used(pool, upstreams)
        fresh, used_before = await pool.acquire(fresh=True)
        assert fresh is not idle
        assert not used_before
        pool.close()

    asyncio.run(talk())


def test_what_cannot_be_used_again_is_not_kept() -> None:
    async def talk() -> None:
        upstreams = Upstreams()
        pool = Pool(upstreams)
        for pieces in ([OK[:-1]], [OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")], [OK + b"more"]):
            connection, _ = await pool.acquire()
            upstream = upstreams.made[-1]
            asking = asyncio.ensure_future(upstream.exchange(pieces))
            await settle()
            await settle()
            pool.release(connection)
            await settle()
            assert upstream.wire.closed
            await asyncio.wait([asking])
            asking.exception()
        assert len(upstreams.made) == 3
        pool.close()

    asyncio.run(talk())


@pytest.mark.parametrize("how", ["data", "end", "reset"])
def test_an_idle_connection_that_something_happens_on_is_given_up(how: str) -> None:
    async def talk() -> None:
        upstreams = Upstreams()
        pool = Pool(upstreams)
        gone = await used(pool, upstreams)
        wire = upstreams.made[0].wire
        if how == "data":
            await wire.say([b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
        elif how == "end":
            await wire.end()
        else:
            await wire.vanish()
        assert wire.closed
        connection, used_before = await pool.acquire()
        assert connection is not gone
        assert not used_before
        pool.close()

    asyncio.run(talk())


def test_a_pool_keeps_no_more_than_it_may() -> None:
    async def talk() -> None:
        upstreams = Upstreams()
        pool = Pool(upstreams)
        for _ in range(100):
            await pool.acquire()
        for upstream in upstreams.made:
            await upstream.exchange([OK])
            pool.release(upstream.connection)
        await settle()
        assert sum(not upstream.wire.closed for upstream in upstreams.made) == 64
        pool.close()
        await settle()
        assert all(upstream.wire.closed for upstream in upstreams.made)

    asyncio.run(talk())


def test_a_closed_pool_ends_what_comes_back() -> None:
    async def talk() -> None:
        upstreams = Upstreams()
        pool = Pool(upstreams)
        connection, _ = await pool.acquire()
        await upstreams.made[0].exchange([OK])
        pool.close()
        pool.release(connection)
        await settle()
        assert upstreams.made[0].wire.closed

    asyncio.run(talk())


@on_uvloop
async def test_idle_connections_are_swept_away() -> None:
    loop = asyncio.get_running_loop()
    later = loop.call_later

    def sooner(delay: float, *rest: object, **more: object) -> asyncio.TimerHandle:
        return later(delay / 50, *rest, **more)  # type: ignore[arg-type]

    loop.call_later = sooner  # type: ignore[method-assign]
    upstreams = Upstreams()
    pool = Pool(upstreams, idle_seconds=0.3)
    await used(pool, upstreams)
    await asyncio.sleep(0.2 * 50)
    await used(pool, upstreams, fresh=True)
    old, young = [upstream.wire for upstream in upstreams.made]
    await until(lambda: old.closed, seconds=5 * 50)
    assert not young.closed
    await until(lambda: young.closed, seconds=5 * 50)
    pool.close()


@pytest.mark.parametrize(("slept", "kept"), [(0.0, True), (9.0, True), (60.0, False), (-60.0, False)])
def test_after_a_sleep_of_the_machine_all_are_given_up(
    slept: float, *, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def talk() -> None:
        upstreams = Upstreams()
        pool = Pool(upstreams)
        before = await used(pool, upstreams)
        now = time.time
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: now() + slept)
            connection, used_before = await pool.acquire()
            assert (connection is before) is kept
            assert used_before is kept
            await settle()
            assert upstreams.made[0].wire.closed is not kept
            upstream = upstreams.made[-1]
            await upstream.exchange([OK])
            pool.release(upstream.connection)
            assert (await pool.acquire())[1]  # told once, it goes on
        pool.close()

    asyncio.run(talk())


def test_a_connect_that_fails_is_told() -> None:
    async def refuse() -> UpstreamConnection:
        raise UpstreamFailed("connect", "refused")

    async def talk() -> None:
        pool = Pool(refuse)
        with pytest.raises(UpstreamFailed, match="refused"):
            await pool.acquire()
        pool.close()

    asyncio.run(talk())
