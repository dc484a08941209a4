"""When a status is shown."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from claude_gatewayd.dashboard import watching
from claude_gatewayd.dashboard.live import Live
from claude_gatewayd.dashboard.watching import Watch, lasting, watch
from claude_gatewayd.errors import GatewayError
from tests.support.loop import on_uvloop, until


def test_what_only_counts_up_makes_no_change() -> None:
    one = {"uptime": 1, "state": "serving", "generations": [{"memory": 1, "at_rest": True, "streams": 0}]}
    other = {"uptime": 2, "state": "serving", "generations": [{"memory": 2, "at_rest": False, "streams": 0}]}
    assert lasting(one) == lasting(other) == {"state": "serving", "generations": [{"streams": 0}]}


def test_it_is_shown_when_it_changes_and_every_fifteen_seconds() -> None:
    seen = Watch()
    shown = [now for now in range(40) if seen.is_due({"state": "a" if now < 5 else "b", "uptime": now}, float(now))]
    assert shown == [0, 5, 20, 35]


def test_where_nothing_happens_it_is_looked_at_less_often() -> None:
    seen = Watch()
    assert seen.is_due({"state": "a"}, 100.0)
    assert seen.pause(101.0) == 0
    assert not seen.is_due({"state": "a"}, 114.0)
    assert seen.pause(121.0) == 2
    assert seen.is_due({"state": "b"}, 121.0)
    assert seen.pause(121.0) == 0


def looking(answers: list[Any]) -> Callable[[], Any]:
    async def look() -> dict[str, Any]:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        found: dict[str, Any] = answer
        return found

    return look


@on_uvloop
async def test_a_daemon_that_does_not_answer_is_said_beside_what_was_last_so() -> None:
    watching_every = pytest.MonkeyPatch()
    watching_every.setattr(watching, "_EVERY", 0.01)
    live = Live()
    page = live.open()
    gone = GatewayError("cannot reach claude-gatewayd", "claude-gatewayctl start")
    task = asyncio.create_task(watch(live, looking([gone, {"state": "serving", "version": "1"}, gone])))
    try:
        stream = page.events()
        await anext(stream)
        assert b'"state":"serving"' in await anext(stream), "before the first, there is nothing to show"
        last = await anext(stream)
        assert b'"state":"unreachable"' in last
        assert b'"version":"1"' in last
        assert b'"hint":"claude-gatewayctl start"' in last
    finally:
        watching_every.undo()
        task.cancel()


@on_uvloop
async def test_nobody_is_asked_while_no_page_is_open() -> None:
    asked = 0

    async def look() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return {"state": "serving"}

    live = Live()
    task = asyncio.create_task(watch(live, look))
    await asyncio.sleep(0.01)
    assert not asked
    page = live.open()
    await until(lambda: bool(asked))
    live.leave(page)
    task.cancel()


@on_uvloop
async def test_a_page_that_comes_while_another_is_open_is_shown_the_status_of_now() -> None:
    live = Live()
    task = asyncio.create_task(watch(live, looking([{"state": "serving"}])))
    live.open()
    await asyncio.sleep(0.05)
    stream = live.open().events()
    await anext(stream)
    assert b'"state":"serving"' in await anext(stream), "at once, though nothing has changed"
    task.cancel()
