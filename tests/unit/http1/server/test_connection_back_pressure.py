"""Who is slow holds up the other side, and nothing piles up in between."""

import asyncio

import pytest

from claude_gatewayd.http1.server.connection import Limits, ServerConnection
from claude_gatewayd.http1.server.connections import Connections
from claude_gatewayd.http1.server.exchange import Exchange
from tests.fakes.transport import Wire, settle
from tests.support.loop import on_uvloop, until
from tests.support.sinks import Dam
from tests.unit.http1.server.serving import (
    MB,
    PATIENT,
    Serving,
    Waiting,
    echo,
    refusal,
    request,
    upload,
)


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
        await asyncio.wait_for(cancelled.wait(), 10)
        await until(lambda: not server.connections)


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
