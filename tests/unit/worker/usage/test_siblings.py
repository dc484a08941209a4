"""Workers of one daemon know what the others use: nothing is missed, and nothing counts twice for long."""

import json

import pytest

from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.sharing import facts, messages
from claude_gatewayd.worker.usage.ledger_view import LedgerView
from claude_gatewayd.worker.usage.siblings import Siblings
from claude_gatewayd.worker.usage.totals import UsageTotals
from tests.unit.worker.usage.in_memory import GATEWAY, NOON, Clock, Database, request, today

pytestmark = pytest.mark.usefixtures("utc")


class Sibling:
    """One of several workers: its totals, its view of a database, and what the others are told."""

    def __init__(self, name: str, database: Database, everybody: "list[Sibling]") -> None:
        self.name = name
        self.elapsed = Clock(0.0)
        self.monotonic = Clock(0.0)
        self.siblings = Siblings(name, self._publish, self.monotonic)
        self.totals = UsageTotals(100.0, Clock(), siblings=self.siblings)
        self.view = LedgerView(
            GATEWAY, name, self.totals.take, succeeds=False, siblings=self.siblings, clock=Clock(), elapsed=self.elapsed
        )
        self.published = self._served = 0
        self._database = database
        self._everybody = everybody
        everybody.append(self)
        self.read()

    def serve(self, cost: float = 1.0) -> UsageRecord:
        self._served += 1  # another key in the sums, which this database does not add up
        record = request(NOON, cost, "aws", worker=self.name, fallback=f"{self.name} {self._served}")
        self.totals.record(record)
        self.report()
        return record

    def write(self, *records: UsageRecord) -> None:
        self._database.write(*records)
        self.view.wrote(records, len(records))
        self.report()

    def report(self) -> None:
        self.totals.snapshot()
        self.totals.share(self.view.written)

    def read(self) -> None:
        assert self.view.is_due
        self.view.read(self._database)

    def _publish(self, fact: facts.UsageShared) -> None:
        self.published += 1
        line = json.dumps(messages.as_message(fact))
        for other in self._everybody:
            if other is not self:
                taken = messages.from_message(json.loads(line))
                assert isinstance(taken, facts.UsageShared)
                other.siblings.take(taken)


def spent(*workers: Sibling) -> set[float]:
    return {worker.totals.state().spent for worker in workers}


def test_spending_is_known_at_once_written_or_not() -> None:
    database, everybody = Database(), list[Sibling]()
    one, other = Sibling("00000001", database, everybody), Sibling("00000002", database, everybody)
    first = one.serve(3.0)
    assert spent(one, other) == {3.0}
    one.write(first)
    assert spent(one, other) == {3.0}
    second = other.serve(4.0)
    assert spent(one, other) == {7.0}
    other.elapsed.now += 2
    other.read()  # what was written, is there now
    assert spent(one, other) == {7.0}
    one.elapsed.now += 1
    assert not one.view.is_due
    other.write(second)
    assert spent(one, other) == {7.0}
    one.elapsed.now += 1
    one.read()
    assert spent(one, other) == {7.0}
    assert today(one.totals) == today(other.totals) == (2, 7.0)
    one.elapsed.now += 3
    assert not one.view.is_due, "nothing new is there"


def test_what_is_written_while_it_is_read_counts_twice_until_it_is_read_again() -> None:
    database, everybody = Database(), list[Sibling]()
    one, other = Sibling("00000001", database, everybody), Sibling("00000002", database, everybody)
    record = one.serve()
    database.write(record)  # and nobody has been told
    other.elapsed.now += 60
    other.read()
    assert spent(other) == {2.0}
    one.view.wrote([record], 1)
    one.report()
    assert other.view.is_due is False
    other.elapsed.now += 2
    other.read()
    assert spent(one, other) == {1.0}


def test_one_that_begins_knows_what_is_not_written() -> None:
    database, everybody = Database(), list[Sibling]()
    one = Sibling("00000001", database, everybody)
    one.write(one.serve())
    waiting = one.serve(5.0)
    other = Sibling("00000002", database, everybody)
    assert spent(other) == {1.0}
    one.siblings.share_again()
    one.report()
    assert spent(one, other) == {6.0}
    one.write(waiting)
    other.elapsed.now += 2
    other.read()
    assert spent(one, other) == {6.0}


def test_nothing_new_is_not_published_and_nonsense_not_taken() -> None:
    everybody = list[Sibling]()
    one, other = Sibling("00000001", Database(), everybody), Sibling("00000002", Database(), everybody)
    for _ in range(3):
        one.report()
    one.serve()
    for _ in range(3):
        one.report()
    assert one.published == 1
    other.siblings.take(facts.UsageShared("00000003", [[1, [1], "x"]]))
    assert spent(other) == {1.0}


def test_what_a_killed_one_had_not_written_is_forgotten() -> None:
    database, everybody = Database(), list[Sibling]()
    one, other = Sibling("00000001", database, everybody), Sibling("00000002", database, everybody)
    one.write(one.serve())
    waiting = one.serve(5.0)
    for _ in range(10):  # while its database is away it says so
        for worker in everybody:
            worker.monotonic.now += 21
            worker.report()
        assert spent(other) == {6.0}
    database.write(waiting)  # and it is killed before it could say so
    other.monotonic.now += 61
    other.report()
    assert spent(other) == {6.0}  # until it is known what the database has of it: a budget that is spent stays so
    other.elapsed.now += 2
    other.read()
    assert spent(other) == {6.0}
    assert not other.siblings.has_written
