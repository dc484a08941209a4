"""From what is true to who is notified of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.aws.snapshot import CredentialSnapshot
from claude_gatewayd.ctl.terminal import text
from claude_gatewayd.supervisor import status
from claude_gatewayd.worker.notices import NoticeRules, Notices, NoticeStore
from claude_gatewayd.worker.notices.notice import Notice
from claude_gatewayd.worker.serving import Serving
from claude_gatewayd.worker.usage.budget import NO_BUDGET

NOW = 1_764_072_000.0
REFUSED = CredentialSnapshot(
    "login-needed",
    "sso",
    refreshable=True,
    token_ends=NOW,
    works_until=NOW + 5400,
    why="AWS no longer renews the login",
)
BEDROCK = Serving("bedrock", NOW, "529")


class World:
    """What there is to look at, and a messenger that keeps what it was given; by *hold* it takes its time."""

    def __init__(self) -> None:
        self.snapshot = CredentialSnapshot("unconfigured", "none")
        self.serving = Serving()
        self.now = NOW
        self.sent: list[Notice] = []
        self.fails = ""
        self.hold: asyncio.Event | None = None
        self.was_sent = asyncio.Event()

    async def send(self, notice: Notice) -> str:
        self.sent.append(notice)
        self.was_sent.set()
        if self.hold is not None:
            await self.hold.wait()
        return self.fails

    def notices(self, file: Path, look: Callable[[], CredentialSnapshot] | None = None) -> Notices:
        def now() -> float:
            return self.now

        look = look or (lambda: self.snapshot)
        return Notices(
            look,
            lambda: self.serving,
            lambda: NO_BUDGET,
            NoticeRules(),
            NoticeStore(file, now),
            {"a friend": self.send},
            now,
        )

    @property
    def events(self) -> list[str]:
        return [notice.event for notice in self.sent]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "notices.json"


async def settle(notices: Notices) -> None:
    """Return when nothing is being sent."""
    while notices._sending is not None:
        await asyncio.wait((notices._sending,))
        await asyncio.sleep(0)


def lives(story: Callable[[], Awaitable[Any]]) -> None:
    async def live() -> None:
        await story()

    asyncio.run(live())


def test_each_is_told_once_by_all_generations(world: World, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def story() -> None:
        old, new = world.notices(file), world.notices(file)
        for notices in (old, new, old):  # both at once, as in the moment of a hand-over
            notices.tick()
            await settle(notices)
        world.snapshot, world.serving = REFUSED, BEDROCK
        old.tick()
        new.tick()
        await asyncio.gather(settle(old), settle(new))
        another = world.notices(file)  # after a restart
        for notices in (old, new, another):
            notices.tick()
            await settle(notices)

    lives(story)
    assert world.events == ["login-needed", "bedrock-serves"]
    logged = [(record.levelname, record.message) for record in caplog.records]
    assert [level for level, _ in logged] == ["WARNING", "INFO"]
    assert "run claude-gatewayctl sso-login (AWS no longer renews the login)" in logged[0][1]
    assert "Anthropic answers 529" in logged[1][1]


def test_nothing_is_read_or_written_while_there_is_nothing_to_tell(world: World, file: Path) -> None:
    async def story() -> None:
        notices = world.notices(file)
        notices.tick()
        assert notices._sending is not None  # it reads, once, what others have told
        await settle(notices)
        for _ in range(100):
            notices.tick()
            assert notices._sending is None

    lives(story)
    assert not file.exists()


def test_a_messenger_that_takes_its_time_holds_nothing_up(world: World, file: Path) -> None:
    """Nothing queues: what has changed meanwhile is told afterwards, as it then is."""

    async def story() -> None:
        notices = world.notices(file)
        world.hold = asyncio.Event()
        world.serving = BEDROCK
        notices.tick()
        await world.was_sent.wait()
        world.snapshot = REFUSED
        for _ in range(10):
            notices.tick()
            assert [one["event"] for one in notices.active()] == ["login-needed", "bedrock-serves"]
        assert world.events == ["bedrock-serves"]
        world.hold.set()
        await settle(notices)
        notices.tick()
        await settle(notices)
        assert world.events == ["bedrock-serves", "login-needed"]

    lives(story)


def test_close_waits_for_nobody(world: World, file: Path) -> None:
    async def story() -> None:
        notices = world.notices(file)
        await notices.close()
        world.hold = asyncio.Event()
        world.serving = BEDROCK
        notices.tick()
        await world.was_sent.wait()
        async with asyncio.timeout(5):
            await notices.close()

    lives(story)


def test_a_messenger_that_fails_is_logged_when_that_is_news(
    world: World, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        notices = world.notices(file)
        for number, world.fails in enumerate(("no bus", "no bus", "", "no bus", "status 1")):
            world.snapshot = REFUSED._replace(token_ends=NOW + 1000 * number)
            notices.tick()
            await settle(notices)
        assert len(world.sent) == 5

    lives(story)
    failed = [record.message for record in caplog.records if "failed" in record.message]
    assert failed == ["a friend failed: no bus", "a friend failed: no bus", "a friend failed: status 1"]


def test_a_fault_is_told_once_and_ends_nothing(world: World, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        def look() -> CredentialSnapshot:
            raise ZeroDivisionError

        faulty = world.notices(file, look)
        for _ in range(3):
            faulty.tick()
        assert faulty.active() == []

    lives(story)
    assert [record.message for record in caplog.records] == ["cannot send notices: this is a fault of the daemon"]


def test_a_new_generation_shows_what_an_older_one_has_told(world: World, file: Path) -> None:
    async def story() -> None:
        old = world.notices(file)
        world.serving = BEDROCK
        old.tick()
        await settle(old)
        world.serving = BEDROCK._replace(since=NOW + 600)
        new = world.notices(file)
        new.tick()
        assert new.active() == []  # it does not know yet
        await settle(new)
        new.tick()
        assert [(one["event"], one["since"]) for one in new.active()] == [("bedrock-serves", NOW)]

    lives(story)


# how it reads


def as_status(*notices: Notice) -> list[dict[str, Any]]:
    return [notice.as_dict() for notice in notices]


LOGIN = Notice("login-needed", "Bedrock works until 14:10", "it ended", "claude-gatewayctl sso-login", until=NOW + 1500)
SERVES = Notice("bedrock-serves", "Claude Code is served by Bedrock since 12:00", "Anthropic answers 529", since=NOW)


def test_the_status_counts_down() -> None:
    shown = [line for one in as_status(LOGIN, SERVES) for line in text._notice(one, NOW + 61)]
    assert shown == [
        "  notice       Bedrock works until 14:10, in 23 min 59 s: it ended",
        "               claude-gatewayctl sso-login",
        "  notice       Claude Code is served by Bedrock since 12:00, for 1 min 1 s: Anthropic answers 529",
    ]


def test_systemd_is_told_the_most_urgent_without_a_countdown() -> None:
    well = {
        "problems": [], "streams": 0, "anthropic": {"state": "ok"}, "bedrock": {"enabled": False}, "notices": [],
    }  # fmt: skip
    assert status.one_line(well, 0.0) == "Anthropic ok, 0 streams"
    line = status.one_line(well | {"notices": as_status(LOGIN, SERVES)}, 0.0)
    assert line == "Bedrock works until 14:10: run claude-gatewayctl sso-login; Anthropic ok, 0 streams"
    assert status.one_line(well | {"notices": as_status(SERVES)}, 0.0) == f"{SERVES.title}; Anthropic ok, 0 streams"
