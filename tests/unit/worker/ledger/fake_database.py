"""A database in memory: a test makes it fail, hang, refuse rows, or lose the answer to a commit."""

import threading
from collections.abc import Collection, Sequence

from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.ledger.drivers.connection import RowsRefused, Unwritable
from claude_gatewayd.worker.usage.ledger_view import LedgerView


def row(number: int, **changes: object) -> UsageRecord:
    """Return the row of a request; rows of the same number have the same id."""
    usual = {"id": f"{number:08}", "started_at": 1_800_000_000.0 + number, "gateway": "me@here", "kind": "messages"}
    return UsageRecord(**{**usual, "status": 200, **changes})  # type: ignore[arg-type]


def rows(count: int, start: int = 0) -> list[UsageRecord]:
    """Return rows of consecutive numbers."""
    return [row(number) for number in range(start, start + count)]


def view() -> LedgerView:
    """Return a view that nobody looks at."""
    return LedgerView("me@here", "00000000", lambda others, since, noted: None, succeeds=False)


class FakeDatabase:
    """What is in *rows* is committed, in that order. *connect* is for `Session`."""

    def __init__(self) -> None:
        self.rows: list[UsageRecord] = []
        self.batches: list[int] = []
        self.failure: Unwritable | None = None
        self.bad: set[str] = set()  # ids of rows that it refuses
        self.loses_answers = 0  # to so many commits
        self.runs = threading.Event()  # clear: it hangs
        self.runs.set()
        self.is_asked = threading.Event()
        self.is_current = True
        self.connections = 0
        self.open = 0

    def connect(self) -> "FakeConnection":
        """Connect."""
        self.connections += 1
        self.wait()
        self.fail()
        self.open += 1
        return FakeConnection(self)

    def fail(self) -> None:
        """Fail as it is set to."""
        if self.failure is not None:
            raise self.failure

    def wait(self) -> None:
        """Hang while it is set to."""
        self.is_asked.set()
        assert self.runs.wait(60)

    @property
    def ids(self) -> list[str]:
        """The ids of the rows."""
        return [record.id for record in self.rows]


class FakeConnection:
    """See `connection.DatabaseConnection`."""

    def __init__(self, database: FakeDatabase) -> None:
        self._database = database
        self._is_aborted = False

    def write(self, records: Sequence[UsageRecord]) -> None:
        """Write all or none."""
        database = self._database
        database.wait()
        if self._is_aborted:
            raise Unwritable("aborted")
        database.fail()
        ids = [record.id for record in records]
        if database.bad & set(ids) or set(database.ids) & set(ids) or len(set(ids)) < len(ids):
            raise RowsRefused
        database.rows += records
        database.batches.append(len(records))
        if database.loses_answers:
            database.loses_answers -= 1
            raise Unwritable("the connection is lost")

    def known(self, ids: Collection[str]) -> set[str]:
        """Return those that are there."""
        self._database.fail()
        return set(ids) & set(self._database.ids)

    def is_current(self) -> bool:
        """Return what it is set to."""
        return self._database.is_current

    def oldest(self) -> float | None:
        """Return when the oldest request began."""
        return min((record.started_at for record in self._database.rows), default=None)

    def used(self, gateway: str, since: int) -> list[tuple[object, ...]]:
        """Return none."""
        self._database.fail()
        return []

    def own(self, worker: str, since: float) -> list[UsageRecord]:
        """Return none."""
        return []

    def abort(self) -> None:
        """End what hangs."""
        self._is_aborted = True
        self._database.runs.set()

    def close(self) -> None:
        """Count it."""
        self._database.open -= 1
