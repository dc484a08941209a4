"""All connections together: drained, accepted, and making room."""

import asyncio

from claude_gatewayd.http1.server.connections import Connections
from claude_gatewayd.http1.server.exchange import Exchange
from tests.support.loop import on_uvloop, until
from tests.unit.http1.server.serving import (
    MB,
    Serving,
    Waiting,
    echo,
    request,
)

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
        await asyncio.wait_for(server.connections.all_ended(), 10)


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
        await asyncio.wait_for(server.connections.all_ended(), 10)


@on_uvloop
async def test_while_it_leaves_answers_ask_to_close_and_idle_connections_stay_until_the_drain() -> None:
    async with Serving(echo) as server, await server.client() as used, await server.client() as idle:
        for client in (used, idle):
            await client.send(request())
            assert (await client.answer()).header("connection") is None
        server.connections.leave()
        async with await server.client() as fresh:
            for client in (used, fresh):
                await client.send(request())
                assert (await client.answer()).header("connection") == "close"
                assert await client.rest() == b""
        await idle.send(b"GET /begun")
        server.connections.drain(0.0)
        server.connections.leave()  # whoever drains does not go back
        assert server.connections.linger == 0.0
        await idle.send(b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await idle.answer()).header("connection") == "close"
        await asyncio.wait_for(server.connections.all_ended(), 10)


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
        await asyncio.wait_for(ended, 10)


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
        await asyncio.wait_for(server.connections.all_ended(), 10)


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
        await asyncio.wait_for(server.connections.all_ended(), 10)
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


class Stuck:
    """A connection whose client has not read its answer yet."""

    def close_if_idle(self) -> bool:
        return False

    def drain(self) -> None:
        pass

    def abort(self) -> None:
        pass


class Idle(Stuck):
    """A connection that can be closed."""

    def close_if_idle(self) -> bool:
        return True


@on_uvloop
async def test_one_that_cannot_be_closed_makes_no_room() -> None:
    connections = Connections(lambda _: b"")
    stuck, idle = Stuck(), Idle()
    for one in (stuck, idle):
        connections.add(one)
        connections.waiting[one] = None
    assert connections.make_room(2)
    assert list(connections.waiting) == [stuck]  # the longest waiting, and still counted
    connections.add(Idle())  # not waiting: a request of it is under way
    assert not connections.make_room(2)
    assert len(connections) == 2
