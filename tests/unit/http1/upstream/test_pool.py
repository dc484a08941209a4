"""Connections that are used again."""

import asyncio
import time

import pytest

from claude_gatewayd.http1.upstream.connection import UpstreamConnection, UpstreamFailed
from claude_gatewayd.http1.upstream.pool import Pool
from tests.fakes.transport import settle
from tests.support.exchanging import OK, Upstream
from tests.support.loop import on_uvloop, until


class Upstreams:
    """Makes connections, and knows them all."""

    def __init__(self) -> None:
        self.made: list[Upstream] = []

    async def __call__(self) -> UpstreamConnection:
        self.made.append(Upstream())
        return self.made[-1].connection


async def acquire(pool: Pool, *, fresh: bool = False) -> tuple[UpstreamConnection, bool]:
    """Take a connection as a request does, and say whether it has been used before."""
    found = None if fresh else pool.idle()
    return found or await pool.connect(), found is not None


async def used(pool: Pool, upstreams: Upstreams, *, fresh: bool = False) -> UpstreamConnection:
    """Do one exchange over the pool, and give its connection back."""
    connection, _ = await acquire(pool, fresh=fresh)
    upstream = next(upstream for upstream in upstreams.made if upstream.connection is connection)
    await upstream.exchange([OK])
    pool.release(connection)
    return connection


def test_a_pool_gives_the_last_used_first() -> None:
    async def talk() -> None:
        upstreams = Upstreams()
        pool = Pool(upstreams)
        first, second = [(await acquire(pool))[0] for _ in range(2)]
        for upstream in upstreams.made:
            await upstream.exchange([OK])
        pool.release(first)
        pool.release(second)
        assert await acquire(pool) == (second, True)
        assert await acquire(pool) == (first, True)
        third, used_before = await acquire(pool)
        assert not used_before
        assert third not in (first, second)
        pool.close()

    asyncio.run(talk())


def test_a_fresh_one_is_made_though_others_are_idle() -> None:
    async def talk() -> None:
        upstreams = Upstreams()
        pool = Pool(upstreams)
        idle = await used(pool, upstreams)
        fresh, used_before = await acquire(pool, fresh=True)
        assert fresh is not idle
        assert not used_before
        pool.close()

    asyncio.run(talk())


def test_what_cannot_be_used_again_is_not_kept() -> None:
    async def talk() -> None:
        upstreams = Upstreams()
        pool = Pool(upstreams)
        for pieces in ([OK[:-1]], [OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")], [OK + b"more"]):
            connection, _ = await acquire(pool)
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
        connection, used_before = await acquire(pool)
        assert connection is not gone
        assert not used_before
        pool.close()

    asyncio.run(talk())


def test_a_pool_keeps_no_more_than_it_may() -> None:
    async def talk() -> None:
        upstreams = Upstreams()
        pool = Pool(upstreams)
        for _ in range(100):
            await acquire(pool)
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
        connection, _ = await acquire(pool)
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
            connection, used_before = await acquire(pool)
            assert (connection is before) is kept
            assert used_before is kept
            await settle()
            assert upstreams.made[0].wire.closed is not kept
            upstream = upstreams.made[-1]
            await upstream.exchange([OK])
            pool.release(upstream.connection)
            assert (await acquire(pool))[1]  # told once, it goes on
        pool.close()

    asyncio.run(talk())


def test_a_connect_that_fails_is_told() -> None:
    async def refuse() -> UpstreamConnection:
        raise UpstreamFailed("connect", "refused")

    async def talk() -> None:
        pool = Pool(refuse)
        with pytest.raises(UpstreamFailed, match="refused"):
            await acquire(pool)
        pool.close()

    asyncio.run(talk())
