"""The thread, with sessions that are made up: no database."""

import queue
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.failures import LedgerFailure
from claude_gatewayd.worker.cluster.link import Ears, Link
from claude_gatewayd.worker.cluster.outbox import FactOutbox, Waiting
from claude_gatewayd.worker.sharing.facts import CircuitChanged, CredentialAccepted, Fact, UsageShared, UsageWanted
from claude_gatewayd.worker.sharing.travels import subject_of
from tests.support.daemon import wait_until

OPEN = CircuitChanged("c", "m", is_open=True, ends_in=100.0, probe_in=50.0)
CLOSED = OPEN._replace(is_open=False)
AGAIN = OPEN._replace(again=True)


class Broken(Exception):
    def __init__(self, severity: Any = "later", why: str = "it is gone") -> None:
        self.failure = LedgerFailure(severity, why, "psql", why)


class Session:
    """One connection to others, as a test has it: what is *kept*, what comes, and what was sent."""

    def __init__(self, kept: Sequence[Fact] = ()) -> None:
        self.others: tuple[str, ...] = ("other",)
        self._kept = list(kept)
        self.comes: queue.SimpleQueue[Fact | Exception] = queue.SimpleQueue()
        self.sent: queue.SimpleQueue[Fact] = queue.SimpleQueue()
        self.refuses = False
        self.wake: Callable[[], None] = lambda: None

    def prune(self) -> None: ...

    def kept(self) -> list[Fact]:
        return self._kept

    def be_there(self) -> None: ...

    def heard(self) -> list[Fact]:
        if self.comes.empty():
            return []
        found = self.comes.get()
        if isinstance(found, Exception):
            raise found
        return [found]

    def send(self, some: Sequence[Waiting]) -> None:
        if self.refuses:
            raise Broken
        for one in some:
            self.sent.put(one.fact)

    def wait(self, wakes: int, seconds: float) -> None:
        import select

        select.select([wakes], [], [], min(seconds, 0.05))

    def close(self) -> None: ...


class Scene:
    def __init__(self) -> None:
        self.sessions: queue.SimpleQueue[Session | Exception] = queue.SimpleQueue()
        self.outbox = FactOutbox()
        self.taken: queue.SimpleQueue[Fact] = queue.SimpleQueue()
        self.lost: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.joined: queue.SimpleQueue[frozenset[str]] = queue.SimpleQueue()
        self.link = Link(
            self._connect,
            Database(file=Path("db")),
            self.outbox,
            Ears(self._take, self.joined.put, lambda: self.lost.put(None), lambda: None),
        )

    def _take(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            self.taken.put(fact)

    def _connect(self) -> Session:
        found = self.sessions.get(timeout=30)
        if isinstance(found, Exception):
            raise found
        return found

    def begin(self, kept: Sequence[Fact] = ()) -> Session:
        session = Session(kept)
        self.sessions.put(session)
        return session

    def put(self, fact: Fact) -> None:
        self.outbox.put(fact)
        self.link.wake()


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    scene.link.start()
    yield scene
    scene.sessions.put(Broken())
    scene.link.close(10.0)


def test_what_is_kept_is_taken_and_what_is_found_out_is_sent(scene: Scene) -> None:
    session = scene.begin([AGAIN])
    assert scene.taken.get(timeout=30) == AGAIN
    assert scene.joined.get(timeout=30) == {subject_of(OPEN)}
    scene.put(CredentialAccepted("d"))
    assert session.sent.get(timeout=30) == CredentialAccepted("d")
    session.comes.put(CLOSED)
    assert scene.taken.get(timeout=30) == CLOSED
    wait_until(lambda: scene.link.snapshot.state == "connected")
    assert scene.link.snapshot.others == ("other",)


def test_what_waits_is_newer_than_what_is_kept(scene: Scene) -> None:
    """It was closed here while we were cut off."""
    scene.outbox.put(CLOSED)
    session = scene.begin([AGAIN, CredentialAccepted("d", 5.0)])
    assert scene.taken.get(timeout=30) == CredentialAccepted("d", 5.0)
    assert session.sent.get(timeout=30) == CLOSED


def test_what_could_not_be_sent_is_sent_by_the_next(scene: Scene) -> None:
    session = scene.begin()
    session.refuses = True
    scene.joined.get(timeout=30)
    scene.put(OPEN)
    scene.put(UsageWanted())
    wait_until(lambda: scene.link.snapshot.state == "away")
    assert (scene.link.snapshot.why, scene.link.snapshot.hint) == ("it is gone", "psql")
    session = scene.begin()
    assert session.sent.get(timeout=30).is_open  # type: ignore[union-attr]
    scene.put(UsageWanted())
    assert session.sent.get(timeout=30) == UsageWanted()


@pytest.mark.parametrize("how", ["heard", "sent", "kept"])
def test_an_end_that_was_missed_is_made_up_for(scene: Scene, how: str) -> None:
    session = scene.begin([AGAIN] if how == "kept" else [])
    scene.joined.get(timeout=30)
    if how == "heard":
        session.comes.put(OPEN)
    if how == "sent":
        scene.put(OPEN)
        session.sent.get(timeout=30)
    else:
        assert scene.taken.get(timeout=30) in (OPEN, AGAIN)
    session.comes.put(Broken())
    scene.begin()
    over = scene.taken.get(timeout=30)
    assert isinstance(over, CircuitChanged)
    assert (subject_of(over), over.is_open) == (subject_of(OPEN), False)
    scene.joined.get(timeout=30)


def test_what_was_opened_while_we_were_cut_off_stays_open(scene: Scene) -> None:
    session = scene.begin([AGAIN])
    assert scene.taken.get(timeout=30) == AGAIN
    session.comes.put(Broken())
    wait_until(lambda: scene.link.snapshot.state == "away")
    scene.put(OPEN._replace(ends_in=300.0))
    session = scene.begin()
    assert session.sent.get(timeout=30).ends_in > 250  # type: ignore[union-attr]
    assert scene.taken.empty()


def test_it_is_logged_once_and_a_person_is_told_what_to_do(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for why in ("it is gone", "it is gone", "it is gone still"):
        scene.sessions.put(Broken(why=why))
    scene.begin()
    wait_until(lambda: scene.link.snapshot.state == "connected")
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == [
        "cannot use the shared state in db", "the shared state is back",
    ]  # fmt: skip
    assert "goes on with what it knows" in caplog.records[0].getMessage()


def test_what_found_no_room_is_published_again(scene: Scene) -> None:
    for number in range(600):
        scene.outbox.put(UsageShared(f"{number}", []))
    session = scene.begin()
    assert scene.lost.get(timeout=30) is None
    assert session.sent.get(timeout=30) == UsageShared("100", [])


def test_refused_is_not_away(scene: Scene) -> None:
    scene.sessions.put(Broken("refused", "another secret"))
    wait_until(lambda: scene.link.snapshot.state == "refused")
    assert scene.link.snapshot.why == "another secret"


def test_a_fault_of_ours_ends_nothing(scene: Scene) -> None:
    scene.sessions.put(KeyError("x"))
    wait_until(lambda: scene.link.snapshot.why == "it fails with KeyError")
    scene.begin()
    wait_until(lambda: scene.link.snapshot.state == "connected")


def test_at_its_end_it_sends_what_waits(scene: Scene) -> None:
    session = scene.begin()
    scene.joined.get(timeout=30)
    scene.outbox.put(OPEN)
    scene.link.close(30.0)
    assert session.sent.get(timeout=30) == OPEN
