"""The server side, on real sockets: every way in which a request may come and a client may go."""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_gatewayd.http1 import framing
from claude_gatewayd.http1.flow import Budget, Bytes, OverBudget, Source
from claude_gatewayd.http1.head import Malformed
from claude_gatewayd.http1.server.accept import Acceptor
from claude_gatewayd.http1.server.connection import Handler, Limits, ServerConnection
from claude_gatewayd.http1.server.connections import Connections
from claude_gatewayd.http1.server.exchange import BodyCut, BodyTooLarge, Exchange
from tests.fakes.transport import Wire, settle
from tests.support.cuts import cut_anywhere
from tests.support.loop import Client, on_uvloop, until

MB = 1024 * 1024
PATIENT = Limits()


def refusal(problem: Malformed) -> bytes:
    text = problem.why.encode()
    lines = b"HTTP/1.1 %d No\r\ncontent-length: %d\r\nConnection: close\r\n\r\n"
    return lines % (problem.status, len(text)) + text


class Serving:
    """A server with one handler, on a port of loopback."""

    def __init__(self, handler: Handler, limits: Limits = PATIENT, *, room: int = 1000, buffers: int = 0) -> None:
        self.connections = Connections(refusal)
        self._handler = handler
        self._limits = limits
        self._room = room
        self._buffers = buffers
        self._stopped = False

    async def __aenter__(self) -> Self:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        if self._buffers:  # those of the kernel: else it takes megabytes before anybody is held up
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffers)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffers)
        sock.listen(100)
        self.address = sock.getsockname()
        self.acceptor = Acceptor(
            sock,
            lambda: ServerConnection(self._handler, self.connections, self._limits),
            self.has_room,
        )
        self.acceptor.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.stop()
        self.connections.abort()
        await self.connections.all_ended()
        await settle()

    async def stop(self) -> None:
        """Accept no more."""
        if not self._stopped:
            self._stopped = True
            self.acceptor.stop()
            await self.acceptor.settled()

    def has_room(self) -> bool:
        return self.connections.make_room(self._room)

    async def client(self, *, receive_buffer: int = 0) -> Client:
        return await Client.to(self.address, receive_buffer=receive_buffer)


def request(
    target: bytes = b"/", *lines: bytes, method: bytes = b"GET", body: bytes = b"", version: bytes = b"1.1"
) -> bytes:
    length = [b"Content-Length: %d" % len(body)] if body else []
    head = [method + b" " + target + b" HTTP/" + version, b"Host: localhost", *lines, *length]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def upload(body: bytes, *lines: bytes, target: bytes = b"/") -> bytes:
    return request(target, *lines, method=b"POST", body=body)


def chunked(*pieces: bytes, trailers: list[bytes] | None = None) -> bytes:
    head = request(b"/", b"Transfer-Encoding: chunked", method=b"POST")
    return head + b"".join(map(framing.chunk, pieces)) + framing.last_chunk(trailers or [])


class Pieces:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""
        self.source: Source | None = None

    def write(self, data: Bytes) -> None:
        self.data += data


async def echo(exchange: Exchange) -> None:
    """Answer with what was asked."""
    body = await exchange.hold(64 * MB, Budget(64 * MB))
    exchange.reply(200, b"OK", [], exchange.head.target + b" " + body)


class Waiting:
    """A handler that answers when it is told, and knows what became of it."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.cancelled: list[bytes] = []
        self.go = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        self.asked.append(exchange.head.target)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.append(exchange.head.target)
            raise
        exchange.reply(200, b"OK", [], b"at last")


# keep-alive, pipelining, order


@on_uvloop
async def test_one_request_after_the_other() -> None:
    async with Serving(echo) as server, await server.client() as client:
        for number in range(5):
            await client.send(upload(b"body", target=b"/%d" % number))
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"/%d body" % number)
            assert answer.header("connection") is None
        assert len(server.connections) == 1


@on_uvloop
async def test_pipelined_requests_are_answered_in_order() -> None:
    async def slow_first(exchange: Exchange) -> None:
        await asyncio.sleep(0.1 if exchange.head.target == b"/0" else 0)
        await echo(exchange)

    async with Serving(slow_first) as server, await server.client() as client:
        await client.send(b"".join(upload(b"x" * number, target=b"/%d" % number) for number in range(50)))
        for number in range(50):
            assert (await client.answer()).body == b"/%d " % number + b"x" * number


@on_uvloop
async def test_a_request_is_not_begun_before_the_one_before_it_is_answered() -> None:
    waiting = Waiting()
    async with Serving(waiting) as server, await server.client() as client:
        await client.send(request(b"/1") + request(b"/2"))
        await until(lambda: bool(waiting.asked))
        await asyncio.sleep(0.05)
        assert waiting.asked == [b"/1"]
        waiting.go.set()
        await client.answer()
        await client.answer()
        assert waiting.asked == [b"/1", b"/2"]


REQUESTS = st.tuples(
    st.sampled_from(["get", "counted", "chunked"]), st.binary(max_size=40), st.booleans(), st.booleans()
)


@settings(max_examples=150, deadline=None)
@given(st.lists(REQUESTS, max_size=6), st.data())
def test_any_requests_cut_anywhere(asked: list[tuple[str, bytes, bool, bool]], data: st.DataObject) -> None:
    stream, expected = b"", []
    for number, (kind, body, by_pipe, empty_line) in enumerate(asked):
        target = b"/%s/%d" % (b"pipe" if by_pipe else b"hold", number)
        stream += b"\r\n" if empty_line else b""
        if kind == "get":
            stream += request(target)
            expected.append(target + b" ")
        elif kind == "counted":
            stream += upload(body, target=target)
            expected.append(target + b" " + body)
        else:
            pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
            raw = b"".join(map(framing.chunk, pieces)) + framing.last_chunk([])
            stream += request(target, b"Transfer-Encoding: chunked", method=b"POST") + raw
            expected.append(target + b" " + (raw if by_pipe else body))

    async def handler(exchange: Exchange) -> None:
        if exchange.head.target.startswith(b"/pipe"):
            sink = Pieces()
            await exchange.pipe(sink)
            exchange.reply(200, b"OK", [], exchange.head.target + b" " + sink.data)
        else:
            await echo(exchange)

    async def talk() -> None:
        wire = Wire(ServerConnection(handler, Connections(refusal), PATIENT))
        await wire.say(data.draw(cut_anywhere(stream)))
        answers = [b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body) for body in expected]
        assert wire.heard == b"".join(answers)
        assert not wire.is_closing()
        await wire.end()
        assert wire.closed

    asyncio.run(talk())


SHARDS = [b"\r\n", b"\n", b"\r", b"GET / HTTP/1.1\r\n", b"Host: a\r\n", b"Content-Length: 1\r\n", b"x", request()]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(SHARDS), max_size=8).map(b"".join),
    st.data(),
)  # fmt: skip
def test_rubbish_gets_the_same_answers_however_it_is_cut(stream: bytes, data: st.DataObject) -> None:
    async def told(pieces: list[bytes]) -> bytes:
        wire = Wire(ServerConnection(echo, Connections(lambda problem: b"refused"), PATIENT))
        await wire.say(pieces)
        await wire.end()
        await settle()
        assert wire.closed
        return wire.heard.partition(b"refused")[0] + (b"refused" if b"refused" in wire.heard else b"")

    async def talk() -> None:
        assert await told(data.draw(cut_anywhere(stream))) == await told([stream])

    asyncio.run(talk())


@on_uvloop
async def test_empty_lines_before_a_request() -> None:
    async with Serving(echo, Limits(head=0.2)) as server, await server.client() as client:
        await client.send(b"\r", b"\n", b"\r\n\r\n", request(b"/1"))
        assert (await client.answer()).body == b"/1 "
        await client.send(b"\r\n")
        await asyncio.sleep(0.3)  # nothing has begun that would have to be quick
        await client.send(request(b"/2"))
        assert (await client.answer()).body == b"/2 "


@on_uvloop
async def test_a_bare_line_feed_before_a_request_is_refused() -> None:
    async with Serving(echo) as server:
        for pieces in ([b"\r\n\n" + request()], [b"\r\n", b"\n" + request()], [b"\n" + request()]):
            async with await server.client() as client:
                await client.send(*pieces)
                assert (await client.answer()).status == 400


@on_uvloop
async def test_head_has_no_body() -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.reply(200, b"OK", [], b"12345")

    async with Serving(handler) as server, await server.client() as client:
        await client.send(request(method=b"HEAD") + request())
        answer = await client.answer(to=b"HEAD")
        assert (answer.header("content-length"), answer.body) == ("5", b"")
        assert (await client.answer()).body == b"12345"


@on_uvloop
async def test_http_10() -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.interim(103, b"Early Hints", [b"Link: x"])
        await echo(exchange)

    async with Serving(handler) as server:
        async with await server.client() as client:
            await client.send(
                request(
                    b"/old",
                    b"Connection: keep-alive",
                    b"Expect: 100-continue",
                    version=b"1.0",
                    method=b"POST",
                    body=b"b",
                )
            )
            answer = await client.answer()
            assert (answer.body, answer.header("connection"), client.interim) == (b"/old b", "close", [])
            assert await client.rest() == b""
        async with await server.client() as client:
            await client.send(b"GET / HTTP/1.0\r\n\r\n")
            assert (await client.answer()).body == b"/ "
            assert await client.rest() == b""


@on_uvloop
async def test_interim_answers() -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.interim(103, b"Early Hints", [b"Link: x"])
        exchange.interim(102, b"Processing", [])
        await echo(exchange)

    async with Serving(handler) as server, await server.client() as client:
        await client.send(request())
        assert (await client.answer()).status == 200
        assert client.interim == [103, 102]


@on_uvloop
async def test_connection_close_is_kept() -> None:
    async with Serving(echo) as server, await server.client() as client:
        await client.send(request(b"/", b"Connection: close") + request(b"/never"))
        assert (await client.answer()).header("connection") == "close"
        assert await client.rest() == b""


@on_uvloop
async def test_an_answer_comes_in_pieces_as_they_are_written() -> None:
    go = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        exchange.start(200, b"OK", [b"Transfer-Encoding: chunked"])
        exchange.flush()
        await go.wait()
        go.clear()
        exchange.write(framing.chunk(b"one"))
        await go.wait()
        exchange.write(framing.last_chunk([]))
        exchange.finish()

    async with Serving(handler) as server, await server.client() as client:
        await client.send(request())
        assert (await client.receive()).endswith(b"\r\n\r\n")
        go.set()
        assert await client.receive() == b"3\r\none\r\n"
        go.set()
        assert await client.receive() == b"0\r\n\r\n"


# clients that end their side, or are gone


@pytest.mark.parametrize("seconds", [0.0, 0.2])
@on_uvloop
async def test_a_half_closed_client_gets_its_answer(seconds: float) -> None:
    async def handler(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await echo(exchange)

    async with Serving(handler) as server, await server.client() as client:
        await client.send(upload(b"body"))
        client.end()
        assert (await client.answer()).body == b"/ body"
        assert await client.rest() == b""
        await until(lambda: not server.connections)


@on_uvloop
async def test_a_half_closed_client_gets_all_its_answers() -> None:
    async def handler(exchange: Exchange) -> None:
        await asyncio.sleep(0.1)
        await echo(exchange)

    async with Serving(handler) as server, await server.client() as client:
        await client.send(upload(b"1") + upload(b"2") + upload(b"3") + b"\r\n")
        client.end()
        assert [(await client.answer()).body for _ in range(3)] == [b"/ 1", b"/ 2", b"/ 3"]
        assert await client.rest() == b""
        await until(lambda: not server.connections)


@pytest.mark.parametrize("how", ["close", "reset"])
@on_uvloop
async def test_a_client_that_is_gone_cancels_its_handler(how: str) -> None:
    waiting = Waiting()
    async with Serving(waiting) as server:
        client = await server.client()
        await client.send(upload(b"body"))
        await until(lambda: bool(waiting.asked))
        client.close() if how == "close" else client.reset()
        await until(lambda: bool(waiting.cancelled), seconds=1)
        await until(lambda: not server.connections)


@on_uvloop
async def test_a_client_that_is_gone_cancels_what_it_has_pipelined() -> None:
    waiting = Waiting()
    go = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        if exchange.head.target == b"/2":
            await waiting(exchange)
            return
        exchange.start(200, b"OK", [b"content-length: 4"])
        exchange.flush()
        await go.wait()
        exchange.write(b"done")
        exchange.finish()

    async with Serving(handler) as server:
        client = await server.client()
        await client.send(request(b"/1") + request(b"/2"))
        await client.receive()
        client.close()
        await asyncio.sleep(0.05)
        go.set()
        await until(lambda: not server.connections, seconds=1)
        assert waiting.cancelled == waiting.asked


@on_uvloop
async def test_a_client_that_goes_while_its_answer_streams() -> None:
    cancelled = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        exchange.start(200, b"OK", [b"Transfer-Encoding: chunked"])
        try:
            while True:
                exchange.write(framing.chunk(b"data"))
                await asyncio.sleep(0.01)
        finally:
            cancelled.set()

    async with Serving(handler) as server:
        client = await server.client()
        await client.send(request())
        await client.receive()
        client.close()
        await asyncio.wait_for(cancelled.wait(), 1)


@pytest.mark.parametrize("by", ["hold", "pipe"])
@on_uvloop
async def test_a_client_that_ends_in_mid_body(by: str) -> None:
    async def handler(exchange: Exchange) -> None:
        try:
            await (exchange.hold(MB, Budget(MB)) if by == "hold" else exchange.pipe(Pieces()))
        except BodyCut:
            exchange.reply(400, b"Bad Request", [], b"cut")

    async with Serving(handler) as server, await server.client() as client:
        await client.send(upload(b"0123456789")[:-3])
        client.end()
        answer = await client.answer()
        assert (answer.status, answer.body, answer.header("connection")) == (400, b"cut", "close")
        assert await client.rest() == b""
        await until(lambda: not server.connections)


@on_uvloop
async def test_a_body_that_was_cut_before_anybody_asked_for_it() -> None:
    seen: list[str] = []

    async def handler(exchange: Exchange) -> None:
        await asyncio.sleep(0.1)
        try:
            await exchange.hold(MB, Budget(MB))
        except BodyCut:
            seen.append("cut")
        exchange.reply(400, b"Bad Request", [], b"")

    async with Serving(handler) as server, await server.client() as client:
        await client.send(upload(b"0123456789")[:-3])
        client.end()
        assert (await client.answer()).status == 400
        assert seen == ["cut"]


@on_uvloop
async def test_the_end_in_the_middle_of_a_head() -> None:
    async with Serving(echo) as server, await server.client() as client:
        await client.send(request(b"/1") + request(b"/2")[:-5])
        client.end()
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 400
        assert await client.rest() == b""


# bodies


@on_uvloop
async def test_expect_100_continue() -> None:
    async def handler(exchange: Exchange) -> None:
        if exchange.head.target == b"/pipe":
            sink = Pieces()
            await exchange.pipe(sink)
            exchange.reply(200, b"OK", [], sink.data)
        elif exchange.head.target == b"/no":
            exchange.reply(401, b"Unauthorized", [], b"")
        else:
            await echo(exchange)

    async with Serving(handler) as server:
        for target in (b"/", b"/pipe"):
            async with await server.client() as client:
                whole = upload(b"body", b"Expect: 100-continue", target=target)
                await client.send(whole[:-4])
                assert await client.receive() == b"HTTP/1.1 100 Continue\r\n\r\n"
                await client.send(whole[-4:])
                assert (await client.answer()).body.endswith(b"body")
                await client.send(whole)  # a client need not wait
                assert (await client.answer()).status == 200
                assert client.interim == []
        async with await server.client() as client:
            await client.send(upload(b"body", b"Expect: 100-continue", target=b"/no")[:-4])
            answer = await client.answer()
            assert (answer.status, client.interim, answer.header("connection")) == (401, [], "close")


@on_uvloop
async def test_chunked_uploads() -> None:
    raw = framing.chunk(b"hello ") + b"5;ext=1\r\nworld\r\n" + framing.last_chunk([b"X-Trailer: t"])
    head = b"Transfer-Encoding: chunked"

    async def handler(exchange: Exchange) -> None:
        if exchange.head.target == b"/pipe":
            sink = Pieces()
            await exchange.pipe(sink)
            exchange.reply(200, b"OK", [], sink.data)
        else:
            await echo(exchange)

    async with Serving(handler) as server, await server.client() as client:
        await client.send(request(b"/hold", head, method=b"POST") + raw + request(b"/pipe", head, method=b"POST") + raw)
        assert (await client.answer()).body == b"/hold hello world"
        assert (await client.answer()).body == raw
        await client.send(request(b"/hold", head, method=b"POST"), *[raw[at : at + 1] for at in range(len(raw))])
        assert (await client.answer()).body == b"/hold hello world"


@on_uvloop
async def test_a_malformed_chunk_is_refused() -> None:
    cancelled: list[int] = []

    async def handler(exchange: Exchange) -> None:
        try:
            await echo(exchange)
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    async with Serving(handler) as server, await server.client() as client:
        await client.send(
            request(b"/", b"Transfer-Encoding: chunked", method=b"POST"), b"3\r\nabc\r\n", b"zz\r\n", request()
        )
        answer = await client.answer()
        assert (answer.status, answer.header("connection")) == (400, "close")
        assert await client.rest() == b""
        assert cancelled == [1]


@pytest.mark.parametrize(
    ("stream", "limit", "left", "error"),
    [
        (upload(b"x" * 100), 100, 100, None),
        (upload(b"x" * 101), 100, 1000, BodyTooLarge),
        (chunked(b"x" * 50, b"x" * 20), 100, 1000, None),
        (chunked(b"x" * 50, b"x" * 51), 100, 1000, BodyTooLarge),
        (upload(b"x" * 100), 1000, 99, OverBudget),
        (chunked(b"x" * 50, b"x" * 50), 1000, 99, OverBudget),
        (request(), 0, 0, None),
    ],
)
@on_uvloop
async def test_limits_of_what_is_held(stream: bytes, limit: int, left: int, error: type[Exception] | None) -> None:
    budget = Budget(left)
    seen: list[object] = []

    async def handler(exchange: Exchange) -> None:
        try:
            await exchange.hold(limit, budget)
            seen.append(None)
        except (BodyTooLarge, OverBudget) as problem:
            seen.append(type(problem))
        exchange.reply(200, b"OK", [], b"")

    async with Serving(handler) as server:
        for pieces in ([stream], [stream[:-30], stream[-30:]] if len(stream) > 60 else [stream]):
            async with await server.client() as client:
                await client.send(*pieces)
                await client.answer()
                assert budget.left == left
        assert seen == [error, error]


WAYS: dict[str, Callable[[Exchange], Coroutine[Any, Any, None]]] = {}


def way(handler: Callable[[Exchange], Coroutine[Any, Any, None]]) -> Callable[[Exchange], Coroutine[Any, Any, None]]:
    WAYS[handler.__name__] = handler
    return handler


@way
async def replies(exchange: Exchange) -> None:
    exchange.reply(200, b"OK", [], b"")


@way
async def aborts(exchange: Exchange) -> None:
    exchange.start(200, b"OK", [])
    exchange.abort()


@way
async def forgets(exchange: Exchange) -> None:
    pass


@way
async def fails(exchange: Exchange) -> None:
    raise RuntimeError("a fault")


@way
async def waits(exchange: Exchange) -> None:
    await asyncio.sleep(60)


@pytest.mark.parametrize("name", [*WAYS])
@on_uvloop
async def test_the_budget_is_given_back_however_it_ends(name: str) -> None:
    budget = Budget(1000)
    held = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        await exchange.hold(500, budget)
        assert budget.left == 900
        held.set()
        await WAYS[name](exchange)

    async with Serving(handler) as server:
        client = await server.client()
        await client.send(upload(b"x" * 100))
        await held.wait()
        client.close()
        await until(lambda: not server.connections, seconds=2)
        assert budget.left == 1000


@pytest.mark.parametrize("how", ["gone", "cut", "silent", "malformed", "aborted", "refused"])
@on_uvloop
async def test_the_budget_is_given_back_in_mid_body(how: str) -> None:
    budget = Budget(1000)

    async def handler(exchange: Exchange) -> None:
        try:
            await exchange.hold(300, budget)
        except (BodyCut, BodyTooLarge):
            exchange.reply(400, b"Bad Request", [], b"")

    async with Serving(handler, Limits(body_silence=0.1 if how == "silent" else 60, discard=0.1)) as server:
        client = await server.client()
        await client.send(request(b"/", b"Transfer-Encoding: chunked", method=b"POST") + framing.chunk(b"x" * 100))
        await until(lambda: budget.left < 1000)
        match how:
            case "gone":
                client.reset()
            case "cut":
                client.end()
            case "malformed":
                await client.send(b"zz\r\n")
            case "aborted":
                server.connections.abort()
            case "refused":
                await client.send(framing.chunk(b"x" * 300))
        await until(lambda: budget.left == 1000, seconds=2)
        await until(lambda: not server.connections, seconds=2)
        client.close()


@on_uvloop
async def test_many_share_one_budget() -> None:
    budget = Budget(250)
    seen: list[str] = []
    go = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        try:
            await exchange.hold(1000, budget)
            seen.append("held")
            await go.wait()
        except OverBudget:
            seen.append("over")
        exchange.reply(200, b"OK", [], b"")

    async with Serving(handler) as server:
        clients = [await server.client() for _ in range(3)]
        for number, client in enumerate(clients):
            await client.send(upload(b"x" * 100))
            await until(lambda number=number: len(seen) == number + 1)  # type: ignore[misc]
        assert seen == ["held", "held", "over"]
        go.set()
        for client in clients:
            assert (await client.answer()).status == 200
            client.close()
        assert budget.left == 250


# deadlines


@on_uvloop
async def test_a_slow_head_is_refused() -> None:
    async with Serving(echo, Limits(head=0.2)) as server, await server.client() as client:
        await client.send(request(b"/1"))
        assert (await client.answer()).status == 200
        begun = asyncio.get_running_loop().time()
        dribble = asyncio.ensure_future(_dribble(client, request(b"/2", b"X: " + b"x" * 1000)))
        answer = await client.answer()
        assert (answer.status, answer.header("connection")) == (408, "close")
        assert asyncio.get_running_loop().time() - begun < 1
        dribble.cancel()


async def _dribble(client: Client, data: bytes) -> None:
    for at in range(len(data)):
        await client.send(data[at : at + 1])
        await asyncio.sleep(0.02)


@on_uvloop
async def test_a_head_is_in_time_after_an_empty_line() -> None:
    """What came before it does not lengthen its time."""
    async with Serving(echo, Limits(head=0.2)) as server, await server.client() as client:
        await client.send(b"\r", b"\n", b"GET / HT")
        assert (await client.answer()).status == 408


@on_uvloop
async def test_a_silent_body_is_refused() -> None:
    waiting = Waiting()

    async def handler(exchange: Exchange) -> None:
        try:
            await exchange.hold(MB, Budget(MB))
        except asyncio.CancelledError:
            waiting.cancelled.append(b"")
            raise

    async with Serving(handler, Limits(body_silence=0.15)) as server, await server.client() as client:
        whole = upload(b"x" * 100)
        await client.send(whole[:-90])
        for at in range(90, 50, -10):  # slow, but not silent
            await asyncio.sleep(0.08)
            await client.send(whole[-at : 10 - at])
        answer = await client.answer()
        assert (answer.status, answer.header("connection")) == (408, "close")
        assert answer.body
        assert waiting.cancelled == [b""]


@on_uvloop
async def test_an_idle_connection_is_closed() -> None:
    async with Serving(echo, Limits(keep_alive=0.15)) as server:
        async with await server.client() as client:
            assert await client.rest() == b""
        async with await server.client() as client:
            for _ in range(4):
                await asyncio.sleep(0.08)
                await client.send(request())
                assert (await client.answer()).status == 200
            assert await client.rest() == b""
        await until(lambda: not server.connections)


@on_uvloop
async def test_a_long_answer_is_not_idle() -> None:
    async def handler(exchange: Exchange) -> None:
        await asyncio.sleep(0.4)
        await echo(exchange)

    limits = Limits(head=0.1, body_silence=0.1, keep_alive=0.1, write_stall=0.1, discard=0.1)
    async with Serving(handler, limits) as server, await server.client() as client:
        await client.send(upload(b"body"))
        assert (await client.answer()).body == b"/ body"


# refused clients


@on_uvloop
async def test_a_refused_client_that_is_still_sending_gets_its_whole_answer() -> None:
    async def handler(exchange: Exchange) -> None:
        try:
            await exchange.hold(MB, Budget(MB))
        except BodyTooLarge:
            exchange.reply(413, b"Content Too Large", [], b"n" * 100_000)

    async with Serving(handler) as server:
        for stream in (upload(b"x" * 20 * MB), chunked(*[b"x" * 64 * 1024] * 320)):
            async with await server.client() as client:
                sending = asyncio.ensure_future(client.send(stream))
                answer = await client.answer()
                assert (answer.status, len(answer.body)) == (413, 100_000)
                assert answer.header("connection") == "close"
                await sending
                client.end()
                assert await client.rest() == b""


@on_uvloop
async def test_a_refused_head_of_a_client_that_is_still_sending() -> None:
    async with Serving(echo) as server, await server.client() as client:
        sending = asyncio.ensure_future(client.send(b"GET / HTTP/1.1\r\nX: " + b"x" * 10 * MB))
        assert (await client.answer()).status == 431
        await sending
        client.end()
        assert await client.rest() == b""


@pytest.mark.parametrize("how", ["end", "close"])
@on_uvloop
async def test_a_refused_client_is_not_waited_for_longer_than_it_sends(how: str) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.reply(413, b"Content Too Large", [], b"")

    async with Serving(handler, Limits(discard=60)) as server, await server.client() as client:
        await client.send(upload(b"x" * 100)[:-1])
        assert (await client.answer()).status == 413
        client.end() if how == "end" else client.close()
        await until(lambda: not server.connections, seconds=1)


@on_uvloop
async def test_a_refused_client_that_never_stops_is_cut() -> None:
    async with Serving(echo, Limits(discard=0.2)) as server, await server.client() as client:
        await client.send(b"rubbish\r\n\r\n")
        assert (await client.answer()).status == 400
        await until(lambda: not server.connections, seconds=2)


@on_uvloop
async def test_rubbish_after_a_request() -> None:
    async with Serving(echo) as server, await server.client() as client:
        await client.send(request(b"/1") + b"rubbish\r\n\r\n" + request(b"/never"))
        assert (await client.answer()).body == b"/1 "
        assert (await client.answer()).status == 400
        assert await client.rest() == b""


# faults of a handler


@pytest.mark.parametrize("name", ["fails", "forgets"])
@on_uvloop
async def test_a_handler_that_does_not_answer(name: str) -> None:
    async with Serving(WAYS[name]) as server, await server.client() as client:
        await client.send(request() + request())
        with pytest.raises((EOFError, ConnectionResetError)):
            await client.answer()


def test_a_fault_of_a_handler_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    @on_uvloop
    async def run() -> None:
        async with Serving(fails) as server, await server.client() as client:
            await client.send(request())
            with pytest.raises((EOFError, ConnectionResetError)):
                await client.answer()

    with caplog.at_level(logging.ERROR):
        run()
    assert "fault of the gateway" in caplog.text


@on_uvloop
async def test_an_aborted_answer_is_a_reset() -> None:
    """A body that the connection's end would end must not look complete."""

    async def handler(exchange: Exchange) -> None:
        exchange.start(200, b"OK", [], close=True)
        exchange.write(b"half of it")
        await asyncio.sleep(0.1)
        exchange.abort()

    async with Serving(handler) as server, await server.client() as client:
        await client.send(request())
        with pytest.raises(ConnectionResetError):
            await client.rest()


# draining


@on_uvloop
async def test_drain_closes_idle_connections_after_the_linger() -> None:
    async with Serving(echo) as server, await server.client() as client:
        await client.send(request())
        await client.answer()
        begun = asyncio.get_running_loop().time()
        server.connections.drain(0.2)
        assert await client.rest() == b""
        assert 0.15 < asyncio.get_running_loop().time() - begun < 1
        await asyncio.wait_for(server.connections.all_ended(), 1)


@on_uvloop
async def test_a_request_within_the_linger_is_answered_and_told_to_close() -> None:
    async with Serving(echo) as server, await server.client() as client, await server.client() as fresh:
        await client.send(request())
        await client.answer()
        await until(lambda: len(server.connections) == 2)
        server.connections.drain(5.0)
        await client.send(request(b"/late"))
        answer = await client.answer()
        assert (answer.body, answer.header("connection")) == (b"/late ", "close")
        assert await client.rest() == b""
        await fresh.send(request(b"/first"))
        assert (await fresh.answer()).header("connection") == "close"
        await asyncio.wait_for(server.connections.all_ended(), 1)


@on_uvloop
async def test_drain_finishes_what_is_under_way() -> None:
    waiting = Waiting()
    async with Serving(waiting) as server, await server.client() as client:
        await client.send(request())
        await until(lambda: bool(waiting.asked))
        server.connections.drain(0.0)
        ended = asyncio.ensure_future(server.connections.all_ended())
        await asyncio.sleep(0.1)
        assert not ended.done()
        waiting.go.set()
        assert (await client.answer()).header("connection") == "close"
        await asyncio.wait_for(ended, 1)


@on_uvloop
async def test_an_answer_that_had_begun_before_the_drain() -> None:
    go = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        exchange.start(200, b"OK", [b"content-length: 4"])
        exchange.flush()
        await go.wait()
        exchange.write(b"done")
        exchange.finish()

    async with Serving(handler) as server, await server.client() as client:
        await client.send(request())
        while b"\r\n\r\n" not in await client.receive():
            pass
        server.connections.drain(0.1)
        go.set()
        assert await client.rest() == b"done"
        await asyncio.wait_for(server.connections.all_ended(), 1)


@on_uvloop
async def test_drained_again_with_less_linger() -> None:
    async with Serving(echo) as server, await server.client() as client:
        await until(lambda: len(server.connections) == 1)
        server.connections.drain(60.0)
        server.connections.drain(0.0)
        assert await client.rest() == b""


@on_uvloop
async def test_a_connection_accepted_while_draining() -> None:
    async with Serving(echo) as server:
        server.connections.drain(0.2)
        await server.connections.all_ended()
        async with await server.client() as client:
            await client.send(request())
            assert (await client.answer()).header("connection") == "close"


@on_uvloop
async def test_abort_ends_all() -> None:
    waiting = Waiting()
    async with Serving(waiting) as server, await server.client() as client, await server.client():
        await client.send(request())
        await until(lambda: bool(waiting.asked) and len(server.connections) == 2)
        server.connections.abort()
        await asyncio.wait_for(server.connections.all_ended(), 1)
        await until(lambda: bool(waiting.cancelled))


# accepting


@on_uvloop
async def test_many_connections_at_once() -> None:
    async with Serving(echo) as server:
        clients = await asyncio.gather(*[server.client() for _ in range(300)])
        await asyncio.gather(*[client.send(request()) for client in clients])
        assert {(await client.answer()).status for client in clients} == {200}
        for client in clients:
            client.close()
        await until(lambda: not server.connections)


@on_uvloop
async def test_too_many_connections_make_room() -> None:
    """The one that nothing happens on goes; the one that is served stays."""
    waiting = Waiting()
    async with Serving(waiting, room=2) as server:
        busy, idle = await server.client(), await server.client()
        await busy.send(request())
        await until(lambda: bool(waiting.asked) and len(server.connections) == 2)
        third = await server.client()
        await third.send(request(b"/3"))
        assert await idle.rest() == b""
        await until(lambda: waiting.asked == [b"/", b"/3"])
        waiting.go.set()
        for client in (busy, third):
            assert (await client.answer()).status == 200
        for client in (busy, idle, third):
            client.close()


@on_uvloop
async def test_who_waits_gives_way_at_once() -> None:
    """Idle, in the middle of a head or refused: none keeps a new caller waiting, and who was served last goes last."""
    async with Serving(echo, room=60) as server:
        served = await server.client()
        await served.send(request())
        assert (await served.answer()).status == 200
        crowd = [await server.client() for _ in range(120)]
        for number, client in enumerate(crowd):
            await client.send((b"G", request()[:-2], b"rubbish\r\n\r\n")[number % 3])
        await until(lambda: len(server.connections) >= 60)
        async with asyncio.timeout(1):
            for _ in range(20):
                new = await server.client()
                await new.send(request(b"/new"))
                assert (await new.answer()).body == b"/new "
                crowd.append(new)
        assert len(server.connections) <= 60
        assert (await crowd[0].rest())[:4] in (b"", b"HTTP")
        await crowd[-1].send(request(b"/again"))
        assert (await crowd[-1].answer()).body == b"/again "
        for client in (served, *crowd):
            client.close()


@on_uvloop
async def test_who_has_not_read_its_answer_does_not_give_way() -> None:
    answered = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        exchange.reply(200, b"OK", [], b"x" * MB)
        answered.set()

    async with Serving(answer, room=1, buffers=4096) as server:
        slow = await server.client(receive_buffer=4096)
        await slow.send(request())
        await answered.wait()
        other = await server.client()
        await other.send(request())
        assert len((await slow.answer()).body) == MB
        assert (await other.answer()).status == 200
        slow.close()
        other.close()


@on_uvloop
async def test_what_was_accepted_is_served() -> None:
    """Stopping loses none: the race that closing an asyncio server has."""
    for _ in range(20):
        async with Serving(echo) as server:
            clients = await asyncio.gather(*[server.client() for _ in range(10)])
            for client in clients:
                await client.send(request())
            await asyncio.sleep(0)
            accepted = len(server.connections)
            await server.stop()
            assert len(server.connections) >= accepted
            served = 0
            for client in clients:
                try:
                    served += (await client.answer()).status == 200
                except (EOFError, ConnectionResetError):
                    pass  # it was still in the kernel's queue, and nobody else has the socket here
                client.close()
            assert served >= accepted


# back-pressure


class Spring:
    """A source that flows whenever it may, into an exchange."""

    def __init__(self, exchange: Exchange, size: int) -> None:
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.given = 0
        self._exchange = exchange
        self._size = size

    def pause_reading(self) -> None:
        self.flowing.clear()

    def resume_reading(self) -> None:
        self.flowing.set()

    async def flow(self) -> None:
        while self.given < self._size:
            await self.flowing.wait()
            self._exchange.write(b"x" * 16_384)
            self.given += 16_384
            await asyncio.sleep(0)


@pytest.mark.parametrize("full_from_the_start", [False, True])
@on_uvloop
async def test_a_slow_reader_holds_up_the_source(full_from_the_start: bool) -> None:
    size = 16 * MB
    springs: list[Spring] = []

    async def handler(exchange: Exchange) -> None:
        exchange.start(200, b"OK", [b"content-length: %d" % (size + MB)])
        if full_from_the_start:
            exchange.write(b"y" * MB)
        spring = Spring(exchange, size)
        springs.append(spring)
        exchange.source = spring
        if not full_from_the_start:
            exchange.write(b"y" * MB)
        await spring.flow()
        exchange.source = None
        exchange.finish()

    async with Serving(handler, buffers=65536) as server, await server.client(receive_buffer=65536) as client:
        await client.send(request())
        await until(lambda: bool(springs))
        await asyncio.sleep(0.3)
        given = springs[0].given
        assert given < MB
        await asyncio.sleep(0.2)
        assert springs[0].given == given
        assert len((await client.answer()).body) == size + MB


@on_uvloop
async def test_a_client_that_reads_nothing_is_cut() -> None:
    cancelled = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        exchange.start(200, b"OK", [b"content-length: %d" % (64 * MB)])
        spring = Spring(exchange, 64 * MB)
        exchange.source = spring
        try:
            await spring.flow()
        finally:
            cancelled.set()

    limits = Limits(write_stall=0.3)
    async with Serving(handler, limits, buffers=65536) as server, await server.client(receive_buffer=65536) as client:
        await client.send(request())
        await asyncio.wait_for(cancelled.wait(), 3)
        await until(lambda: not server.connections)


class Dam:
    """A sink that lets nothing through until it is opened."""

    def __init__(self) -> None:
        self.got = 0
        self.source: Source | None = None
        self.shut = True

    def write(self, data: Bytes) -> None:
        self.got += len(data)
        if self.shut and self.source is not None:
            self.source.pause_reading()

    def open(self) -> None:
        self.shut = False
        assert self.source is not None
        self.source.resume_reading()


@pytest.mark.parametrize("asked_late", [False, True])
@on_uvloop
async def test_a_full_sink_holds_up_the_client(asked_late: bool) -> None:
    """And the silence that this makes is not the client's."""
    size = 24 * MB
    dam = Dam()

    async def handler(exchange: Exchange) -> None:
        if asked_late:
            await asyncio.sleep(0.3)
        await exchange.pipe(dam)
        exchange.reply(200, b"OK", [], b"%d" % dam.got)

    async with Serving(handler, Limits(body_silence=0.2), buffers=65536) as server, await server.client() as client:
        whole = upload(b"x" * size)
        sent = await client.send_what_fits(whole, still=0.6)
        assert sent < 12 * MB  # what a kernel holds
        assert dam.got <= MB
        dam.open()
        await client.send(whole[sent:])
        assert (await client.answer()).body == b"%d" % size


@on_uvloop
async def test_a_body_that_nobody_asks_for_is_not_kept() -> None:
    waiting = Waiting()
    async with Serving(waiting, Limits(body_silence=0.2), buffers=65536) as server, await server.client() as client:
        sent = await client.send_what_fits(upload(b"x" * 24 * MB), still=0.5)
        assert sent < 12 * MB
        waiting.go.set()
        assert (await client.answer()).status == 200


def test_pipelined_requests_wait_in_a_bounded_buffer() -> None:
    async def talk() -> None:
        go = asyncio.Event()

        async def handler(exchange: Exchange) -> None:
            await go.wait()
            await echo(exchange)

        wire = Wire(ServerConnection(handler, Connections(refusal), PATIENT))
        one = upload(b"x" * 1000)
        for _ in range(200):
            await wire.say([one])
        assert not wire.is_reading()
        go.set()
        while wire.heard.count(b"HTTP/1.1 200 OK") < 200:
            await settle()
        assert wire.is_reading()
        await wire.end()
        assert wire.closed

    asyncio.run(talk())


def test_a_full_client_stays_full_over_the_next_answer() -> None:
    """The source of a second answer is held up too, though the connection says that it is full only once."""

    async def talk() -> None:
        springs: list[Spring] = []

        async def handler(exchange: Exchange) -> None:
            spring = Spring(exchange, MB)
            springs.append(spring)
            exchange.start(200, b"OK", [b"content-length: %d" % MB])
            exchange.source = spring
            await spring.flow()
            exchange.finish()

        wire = Wire(ServerConnection(handler, Connections(refusal), PATIENT))
        wire.slow = True
        await wire.say([request(), request()])
        await settle()
        assert springs[0].given < MB
        wire.read_on()
        while len(springs) < 2:
            await settle()
        wire.slow = True
        while springs[-1].given < MB and springs[-1].flowing.is_set():
            await settle()
        assert len(wire.unsent) < 256 * 1024
        wire.read_on()
        while wire.heard.count(b"x") < 2 * MB:
            await settle()
        await wire.end()

    asyncio.run(talk())
