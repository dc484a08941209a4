"""Bodies that take long to follow: nobody else waits for them, and nothing of them is lost."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_gatewayd.http1 import turns
from claude_gatewayd.http1.flow import Budget, Bytes, OverBudget, Source
from claude_gatewayd.http1.server.connection import ServerConnection
from claude_gatewayd.http1.server.connections import Connections
from claude_gatewayd.http1.server.exchange import BodyCut, Exchange
from claude_gatewayd.http1.upstream.connection import UpstreamConnection, UpstreamFailed
from tests.fakes.transport import Wire, settle
from tests.support.cuts import cut
from tests.support.effort import yardstick
from tests.support.exchanging import Upstream
from tests.support.loop import on_uvloop, until
from tests.unit.http1.server.serving import MB, PATIENT, Serving, refusal, request

CHUNKS = 400_000
ONE_BYTE = b"1\r\nx\r\n" * CHUNKS + b"0\r\n\r\n"
LONGEST = 2  # yardsticks of the loop's own work in one turn: 0.2 to 0.5; 3.5 to 33 without a limit


class Lag:
    """The longest that the loop's thread has worked between two looks at it."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._loop = asyncio.get_running_loop()
        self._at = time.thread_time()
        self._handle = self._loop.call_soon(self._look)

    def _look(self) -> None:
        now = time.thread_time()
        self.longest = max(self.longest, now - self._at)
        self._at = now
        self._handle = self._loop.call_later(0.001, self._look)

    def stop(self) -> None:
        self._handle.cancel()


@asynccontextmanager
async def lag() -> AsyncIterator[Lag]:
    found = Lag()
    try:
        yield found
    finally:
        found.stop()


def send(address: tuple[str, int], data: bytes) -> bytes:
    """Send it all, as fast as it goes, and return the answer."""
    with socket.create_connection(address) as sock:
        sock.sendall(data)
        sock.settimeout(10)
        return sock.recv(4096)


class Sizes:
    """A sink that counts, and is full at times."""

    def __init__(self) -> None:
        self.size = 0
        self.source: Source | None = None

    def write(self, data: Bytes) -> None:
        self.size += len(data)
        if self.source is not None:
            self.source.pause_reading()
            asyncio.get_running_loop().call_soon(self.source.resume_reading)


@pytest.mark.parametrize("how", ["held", "piped"])
@pytest.mark.parametrize("clients", [1, 8])
@on_uvloop
async def test_one_byte_chunks_of_a_client(how: str, clients: int) -> None:
    got: list[int] = []

    async def take(exchange: Exchange) -> None:
        if how == "held":
            got.append(len(await exchange.hold(64 * MB, Budget(64 * MB))))
        else:
            sink = Sizes()
            await exchange.pipe(sink)
            got.append(sink.size)
        exchange.reply(200, b"OK", [], b"")

    body = ONE_BYTE if clients == 1 else b"1\r\nx\r\n" * (CHUNKS // clients) + b"0\r\n\r\n"
    data = request(b"/", b"Transfer-Encoding: chunked", method=b"POST") + body
    async with Serving(take) as server, lag() as seen:
        limit = asyncio.get_running_loop()
        answers = await asyncio.gather(
            *[limit.run_in_executor(None, send, server.address, data) for _ in range(clients)]
        )
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    expected = CHUNKS // clients if how == "held" else len(body)
    assert got == [expected] * clients
    assert seen.longest < LONGEST * yardstick()


@pytest.mark.parametrize("raw", [True, False])
@on_uvloop
async def test_one_byte_chunks_of_an_upstream(raw: bool) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    loop = asyncio.get_running_loop()

    def answer() -> None:
        conn, _ = listener.accept()
        with conn:
            conn.recv(4096)
            conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + ONE_BYTE)

    answering = loop.run_in_executor(None, answer)
    transport, connection = await loop.create_connection(UpstreamConnection, *listener.getsockname())
    async with lag() as seen:
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"", without_body=False, complete=True)
        await connection.answer(5)
        sink = Sizes()
        connection.begin_pipe(sink, raw=raw, silence=5)
        await connection.piped()
        assert sink.size == (len(ONE_BYTE) if raw else CHUNKS)
    await answering
    listener.close()
    transport.abort()
    await settle()
    assert seen.longest < LONGEST * yardstick()


# in memory: nothing is lost, whatever stands behind such a body


MANY = b"1\r\nx\r\n" * 3000


@on_uvloop
async def test_what_is_behind_such_a_body_is_a_request() -> None:
    bodies: list[bytes] = []

    async def take(exchange: Exchange) -> None:
        bodies.append(bytes(await exchange.hold(MB, Budget(MB))))
        exchange.reply(200, b"OK", [], exchange.head.target)

    wire = Wire(ServerConnection(take, Connections(refusal), PATIENT))
    head = request(b"/1", b"Transfer-Encoding: chunked", method=b"POST")
    await wire.say([head + MANY, MANY + b"0\r\n\r\n" + request(b"/2") + request(b"/3")])
    await wire.end()
    await until(lambda: wire.closed)
    assert bodies == [b"x" * 6000, b"", b""]
    assert [wire.heard.count(b"\r\n\r\n/%d" % number) for number in (1, 2, 3)] == [1, 1, 1]


@pytest.mark.parametrize("end", [b"", b"z\r\n"])
@on_uvloop
async def test_such_a_body_that_is_cut_or_goes_wrong(end: bytes) -> None:
    events: list[str] = []

    async def take(exchange: Exchange) -> None:
        try:
            await exchange.hold(MB, Budget(MB))
        except BodyCut:
            events.append("cut")
            exchange.reply(400, b"No", [], b"")
            raise

    wire = Wire(ServerConnection(take, Connections(refusal), PATIENT))
    await wire.say([request(b"/", b"Transfer-Encoding: chunked", method=b"POST") + MANY + end])
    await wire.end()
    await until(lambda: wire.closed)
    assert wire.heard.startswith(b"HTTP/1.1 400")
    assert events == ([] if end else ["cut"])


@on_uvloop
async def test_such_a_body_that_nobody_wants_any_more() -> None:
    """It is read away: the client sees the answer, and no reset."""

    async def take(exchange: Exchange) -> None:
        with pytest.raises(OverBudget):
            await exchange.hold(MB, Budget(100))
        exchange.reply(503, b"No", [], b"")

    wire = Wire(ServerConnection(take, Connections(refusal), PATIENT))
    await wire.say([request(b"/", b"Transfer-Encoding: chunked", method=b"POST") + MANY])
    await wire.say([MANY])
    await wire.end()
    await until(lambda: wire.closed)
    assert wire.heard.startswith(b"HTTP/1.1 503")


@pytest.mark.parametrize("whole", [True, False])
@on_uvloop
async def test_an_upstream_that_goes_right_behind_such_a_body(whole: bool) -> None:
    upstream = Upstream()
    connection = upstream.connection
    connection.send(b"GET / HTTP/1.1\r\n\r\n", b"", without_body=False, complete=True)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.data_received(head + MANY + (b"0\r\n\r\n" if whole else b""))
    await connection.answer(1)
    connection.connection_lost(None)  # before there was a turn for the rest
    sink = Sizes()
    connection.begin_pipe(sink, raw=False, silence=1)
    if whole:
        await connection.piped()
    else:
        with pytest.raises(UpstreamFailed):
            await connection.piped()
    assert sink.size == 3000


@on_uvloop
async def test_turns_are_given_in_order_and_not_all_at_once() -> None:
    clock, done = [0.0], list[str]()
    loop = asyncio.get_running_loop()
    mine = turns.Turns(loop, lambda: clock[0])

    def work(name: str, times: int) -> None:
        clock[0] += 0.0015
        done.append(name)
        if times > 1:
            mine.later(lambda: work(name, times - 1))

    for name in "abc":
        mine.later(lambda name=name: work(name, 2))  # type: ignore[misc]
    loop.call_soon(lambda: done.append("|"))
    await until(lambda: len(done) == 7)
    assert "".join(done) == "ab|cabc"


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 1500), min_size=1, max_size=4),
    spelled=st.sampled_from([b"1", b"01", b"1;a"]),
    piped=st.booleans(),
    data=st.data(),
)
def test_any_such_bodies_one_after_the_other(
    sizes: list[int], spelled: bytes, piped: bool, data: st.DataObject
) -> None:
    """However they are cut, held or passed on to who is full at times: each request has its own bytes."""
    body = [(spelled + b"\r\nx\r\n") * size + b"0\r\n\r\n" for size in sizes]
    head = request(b"/", b"Transfer-Encoding: chunked", method=b"POST")
    stream = b"".join(head + one for one in body)
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=5))
    got: list[int] = []

    async def take(exchange: Exchange) -> None:
        if piped:
            sink = Sizes()
            await exchange.pipe(sink)
            got.append(sink.size)
        else:
            got.append(len(await exchange.hold(MB, Budget(MB))))
        exchange.reply(200, b"OK", [], b"")

    async def talk() -> None:
        wire = Wire(ServerConnection(take, Connections(refusal), PATIENT))
        await wire.say(cut(stream, places))
        await wire.end()
        await until(lambda: wire.closed)
        assert wire.heard.count(b"HTTP/1.1 200") == len(sizes)

    asyncio.run(talk())
    assert got == ([len(one) for one in body] if piped else sizes)


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 3000),
    raw=st.booleans(),
    ends=st.sampled_from(["stays", "goes"]),
    data=st.data(),
)
def test_any_such_answer(size: int, raw: bool, ends: str, data: st.DataObject) -> None:
    body = b"1\r\nx\r\n" * size + b"0\r\n\r\n"
    stream = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=5))

    async def talk() -> None:
        upstream = Upstream()
        connection = upstream.connection
        connection.send(b"GET / HTTP/1.1\r\n\r\n", b"", without_body=False, complete=True)
        saying = asyncio.ensure_future(upstream.wire.say(cut(stream, places)))
        await connection.answer(5)
        sink = Sizes()
        connection.begin_pipe(sink, raw=raw, silence=5)
        await connection.piped()
        await saying
        assert sink.size == (len(body) if raw else size)
        assert connection.reusable
        connection.keep()
        if ends == "stays":
            await upstream.wire.say([])
            connection.send(b"GET / HTTP/1.1\r\n\r\n", b"", without_body=False, complete=True)
            await upstream.wire.say([b"HTTP/1.1 204 Next\r\n\r\n"])
            assert (await connection.answer(5)).status == 204
        await upstream.wire.vanish()

    asyncio.run(talk())
