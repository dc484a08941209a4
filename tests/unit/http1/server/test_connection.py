"""Requests on one connection, on real sockets: kept alive, pipelined, in order, cut anywhere."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from claude_gatewayd.http1 import framing
from claude_gatewayd.http1.server.connection import Limits, ServerConnection
from claude_gatewayd.http1.server.connections import Connections
from claude_gatewayd.http1.server.exchange import Exchange
from tests.fakes.transport import Wire, settle
from tests.support.cuts import cut_anywhere
from tests.support.loop import on_uvloop, until
from tests.support.sinks import Pieces
from tests.unit.http1.server.serving import (
    PATIENT,
    Serving,
    Waiting,
    echo,
    refusal,
    request,
    upload,
)


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
    async def answers_to(pieces: list[bytes]) -> bytes:
        wire = Wire(ServerConnection(echo, Connections(lambda problem: b"refused"), PATIENT))
        await wire.say(pieces)
        await wire.end()
        await settle()
        assert wire.closed
        return wire.heard.partition(b"refused")[0] + (b"refused" if b"refused" in wire.heard else b"")

    async def talk() -> None:
        assert await answers_to(data.draw(cut_anywhere(stream))) == await answers_to([stream])

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
