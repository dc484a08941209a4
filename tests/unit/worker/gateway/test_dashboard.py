"""The dashboard's lane without a process behind it: what it answers itself, how many pages there are, and their end."""

import asyncio
import os
from typing import Any, cast

import pytest

from claude_gatewayd.http1 import head
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.worker.dashboard import session
from claude_gatewayd.worker.dashboard.child import Child
from claude_gatewayd.worker.dashboard.feed import Feed
from claude_gatewayd.worker.dashboard.links import Links
from claude_gatewayd.worker.gateway import dashboard
from claude_gatewayd.worker.gateway.dashboard import MOST_PAGES, DashboardLane, DashboardSettings
from claude_gatewayd.worker.gateway.guard import Rejection
from claude_gatewayd.worker.gateway.strangers import Strangers
from tests.support.clock import Clock
from tests.support.connection import FakeConnection
from tests.support.loop import on_uvloop, until

KEY, PORT = "cgw-key", 47000


class WaitingRelay:
    """An upstream that does not answer, or fails."""

    def __init__(self) -> None:
        self.asked = 0
        self.failure: UpstreamFailed | None = None

    async def ask(self, *_: Any, **__: Any) -> None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        await asyncio.get_running_loop().create_future()


class ClientConnection(FakeConnection):
    """A browser's connection, which notes that it was reset."""

    def __init__(self) -> None:
        super().__init__()
        self.was_reset = False

    def reset(self) -> None:
        self.was_reset = True


class Scene:
    """A lane, and whoever asks it."""

    def __init__(self, off: str = "") -> None:
        self.clock = Clock()
        self.links = Links(self.clock)
        self.relay = WaitingRelay()
        self.child = Child(Feed(), os.environ)
        settings = DashboardSettings(KEY, PORT, off)
        strangers = Strangers("auto", lambda _there, _here: os.getuid())
        self.lane = DashboardLane(settings, self.links, self.child, cast("Any", self.relay), strangers, self.clock)
        self.cookie = f"{session.cookie_name(PORT)}={session.begin(KEY, PORT, self.clock.now)}"

    def ask(
        self, target: str, *lines: str, rejection: Rejection | None = None
    ) -> tuple[ClientConnection, "asyncio.Task[None]"]:
        """Ask for a target with the cookie; return the connection, and the task that answers."""
        connection = ClientConnection()
        text = "\r\n".join([f"GET {target} HTTP/1.1", f"Host: 127.0.0.1:{PORT}", f"Cookie: {self.cookie}", *lines])
        exchange = Exchange(connection, head.parse_request(text.encode() + b"\r\n\r\n"))
        path = target.partition("?")[0].encode()
        return connection, asyncio.ensure_future(self.lane.answer(exchange, path, target.encode(), rejection))

    async def answered(self, target: str, *lines: str, rejection: Rejection | None = None) -> bytes:
        """Ask, and return the whole answer."""
        connection, task = self.ask(target, *lines, rejection=rejection)
        await task
        return connection.got


@on_uvloop
async def test_a_link_is_good_for_a_minute() -> None:
    scene = Scene()
    late, early = scene.lane.link(), scene.lane.link()
    assert (await scene.answered(f"/gateway/open?link={early}")).startswith(b"HTTP/1.1 303 ")
    scene.clock.now += 61
    assert (await scene.answered(f"/gateway/open?link={late}")).startswith(b"HTTP/1.1 401 ")


@on_uvloop
async def test_what_it_answers_itself_asks_nobody() -> None:
    scene = Scene()
    scene.cookie = ""
    for target, status in (("/gateway", 308), ("/gateway/", 401), ("/gateway/live", 401), ("/gateway/open", 401)):
        assert (await scene.answered(target)).startswith(b"HTTP/1.1 %d " % status)
    foreign = await scene.answered("/gateway/", rejection=Rejection(421, "cannot serve this Host"))
    assert foreign.startswith(b"HTTP/1.1 421 ")
    assert b"content-security-policy: " in foreign
    assert not scene.relay.asked


@on_uvloop
async def test_where_it_is_off_there_is_no_link() -> None:
    scene = Scene(off="there is no dashboard")
    assert scene.lane.link() == ""
    assert (await scene.answered("/gateway/")).startswith(b"HTTP/1.1 404 ")


@on_uvloop
async def test_the_fifty_first_page_is_refused_and_a_page_that_leaves_makes_room() -> None:
    scene = Scene()
    pages = [scene.ask("/gateway/live") for _ in range(MOST_PAGES)]
    await until(lambda: scene.lane.pages == MOST_PAGES)
    refused = await scene.answered("/gateway/live")
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"cannot show more than 50 pages at a time" in refused
    connection, task = pages.pop()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert connection.was_reset, "so it is not counted as a client that has gone"
    assert scene.lane.pages == MOST_PAGES - 1
    scene.lane.drain()
    assert all(page.was_reset for page, _ in pages), "a drain ends all at once"
    for _, task in pages:
        task.cancel()
    await asyncio.gather(*(task for _, task in pages), return_exceptions=True)


@on_uvloop
async def test_a_page_that_does_not_read_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "_LOOK_EVERY", 0.01)
    scene = Scene()
    (slow, first), (good, second), (deaf, third) = (scene.ask("/gateway/live") for _ in range(3))
    slow.write_paused = True
    good.unread = 1000
    deaf.unread = 100_000  # in the kernel, which takes more
    await until(lambda: slow.was_reset and deaf.was_reset)
    assert not good.was_reset
    for task in (first, second, third):
        task.cancel()
    await asyncio.gather(first, second, third, return_exceptions=True)
    assert not scene.lane.pages


@on_uvloop
async def test_a_process_that_fails_is_a_sentence() -> None:
    scene = Scene()
    scene.relay.failure = UpstreamFailed("connect", "its process cannot be started: <b>")
    page = await scene.answered("/gateway/")
    assert page.startswith(b"HTTP/1.1 503 ")
    assert b"Cannot show the dashboard: its process cannot be started: &lt;b&gt;." in page
    assert scene.relay.asked == 1
    scene.relay.failure.stale = True
    await scene.answered("/gateway/live")
    assert scene.relay.asked == 3, "an idle connection to one that has ended: once more"


@on_uvloop
async def test_a_body_is_not_taken() -> None:
    scene = Scene()
    assert (await scene.answered("/gateway/", "Content-Length: 5")).startswith(b"HTTP/1.1 413 ")
    assert not scene.relay.asked


@on_uvloop
async def test_while_it_drains_the_browser_has_to_ask_again() -> None:
    scene = Scene()
    scene.lane.drain()
    connection, task = scene.ask("/gateway/")
    await task
    assert connection.was_reset
    assert connection.got == b""
