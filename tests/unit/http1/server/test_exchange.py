"""Bodies, what may be held of them, and handlers that fail."""

import asyncio
import logging

import pytest

from claude_gatewayd.http1 import framing
from claude_gatewayd.http1.flow import Budget, OverBudget
from claude_gatewayd.http1.server.connection import Limits
from claude_gatewayd.http1.server.exchange import BodyCut, BodyTooLarge, Exchange
from tests.support.loop import on_uvloop, until
from tests.support.sinks import Pieces
from tests.unit.http1.server.serving import (
    HANDLERS,
    Serving,
    chunked,
    echo,
    request,
    upload,
)

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


@pytest.mark.parametrize("name", [*HANDLERS])
@on_uvloop
async def test_the_budget_is_given_back_however_it_ends(name: str) -> None:
    budget = Budget(1000)
    held = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        await exchange.hold(500, budget)
        assert budget.left == 900
        held.set()
        await HANDLERS[name](exchange)

    async with Serving(handler) as server:
        client = await server.client()
        await client.send(upload(b"x" * 100))
        await held.wait()
        client.close()
        await until(lambda: not server.connections)
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
        await until(lambda: budget.left == 1000)
        await until(lambda: not server.connections)
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


# faults of a handler


@pytest.mark.parametrize("name", ["fails", "forgets"])
@on_uvloop
async def test_a_handler_that_does_not_answer(name: str) -> None:
    async with Serving(HANDLERS[name]) as server, await server.client() as client:
        await client.send(request() + request())
        with pytest.raises((EOFError, ConnectionResetError)):
            await client.answer()


def test_a_fault_of_a_handler_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    @on_uvloop
    async def run() -> None:
        async with Serving(HANDLERS["fails"]) as server, await server.client() as client:
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
