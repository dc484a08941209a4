"""What keys cost: nothing is missed, and nothing counts twice but for a moment."""

import random
import time

import pytest

from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.keys.spending import KeySpending, Spent
from claude_gatewayd.worker.sharing.facts import KeySpent

NOW = time.mktime((2026, 11, 15, 12, 0, 0, 0, 0, -1))


def record(worker: str, number: int, cost: float, name: str = "alice", at: float = NOW) -> UsageRecord:
    return UsageRecord(
        id=f"{0:011x}{worker}{number:06x}", started_at=at, gateway="g", kind="messages", status=200, billing="aws",
        cost=cost, key_name=name,
    )  # fmt: skip


class Database:
    """The rows that were written."""

    def __init__(self) -> None:
        self.rows: list[UsageRecord] = []

    def spent(self) -> dict[str, float]:
        """Return the sums by name."""
        sums: dict[str, float] = {}
        for row in self.rows:
            sums[row.key_name] = sums.get(row.key_name, 0.0) + (row.cost or 0.0)
        return sums


class Worker:
    """One that records, writes and reads when it is told to."""

    def __init__(self, name: str, database: Database, everybody: list["Worker"], clock: list[float]) -> None:
        self.name, self.database, self.everybody = name, database, everybody
        self.facts: list[KeySpent] = []
        self.spending = KeySpending(name, self.facts.append, lambda: None, lambda: clock[0], lambda: clock[0])
        self.clock = clock
        self.waiting: list[UsageRecord] = []
        self._number = 0
        everybody.append(self)

    def use(self, cost: float, name: str = "alice") -> None:
        """Use something."""
        self._number += 1
        made = record(self.name, self._number, cost, name, self.clock[0])
        self.spending.record(made)
        self.waiting.append(made)

    def write(self) -> None:
        """Write what waits."""
        rows, self.waiting = self.waiting, []
        self.database.rows += rows
        assert self.spending.wrote(rows, is_sure=True)

    def read(self) -> None:
        """Read what is there."""
        noted = self.spending.note()
        self.spending.was_read(Spent(self.spending.month.name, self.database.spent(), noted))

    def share(self) -> None:
        """Let the others know."""
        self.spending.share()
        for fact in self.facts:
            for other in self.everybody:
                if other is not self:
                    other.spending.take(fact)
        self.facts.clear()


def test_own_requests_count_at_once_and_once() -> None:
    worker = Worker("00000001", Database(), [], [NOW])
    worker.use(1.0)
    assert worker.spending.of("alice") == 1.0
    worker.write()
    assert worker.spending.of("alice") == 1.0
    worker.read()
    assert worker.spending.of("alice") == 1.0
    worker.use(0.5)
    worker.use(2.0, "bob")
    assert (worker.spending.of("alice"), worker.spending.of("bob"), worker.spending.of("carol")) == (1.5, 2.0, 0.0)


def test_what_is_not_paid_by_aws_or_has_no_key_does_not_count() -> None:
    worker = Worker("00000001", Database(), [], [NOW])
    for other in ({"billing": "subscription"}, {"key_name": ""}, {"cost": None}, {"kind": "count_tokens"}):
        made = record("00000001", 1, 1.0)
        fields = {name: getattr(made, name) for name in made.__struct_fields__} | other
        worker.spending.record(UsageRecord(**fields))
    assert worker.spending.of("alice") == 0.0


def test_at_any_time_it_is_what_all_have_used() -> None:
    database, everybody, clock, rng = Database(), list[Worker](), [NOW], random.Random(3)
    workers = [Worker(f"0000000{number}", database, everybody, clock) for number in range(3)]
    used = 0.0
    for _ in range(400):
        clock[0] += 0.5
        worker = rng.choice(workers)
        match rng.randrange(4):
            case 0:
                worker.use(1.0)
                used += 1.0
            case 1:
                worker.write()
            case 2:
                worker.read()
        for one in workers:
            one.share()  # as they do several times a second
        for one in workers:
            assert one.spending.of("alice") == pytest.approx(used)


def test_a_killed_worker_is_forgotten_and_what_it_has_written_stays() -> None:
    database, everybody, clock = Database(), list[Worker](), [NOW]
    one, killed = Worker("00000001", database, everybody, clock), Worker("00000002", database, everybody, clock)
    killed.use(1.0)
    killed.write()
    killed.use(4.0)
    killed.share()
    one.read()
    assert one.spending.of("alice") >= 4.0
    clock[0] += 61
    one.read()
    assert one.spending.of("alice") == 1.0


def test_rows_of_which_nobody_knows_whether_they_are_new_are_looked_for() -> None:
    worker = Worker("00000001", Database(), [], [NOW])
    worker.use(1.0)
    assert not worker.spending.wrote(worker.waiting, is_sure=False)
    noted = worker.spending.note({"alice": 1.0})
    assert noted["00000001"] == {"alice": 1.0}


def test_a_new_month_begins_with_nothing() -> None:
    clock = [NOW]
    worker = Worker("00000001", Database(), [], clock)
    worker.use(3.0)
    worker.write()
    worker.read()
    clock[0] += 30 * 86400
    assert worker.spending.of("alice") == 0.0
    worker.spending.take(KeySpent("00000002", "2026-11", {"alice": [9.0, 0.0]}))
    worker.spending.was_read(Spent("2026-11", {"alice": 3.0}, {}))
    assert worker.spending.of("alice") == 0.0, "what is of the month before"
    worker.spending.take(KeySpent("00000002", "2026-12", {"alice": [2.0, 0.0], "bob": [1.0]}))
    assert worker.spending.of("alice") == 2.0
