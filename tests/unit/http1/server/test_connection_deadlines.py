"""How long a client may take, and how one that is refused hears of it."""

import asyncio

import pytest

from claude_gatewayd.http1.flow import Budget
from claude_gatewayd.http1.server.connection import Limits
from claude_gatewayd.http1.server.exchange import BodyTooLarge, Exchange
from tests.support.loop import Client, on_uvloop, until
from tests.unit.http1.server.serving import (
    MB,
    Serving,
    Waiting,
    chunked,
    echo,
    request,
    upload,
)

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
        await until(lambda: not server.connections)


@on_uvloop
async def test_a_refused_client_that_never_stops_is_cut() -> None:
    async with Serving(echo, Limits(discard=0.2)) as server, await server.client() as client:
        await client.send(b"rubbish\r\n\r\n")
        assert (await client.answer()).status == 400
        await until(lambda: not server.connections)


@on_uvloop
async def test_rubbish_after_a_request() -> None:
    async with Serving(echo) as server, await server.client() as client:
        await client.send(request(b"/1") + b"rubbish\r\n\r\n" + request(b"/never"))
        assert (await client.answer()).body == b"/1 "
        assert (await client.answer()).status == 400
        assert await client.rest() == b""
