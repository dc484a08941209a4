"""Clients that end their side of a connection, or are gone."""

import asyncio

import pytest

from claude_gatewayd.http1 import framing
from claude_gatewayd.http1.flow import Budget
from claude_gatewayd.http1.server.exchange import BodyCut, Exchange
from tests.support.loop import on_uvloop, until
from tests.support.sinks import Pieces
from tests.unit.http1.server.serving import (
    MB,
    Serving,
    Waiting,
    echo,
    request,
    upload,
)


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
        await until(lambda: bool(waiting.cancelled))
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
        await until(lambda: not server.connections and waiting.cancelled == waiting.asked)


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
        await asyncio.wait_for(cancelled.wait(), 10)


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
