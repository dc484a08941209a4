"""A second connection beside one that says nothing: when there is one, who wins, and that nothing is paid for twice."""

import asyncio
from collections.abc import Callable

import pytest

from claude_gatewayd.http1.upstream import mute
from claude_gatewayd.http1.upstream.connection import UpstreamConnection
from claude_gatewayd.http1.upstream.failure import UpstreamFailed
from claude_gatewayd.http1.upstream.pool import Pool
from tests.fakes.transport import Wire, settle
from tests.support.loop import on_uvloop, until

REQUEST = b"POST / HTTP/1.1\r\n\r\n"
STILL = 0.03


def answering(status: int) -> list[bytes]:
    return [b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status]


class Connection(UpstreamConnection):
    """A connection of which the test says what the peer's TCP has acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.unheard: int | None = 0
        self.wire = Wire(self)

    def unacknowledged(self) -> int | None:
        return self.unheard


class Scene:
    """A connection that a request has gone out on, and those that are made beside it."""

    def __init__(self, unheard: int | None) -> None:
        self.made: list[Connection] = []
        self.may_connect = asyncio.Event()
        self.may_connect.set()
        self.fails = False
        self.first = Connection()
        self.first.unheard = unheard
        self.pool = Pool(self._connect)
        self.send(self.first)

    async def _connect(self) -> UpstreamConnection:
        await self.may_connect.wait()
        if self.fails:
            raise UpstreamFailed("connect", "no")
        self.made.append(Connection())
        return self.made[-1]

    def send(self, connection: UpstreamConnection) -> None:
        connection.send(REQUEST, b"", without_body=False, complete=True)

    def ask(
        self,
        *,
        repeatable: bool = False,
        seconds: float = 5,
        send: Callable[[UpstreamConnection], None] | None = None,
    ) -> "asyncio.Task[mute.Found]":
        again = mute.Resend(send or self.send, repeatable, self.first.loop.time() + seconds)
        return asyncio.create_task(mute.answer(self.first, self.pool, again, still=STILL))

    async def second(self) -> Connection:
        await until(lambda: bool(self.made))
        await settle()
        return self.made[0]


@on_uvloop
async def test_what_was_acknowledged_is_not_sent_again() -> None:
    for unheard in (0, None):
        scene = Scene(unheard)
        asking = scene.ask()
        await asyncio.sleep(3 * STILL)
        assert not scene.made
        await scene.first.wire.say(answering(200))
        assert (await asking)[0] is scene.first
        assert not scene.first.lost


@on_uvloop
async def test_what_is_being_acknowledged_is_waited_for() -> None:
    """A large request on a slow line."""
    scene = Scene(1000)
    asking = scene.ask()
    for left in range(900, -1, -100):
        await asyncio.sleep(STILL / 2)
        scene.first.unheard = left
    await asyncio.sleep(3 * STILL)
    assert not scene.made
    await scene.first.wire.say(answering(200))
    assert (await asking)[0] is scene.first


@on_uvloop
async def test_what_was_not_acknowledged_goes_out_again_after_the_first_has_ended() -> None:
    scene = Scene(10)
    sent: list[bool] = []

    def send(connection: UpstreamConnection) -> None:
        sent.append(scene.first.lost)
        scene.send(connection)

    asking = scene.ask(send=send)
    second = await scene.second()
    assert second.wire.heard == REQUEST
    assert sent == [True]
    await second.wire.say(answering(201))
    connection, head = await asking
    assert (connection, head.status) == (second, 201)


@on_uvloop
async def test_what_is_heard_while_the_second_is_made_is_not_sent_again() -> None:
    scene = Scene(10)
    scene.may_connect.clear()
    asking = scene.ask()
    await asyncio.sleep(3 * STILL)
    scene.first.unheard = 0
    scene.may_connect.set()
    second = await scene.second()
    assert second.wire.heard == b""
    assert second.lost
    await scene.first.wire.say(answering(200))
    assert (await asking)[0] is scene.first


@on_uvloop
async def test_the_idle_ones_went_the_same_way() -> None:
    scene = Scene(10)
    idle = await scene.pool.connect()
    scene.send(idle)
    await scene.made[0].wire.say(answering(200))
    await idle.answer(1)
    scene.pool.release(idle)
    asking = scene.ask()
    await until(lambda: len(scene.made) == 2)
    await settle()
    assert idle.lost
    await scene.made[1].wire.say(answering(200))
    assert (await asking)[0] is scene.made[1]
    scene.pool.close()


@pytest.mark.parametrize("winner", ["first", "second"])
@pytest.mark.parametrize("unheard", [0, 10])
@on_uvloop
async def test_of_what_may_be_repeated_the_first_answer_wins_and_the_loser_is_ended(winner: str, unheard: int) -> None:
    scene = Scene(unheard)
    asking = scene.ask(repeatable=True)
    second = await scene.second()
    assert second.wire.heard == REQUEST
    wins, loses = (scene.first, second) if winner == "first" else (second, scene.first)
    await wins.wire.say(answering(200))
    assert (await asking)[0] is wins
    await settle()
    assert loses.lost
    assert not wins.lost


@pytest.mark.parametrize("lost", ["first", "second"])
@on_uvloop
async def test_one_that_fails_is_no_winner(lost: str) -> None:
    scene = Scene(0)
    asking = scene.ask(repeatable=True)
    second = await scene.second()
    fails, wins = (scene.first, second) if lost == "first" else (second, scene.first)
    await fails.wire.vanish()
    await wins.wire.say(answering(200))
    assert (await asking)[0] is wins


@on_uvloop
async def test_both_fail() -> None:
    scene = Scene(0)
    asking = scene.ask(repeatable=True)
    second = await scene.second()
    await second.wire.vanish()
    await scene.first.wire.vanish()
    with pytest.raises(UpstreamFailed):
        await asking


@on_uvloop
async def test_no_new_connection_can_be_made() -> None:
    """Then it is told at once if the old one is mute, and that has ended; else the old one is waited for."""
    scene = Scene(10)
    scene.fails = True
    with pytest.raises(UpstreamFailed) as caught:
        await scene.ask()
    assert caught.value.kind == "connect"
    assert scene.first.lost
    other = Scene(0)
    other.fails = True
    asking = other.ask(repeatable=True)
    await asyncio.sleep(STILL)
    await other.first.wire.say(answering(200))
    assert (await asking)[0] is other.first


@on_uvloop
async def test_nobody_answers() -> None:
    scene = Scene(10)
    asking = scene.ask(seconds=5 * STILL)
    second = await scene.second()
    with pytest.raises(UpstreamFailed) as caught:
        await asking
    assert caught.value.kind == "timeout"
    await settle()
    assert second.lost
    assert scene.first.lost


@pytest.mark.parametrize("when", ["looking", "connecting", "asking"])
@on_uvloop
async def test_a_client_that_goes_leaves_nothing_open(when: str) -> None:
    scene = Scene(10)
    if when == "connecting":
        scene.may_connect.clear()
    asking = scene.ask()
    if when == "asking":
        await scene.second()
    elif when == "connecting":
        await asyncio.sleep(3 * STILL)
    else:
        await settle()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await settle()
    scene.may_connect.set()
    await settle()
    assert all(made.lost for made in scene.made)


@on_uvloop
async def test_a_connection_says_when_it_is_quiet() -> None:
    connection = Connection()
    connection.send(REQUEST, b"", without_body=False, complete=True)
    assert await connection.answer_unless_quiet(5, 0.02) is None
    asking = asyncio.create_task(connection.answer(5))
    await connection.wire.say(answering(200))
    assert (await asking).status == 200


@on_uvloop
async def test_a_byte_is_not_quiet_and_its_time_is_no_longer_for_it() -> None:
    connection = Connection()
    connection.send(REQUEST, b"", without_body=False, complete=True)
    asking = asyncio.create_task(connection.answer_unless_quiet(0.2, 0.05))
    await connection.wire.say([b"HTTP/1.1 2"])
    begun = connection.loop.time()
    with pytest.raises(UpstreamFailed) as caught:
        await asking
    assert (caught.value.kind, caught.value.silent) == ("timeout", False)
    assert connection.loop.time() - begun < 2
