"""The database over time: connected once, made ready when it is not, left after a failure, pruned once a day."""

import pytest

from claude_gatewayd.ledger.maintenance.job import Outcome, Report
from claude_gatewayd.worker.ledger.drivers.connection import Unwritable
from claude_gatewayd.worker.ledger.drivers.once import Written
from claude_gatewayd.worker.ledger.session import Session
from tests.support.clock import Clock
from tests.unit.worker.ledger.fake_database import FakeDatabase, row, rows, view

DAY = 86400.0


class FakeUpkeep:
    """Upkeep that reports what it is set to, and makes the database current if that is "done"."""

    def __init__(self, database: FakeDatabase) -> None:
        self._database = database
        self.report = Report(outcome="done")
        self.suspicions: list[bool] = []
        self.pruned = 0

    def prepare(self, *, is_suspect: bool) -> Report:
        self.suspicions.append(is_suspect)
        if self.report.outcome == "done":
            self._database.is_current = True
            self._database.failure = None
        return self.report

    def prune_soon(self) -> None:
        self.pruned += 1


class Stage:
    """A session with its database, upkeep and clock."""

    def __init__(self, keep_days: int = 0) -> None:
        self.database = FakeDatabase()
        self.upkeep = FakeUpkeep(self.database)
        self.clock = Clock()
        self.session = Session(self.database.connect, self.upkeep, keep_days, [view()], self.clock)  # type: ignore[arg-type]


def test_one_connection_serves_many_writes_without_upkeep() -> None:
    stage = Stage()
    assert stage.session.write([]) == Written(0)
    assert stage.session.write(rows(3)) == Written(3)
    assert (stage.database.connections, stage.upkeep.suspicions) == (1, [])
    stage.session.close()
    assert stage.database.open == 0


def test_tables_of_another_version_are_brought_forward_first() -> None:
    stage = Stage()
    stage.database.is_current = False
    assert stage.session.write(rows(3)) == Written(3)
    assert stage.upkeep.suspicions == [False]
    assert stage.database.open == 1


@pytest.mark.parametrize(("outcome", "is_final"), [("refused", True), ("later", False)])
def test_what_upkeep_cannot_do_is_why(outcome: Outcome, is_final: bool) -> None:
    stage = Stage()
    stage.database.is_current = False
    stage.upkeep.report = Report(outcome=outcome, message="its tables are newer", hint="claude-gatewayctl upgrade")
    with pytest.raises(Unwritable) as failure:
        stage.session.write(rows(1))
    assert (failure.value.why, failure.value.hint) == ("its tables are newer", "claude-gatewayctl upgrade")
    assert failure.value.is_final is is_final
    assert stage.database.open == 0


def test_an_outage_is_no_reason_for_upkeep() -> None:
    stage = Stage()
    stage.session.write(rows(1))
    stage.database.failure = Unwritable("connection refused")
    for _ in range(3):
        with pytest.raises(Unwritable):
            stage.session.write(rows(1, 1))
    assert stage.upkeep.suspicions == []
    stage.database.failure = None
    assert stage.session.write(rows(1, 1)) == Written(1)
    assert stage.database.open == 1


def test_what_no_outage_explains_is_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.session.write(rows(1))
    stage.database.failure = Unwritable("database disk image is malformed", is_odd=True)
    with pytest.raises(Unwritable):
        stage.session.write(rows(1, 1))
    stage.upkeep.report = Report(outcome="done", set_aside="/state/ledger.sqlite3.corrupt")
    assert stage.session.write(rows(1, 1)) == Written(1)
    assert stage.upkeep.suspicions == [True]
    assert stage.session.set_aside == "/state/ledger.sqlite3.corrupt"
    assert caplog.messages == [
        "the ledger was corrupt: it is now /state/ledger.sqlite3.corrupt, and a new one is begun"
    ]
    stage.session.write(rows(1, 2))
    assert stage.upkeep.suspicions == [True]


def test_a_file_that_is_missing_is_made() -> None:
    stage = Stage()
    stage.database.failure = Unwritable("unable to open database file", is_odd=True)
    assert stage.session.write(rows(1)) == Written(1)
    assert stage.upkeep.suspicions == [False]


def test_old_rows_are_pruned_once_a_day() -> None:
    stage = Stage(keep_days=30)
    stage.session.write([row(0, started_at=stage.clock.now - 31 * DAY)])
    assert stage.upkeep.pruned == 1
    for hours in (1, 22):
        stage.clock.now += hours * 3600
        stage.session.write([])
    assert stage.upkeep.pruned == 1
    stage.clock.now += 3600
    stage.session.write([])
    assert stage.upkeep.pruned == 2


@pytest.mark.parametrize(("keep_days", "age"), [(0, 4000), (30, 29)])
def test_without_old_rows_nothing_is_pruned(keep_days: int, age: int) -> None:
    stage = Stage(keep_days)
    stage.session.write([row(0, started_at=stage.clock.now - age * DAY)])
    assert stage.upkeep.pruned == 0
