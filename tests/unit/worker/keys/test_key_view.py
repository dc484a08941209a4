"""When keys are read, and what of them is handed over."""

import time
from collections.abc import Sequence
from typing import Any

from claude_gatewayd.ledger.keys.named_key import KeyLimits, NamedKey
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.keys.key_view import KeysRead, KeyView
from claude_gatewayd.worker.keys.spending import KeySpending

ROW = ("d1", "alice", 2_000_000_000.0, None, None, 5.0, None)


class Source:
    """A database whose clock is an hour ahead."""

    def __init__(self, clock: list[float]) -> None:
        self.clock = clock
        self.ahead = 3600.0
        self.rows: list[tuple[Any, ...]] = []
        self.uses: list[tuple[str, float]] = []
        self.asked_for_spent = 0

    def now(self) -> float:
        return self.clock[0] + self.ahead

    def named_keys(self) -> list[tuple[Any, ...]]:
        return list(self.rows)

    def spent(self, _first: int, _last: int) -> list[tuple[Any, ...]]:
        self.asked_for_spent += 1
        return [("alice", 1.25)]

    def own_spent(self, _worker: str, _since: float, _until: float) -> list[tuple[Any, ...]]:
        return [("alice", 0.5)]

    def note_uses(self, uses: Sequence[tuple[str, float]]) -> None:
        self.uses += uses


class Scene:
    """A view, its source and whoever takes what is read."""

    def __init__(self) -> None:
        self.clock = [time.time()]
        self.source = Source(self.clock)
        self.taken: list[KeysRead] = []
        self.kept: list[tuple[NamedKey, ...]] = []
        self.used: list[tuple[str, float]] = []
        spending = KeySpending("00000001", lambda _: None, lambda: None, lambda: self.clock[0], lambda: self.clock[0])
        self.view = KeyView(
            "00000001", spending, self.taken.append, self._keep, lambda: self.used,
            is_asked_for=True, every=30.0, clock=lambda: self.clock[0], elapsed=lambda: self.clock[0],
        )  # fmt: skip

    def _keep(self, keys: tuple[NamedKey, ...]) -> tuple[NamedKey, ...]:
        self.kept.append(keys)
        return keys

    def read(self) -> None:
        assert self.view.is_due
        self.view.read(self.source)


def test_the_first_reading_is_told_though_there_are_none() -> None:
    scene = Scene()
    scene.read()
    assert scene.taken == [KeysRead(0, (), None)]
    assert not scene.view.is_due
    scene.clock[0] += 30
    scene.read()
    assert len(scene.taken) == 1, "nothing is new"
    assert scene.source.asked_for_spent == 0


def test_times_are_those_of_this_machines_clock() -> None:
    scene = Scene()
    scene.source.rows = [ROW]
    scene.read()
    wanted = NamedKey("d1", "alice", 2_000_000_000.0 - 3600, False, KeyLimits(None, 5.0, None))
    assert scene.taken[0].keys == (wanted,) == scene.kept[0]
    scene.source.ahead += 0.3  # clocks are never the same twice
    scene.clock[0] += 30
    scene.read()
    assert len(scene.kept) == 1
    scene.source.ahead += 600
    scene.clock[0] += 30
    scene.read()
    assert scene.kept[1][0].expires_at == 2_000_000_000.0 - scene.source.ahead


def test_a_wish_is_answered_at_once_and_by_its_number() -> None:
    scene = Scene()
    scene.read()
    scene.view.wanted += 1
    scene.read()
    assert scene.taken[-1] == KeysRead(1, None, None)
    assert not scene.view.is_due


def test_what_keys_have_cost_is_read_with_them_and_then_once_a_minute() -> None:
    scene = Scene()
    scene.source.rows = [ROW]
    scene.read()
    scene.clock[0] += 1
    if scene.view.is_due:
        scene.view.read(scene.source)
    assert scene.source.asked_for_spent == 1
    spent = next(read.spent for read in scene.taken if read.spent is not None)
    assert spent.in_ledger == {"alice": 1.25}
    for _ in range(4):
        scene.clock[0] += 15
        if scene.view.is_due:
            scene.view.read(scene.source)
    assert scene.source.asked_for_spent == 2


def test_uses_are_written_once_a_minute_by_the_databases_clock() -> None:
    scene = Scene()
    scene.source.rows = [ROW]
    scene.read()
    scene.used, scene.view.has_uses = [("d1", 2.0)], True
    scene.read()
    assert scene.source.uses == [("d1", scene.clock[0] + 3600 - 2.0)]
    scene.view.has_uses = True
    assert not scene.view.is_due
    scene.clock[0] += 60
    scene.read()
    assert len(scene.source.uses) == 2


def test_rows_that_may_have_been_there_are_looked_for() -> None:
    scene = Scene()
    scene.source.rows = [ROW]
    scene.read()
    row = UsageRecord(
        id=f"{0:011x}00000001{1:06x}", started_at=scene.clock[0], gateway="g", kind="messages", status=200,
        billing="aws", cost=0.5, key_name="alice",
    )  # fmt: skip
    scene.view.wrote([row], 0)
    scene.clock[0] += 60
    scene.read()
    spent = [read.spent for read in scene.taken if read.spent is not None][-1]
    assert spent.written["00000001"] == {"alice": 0.5}
