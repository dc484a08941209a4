"""Today's totals and the month's: own requests and what the ledger has of others', each once."""

import sqlite3
from typing import Any

import pytest

from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.usage.ledger_view import LedgerView
from claude_gatewayd.worker.usage.totals import UsageTotals
from tests.unit.worker.usage.in_memory import DAY, GATEWAY, NOON, Clock, Database, request, today

pytestmark = pytest.mark.usefixtures("utc")


def test_what_is_summed() -> None:
    totals = UsageTotals(50.0, Clock())
    for record in (
        request(cost=10.0),
        request(cost=2.0, billing="api"),
        request(cost=4.0, billing="aws", fallback="overloaded"),
        request(cost=1.0, billing="aws"),
        request(cost=None, billing="aws"),
        request(cost=None, billing="other"),
        request(cost=0.0, billing=""),
        request(kind="count_tokens"),
        request(kind="models"),
    ):
        totals.record(record)
    found = totals.snapshot()
    month = found.pop("month")
    assert found == {
        "day": "2026-11-30", "requests": 7, "tokens": 105, "cost": 17.0, "billed": 7.0, "fallback_cost": 4.0,
        "unpriced": 2, "is_complete": False,
    }  # fmt: skip
    assert month == {"month": "2026-11", "bedrock_cost": 5.0, "unpriced": 1, "budget": 50.0}
    state = totals.state()
    assert (state.spent, state.limit, state.month, state.ends) == (5.0, 50.0, "2026-11", NOON + DAY / 2)


def test_midnight_and_a_new_month() -> None:
    clock = Clock(NOON + DAY / 2 - 60)
    totals = UsageTotals(50.0, clock)
    totals.record(request(clock.now, billing="aws"))
    assert today(totals) == (1, 1.0)
    clock.now += 120
    assert today(totals) == (0, 0.0)
    assert totals.state().spent == 0.0
    totals.record(request(clock.now - 100, billing="aws"))  # it began before midnight
    assert today(totals) == (0, 0.0)
    totals.record(request(clock.now, 3.0, billing="aws"))
    assert today(totals) == (1, 3.0)
    assert totals.state()[:4] == (50.0, 3.0, 0, "2026-12")
    clock.now -= 120  # the clock was set back
    assert today(totals) == (2, 2.0)


def test_another_zone_has_another_day(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    totals = UsageTotals(0.0, clock)
    totals.record(request(NOON - 11 * 3600))
    totals.record(request(NOON))
    assert today(totals) == (2, 2.0)
    monkeypatch.setenv("TZ", "Asia/Kathmandu")  # 5:45 ahead: the day began at 18:15
    clock.now += 6
    assert today(totals) == (2, 2.0)
    monkeypatch.setenv("TZ", "America/Los_Angeles")  # it began at 8:00
    clock.now += 6
    assert today(totals) == (1, 1.0)


class Worker:
    """A generation: its totals, and its view of a database."""

    def __init__(self, database: Database, name: str, clock: Clock) -> None:
        self.totals = UsageTotals(100.0, clock)
        self.elapsed = Clock(0.0)
        self.view = LedgerView(GATEWAY, name, self.totals.take, succeeds=True, clock=clock, elapsed=self.elapsed)
        self._database = database
        self.name = name

    def serve(self, record: UsageRecord, *, written: bool = True) -> None:
        self.totals.record(record)
        if written:
            self.write(record)

    def write(self, *records: UsageRecord) -> None:
        self._database.write(*records)
        self.view.wrote(records, len(records))

    def read(self) -> None:
        assert self.view.is_due
        self.view.read(self._database)
        assert not self.view.is_due
        self.elapsed.now += 60


def test_a_reload_forgets_nothing_and_counts_nothing_twice() -> None:
    database, clock = Database(), Clock()
    database.write(request(NOON - 20 * DAY, 30.0, "aws"), request(NOON - 7200, 10.0, "aws", worker="earlier1"))
    database.write(request(NOON - 7200, 99.0, "aws", gateway="another@here"))
    old, new = Worker(database, "00000001", clock), Worker(database, "00000002", clock)
    old.read()
    assert today(old.totals) == (1, 10.0)
    assert old.totals.state().spent == 40.0
    old.serve(request(NOON - 900, 1.0, "aws", worker=old.name))
    new.read()
    assert today(new.totals) == today(old.totals) == (2, 11.0)
    new.serve(request(NOON, 2.0, "aws", worker=new.name))
    waiting = request(NOON + 900, 4.0, "aws", worker=new.name)
    new.serve(waiting, written=False)
    last = request(NOON - 1800, 8.0, "aws", worker=old.name)
    old.serve(last)  # a long stream, that ends after the newer one has read
    for worker in (old, new, old, new):
        worker.read()
        assert today(worker.totals) == ((5, 25.0) if worker is new else (4, 21.0))
    new.write(waiting)
    for worker in (old, new):
        worker.read()
        assert today(worker.totals) == (5, 25.0)
        assert worker.totals.state().spent == 55.0


def test_rows_that_waited_for_days_are_found_within_the_hour() -> None:
    database, clock = Database(), Clock()
    worker = Worker(database, "00000001", clock)
    worker.read()
    database.write(request(NOON - 10 * DAY, 7.0, "aws", worker="earlier1"))
    worker.read()
    assert worker.totals.state().spent == 0.0
    worker.elapsed.now += 3600
    worker.read()
    assert worker.totals.state().spent == 7.0


class Broken(Database):
    """A ledger that cannot be read."""

    is_broken = True

    def used(self, gateway: str, since: int) -> list[Any]:
        if self.is_broken:
            raise sqlite3.OperationalError("disk I/O error")
        return super().used(gateway, since)


def test_a_database_that_cannot_be_read_is_read_later() -> None:
    database, clock = Broken(), Clock()
    database.write(request(NOON - 900, worker="earlier1"))
    worker = Worker(database, "00000001", clock)
    with pytest.raises(sqlite3.OperationalError):
        worker.read()
    assert not worker.totals.snapshot()["is_complete"]
    database.is_broken = False
    worker.elapsed.now += 60
    worker.read()
    assert worker.totals.snapshot()["is_complete"]
    assert today(worker.totals) == (1, 1.0)


def test_rows_that_were_there_already_are_counted_anew() -> None:
    """The answer to a commit was lost, and the rows came again, with another that is new."""
    database, clock = Database(), Clock()
    worker = Worker(database, "00000001", clock)
    worker.read()
    lost, new = (request(NOON - 900 * n, 5.0, worker=worker.name) for n in (1, 2))
    database.write(lost)
    worker.totals.record(lost)
    worker.serve(new, written=False)
    database.write(new)
    worker.view.wrote([lost, new], 1)
    worker.read()
    assert today(worker.totals) == (2, 10.0)
