"""What an open page is sent, also if it is slow."""

import asyncio
import json
from typing import Any

import pytest

from claude_gatewayd.dashboard.live import Live, OpenPage, event
from tests.support.loop import on_uvloop


async def sent(page: OpenPage) -> list[tuple[str, Any]]:
    """Return the events that are sent next, together."""
    stream = page.events()
    assert await anext(stream) == b"retry: 1000\n\n"
    data = await anext(stream)
    blocks = [block.split(b"\ndata: ") for block in data.split(b"\n\n") if block]
    return [(name.removeprefix(b"event: ").decode(), json.loads(value)) for name, value in blocks]


def rows(*ids: int) -> dict[str, Any]:
    return {"requests": [{"id": one, "status": 200} for one in ids], "missed": 0}


@on_uvloop
async def test_it_begins_with_what_is_known() -> None:
    live = Live()
    live.take(rows(*range(250)))
    live.show("login", {"state": "running"})
    (name, login), (other, last) = await sent(live.open())
    assert (name, login, other) == ("login", {"state": "running"}, "requests")
    assert [row["id"] for row in last] == list(range(50, 250))
    assert last[0]["words"] == ""


@on_uvloop
async def test_of_a_state_only_the_last_is_sent_and_rows_together() -> None:
    live = Live()
    page = live.open()
    for number in range(3):
        live.show("status", number)
        live.take(rows(number))
    assert await sent(page) == [
        ("status", 2),
        ("requests", [{"id": number, "status": 200, "words": ""} for number in range(3)]),
    ]


@on_uvloop
async def test_a_slow_page_misses_the_oldest_and_is_told_how_many() -> None:
    live = Live()
    slow = live.open()
    for number in range(25):
        live.take(rows(*range(100 * number, 100 * number + 100)))
    live.take({"requests": [], "missed": 7})
    found = dict(await sent(slow))
    assert found["missed"] == {"requests": 507}
    assert len(found["requests"]) == 2000
    assert found["requests"][-1]["id"] == 2499


@on_uvloop
async def test_it_ends_with_the_process_and_its_memory_with_the_page() -> None:
    live = Live()
    page = live.open()
    assert live.is_watched.is_set()
    live.end()
    assert [part async for part in page.events()] == [b"retry: 1000\n\n"]
    live.leave(page)
    live.leave(page)
    assert not live.is_watched.is_set()
    late = live.open()
    assert [part async for part in late.events()] == [b"retry: 1000\n\n"]


@on_uvloop
async def test_a_login_that_has_ended_is_not_shown_to_pages_that_come() -> None:
    live = Live()
    early = live.open()
    live.show("login", {"state": "done"})
    live.forget("login")
    assert await sent(early) == [("login", {"state": "done"})]
    late = live.open()
    live.show("status", 1)
    assert await sent(late) == [("status", 1)]


def test_no_text_ends_an_event() -> None:
    made = event("status", {"why": "a\n\nevent: requests\rdata: x\u2028"})
    assert made.count(b"\n") == 3
    assert b"\r" not in made
    assert made.endswith(b"\n\n")


@on_uvloop
async def test_a_page_to_which_nothing_happens_is_sent_nothing() -> None:
    page = Live().open()
    stream = page.events()
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert not waiting.done()
    page.close()
    with pytest.raises(StopAsyncIteration):
        await waiting


@on_uvloop
async def test_a_request_that_is_named_twice_is_shown_once() -> None:
    live = Live()
    live.take(rows(1, 2))
    live.take(rows(2, 3))
    ((name, shown),) = await sent(live.open())
    assert (name, [row["id"] for row in shown]) == ("requests", [1, 2, 3])
