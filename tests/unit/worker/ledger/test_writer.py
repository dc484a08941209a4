"""The thread that owns the rows: what it writes, what it keeps, and what becomes of rows when the database fails."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.ledger.maintenance.job import Report
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.ledger.drivers.connection import Unwritable
from claude_gatewayd.worker.ledger.hand import Hand
from claude_gatewayd.worker.ledger.pacing import Pace
from claude_gatewayd.worker.ledger.session import Session
from claude_gatewayd.worker.ledger.spill import MOST_BYTES, Spill
from claude_gatewayd.worker.ledger.writer import HURRIES_FROM, MOST_WAITING, Writer
from tests.support.daemon import wait_until
from tests.support.threads import NewThreads
from tests.unit.worker.ledger.fake_database import FakeDatabase, row, rows, view


class NoUpkeep:
    """Upkeep that has nothing to do."""

    def prepare(self, *, is_suspect: bool) -> Report:
        return Report(outcome="done")

    def prune_soon(self) -> None: ...


class Bench:
    """A writer with its database; rows are handed over as the event loop does it."""

    def __init__(self, directory: Path, most_bytes: int = MOST_BYTES) -> None:
        self.database = FakeDatabase()
        self.rows: deque[UsageRecord] = deque()
        self.spill = Spill(directory, most_bytes)
        self.directory = directory
        session = Session(self.database.connect, NoUpkeep(), 0, [view()])  # type: ignore[arg-type]
        self.writer = Writer(self.rows, self.spill, Hand(session), directory)

    def record(self, *records: UsageRecord) -> None:
        for record in records:
            waiting = len(self.rows)
            self.rows.append(record)
            if waiting >= self.writer.wakes_at:
                self.writer.wake()

    def until(self, condition: Callable[[], Any], seconds: float = 10.0) -> None:
        wait_until(condition, seconds, lambda: f"{len(self.database.rows)} rows, {vars(self.writer)}")

    def kept(self) -> list[str]:
        """The ids that a kill -9 would leave, in the database or in a file."""
        in_files = b"".join(file.read_bytes() for file in self.directory.glob("*.jsonl"))
        return sorted({*self.database.ids, *(line.split(b'"')[3].decode() for line in in_files.splitlines())})


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    with ExitStack() as stack:

        def make(most_bytes: int = MOST_BYTES) -> Bench:
            one = Bench(tmp_path / "waiting", most_bytes)

            def end() -> None:
                one.database.runs.set()
                one.writer.close(10.0)
                wait_until(lambda: not one.database.open)

            stack.callback(end)
            return one

        yield make


def ids(count: int, start: int = 0) -> list[str]:
    return [one.id for one in rows(count, start)]


def test_rows_are_written_within_a_second(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.writer.start()
    one.until(lambda: one.writer.state == "ok")
    for number in range(3):
        begun = time.monotonic()
        one.record(row(number))
        one.until(lambda: row(number).id in one.database.ids)  # noqa: B023 - it is over before the next one
        assert time.monotonic() - begun < 1.0
    assert one.writer.written == 3
    assert not one.directory.exists()


def test_many_rows_are_few_transactions(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.record(*rows(1000))
    one.writer.start()
    one.until(lambda: len(one.database.rows) == 1000)
    assert one.database.ids == ids(1000)
    assert len(one.database.batches) == 3


def test_it_sleeps_when_there_is_nothing_to_do(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.writer.start()
    one.record(row(1))
    one.until(lambda: one.database.rows and one.writer.sleeps)
    waits: list[float | None] = []
    wait = one.writer._wake.wait

    def noted(timeout: float | None = None) -> bool:
        waits.append(timeout)
        return wait(timeout)

    one.writer._wake.wait = noted  # type: ignore[method-assign]
    one.record(row(2))
    one.until(lambda: len(waits) > 1 and waits[-1] is None)
    assert one.writer.sleeps, "it waits for a row without a limit"


def test_rows_wait_in_a_file_until_the_database_is_back(
    bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    one = bench()
    one.database.failure = Unwritable("connection refused", hint="mend it")
    one.writer.start()
    one.record(*rows(300))
    one.until(lambda: one.writer.state == "waiting" and one.kept() == ids(300))
    one.until(lambda: caplog.messages)
    assert one.writer.trouble.why == "connection refused"
    one.record(*rows(300, 300))
    one.until(lambda: one.kept() == ids(600))
    one.database.failure = None
    one.until(lambda: len(one.database.rows) == 600 and one.spill.rows == 0, 20)
    assert one.database.ids == ids(600), "in order"
    assert one.writer.state == "ok"
    assert list(one.directory.iterdir()) == []
    assert caplog.messages == [
        f"cannot write the ledger: connection refused (run: mend it); rows wait in {one.directory}",
        "the ledger is written again; 600 rows had waited",
    ]
    assert one.writer.dropped == 0


def test_one_failure_is_no_news(bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture) -> None:
    one = bench()
    one.writer.start()
    one.until(lambda: one.writer.state == "ok")
    one.database.loses_answers = 1
    one.record(*rows(10))
    one.until(lambda: one.spill.rows == 0 and one.writer.state == "ok" and len(one.database.rows) == 10)
    assert one.database.ids == ids(10)
    assert caplog.messages == []


def test_a_database_that_hangs_costs_a_killed_worker_a_second_at_most(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.writer.start()
    one.until(lambda: one.writer.state == "ok")
    one.database.runs.clear()
    for number in range(20):
        begun = time.monotonic()
        one.record(row(number))
        one.until(lambda: one.kept() == ids(number + 1))  # noqa: B023
        assert time.monotonic() - begun < 1.2
        if number == 3:
            assert one.writer.state == "waiting"
            assert one.writer.trouble.why == "the database does not answer"
    one.database.runs.set()
    one.until(lambda: one.writer.state == "ok" and one.spill.rows == 0)
    assert sorted(one.database.ids) == ids(20), "each once"


def test_what_hangs_is_aborted(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_gatewayd.worker.ledger.writer._HANGS_AFTER", 1.0)
    one = bench()
    one.writer.start()
    one.until(lambda: one.writer.state == "ok")
    one.database.runs.clear()
    one.record(*rows(3))
    one.until(lambda: one.database.runs.is_set())
    one.until(lambda: one.database.ids == ids(3))


def test_a_flood_is_kept_and_written_later(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.writer.start()
    one.until(lambda: one.writer.state == "ok")
    one.record(*rows(9000))
    one.until(lambda: one.spill.rows > 0)
    assert one.writer.state == "ok"
    one.until(lambda: len(one.database.rows) == 9000 and one.spill.rows == 0, 30)
    assert sorted(one.database.ids) == ids(9000)


def test_what_finds_no_room_is_counted(bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture) -> None:
    one = bench(most_bytes=200_000)
    one.database.failure = Unwritable("disk full")
    one.writer.start()
    one.until(lambda: one.writer.state == "waiting")
    for start in range(0, 30_000, 1000):
        one.record(*rows(1000, start))
        time.sleep(0)
    one.until(lambda: one.writer.dropped > 0, 20)
    one.database.failure = None
    one.until(lambda: one.spill.rows == 0 and not one.rows and one.writer.state == "ok", 60)
    assert len(one.database.rows) + one.writer.dropped == 30_000
    assert len(one.database.rows) >= MOST_WAITING
    assert len(set(one.database.ids)) == len(one.database.ids)
    assert sum("are lost" in message for message in caplog.messages) == 1


def test_a_full_disk_does_not_keep_a_flood_from_the_database(bench: Callable[..., Bench]) -> None:
    one = bench(most_bytes=0)
    one.record(*rows(9000))
    one.writer.start()
    one.until(lambda: len(one.database.rows) == 9000, 30)
    assert one.writer.dropped == 0


def test_few_rows_are_in_memory_however_long_the_database_takes(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.writer._clock = lambda: 1.0  # no time passes: the database is not given up
    one.database.runs.clear()
    one.writer.start()
    one.until(one.database.is_asked.is_set)
    one.record(*rows(3000))
    one.until(lambda: len(one.rows) <= 1000)
    assert one.spill.rows >= 2000
    one.database.runs.set()
    one.until(lambda: len(one.database.rows) == 3000, 30)


def test_few_rows_are_in_memory_while_the_writer_rests(bench: Callable[..., Bench]) -> None:
    class Tired(Pace):
        def took(self, cpu: float, now: float, *, hurries: bool = False) -> float:
            return 60.0

    one = bench()
    one.writer._pace = Tired(0.0)
    one.writer.start()
    for start in range(0, 5000, 500):
        one.record(*rows(500, start))
        one.until(lambda: len(one.rows) <= 1000)
    one.writer.close(10.0)
    assert one.kept() == ids(5000)


def test_the_end_writes_what_there_is(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.writer.start()
    one.until(lambda: one.writer.state == "ok")
    one.record(*rows(1000))
    one.writer.close(10.0)
    assert one.database.ids == ids(1000)
    assert one.database.open == 0
    assert not one.directory.exists() or not list(one.directory.iterdir())


def test_the_end_keeps_what_cannot_be_written(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.writer.start()
    one.until(lambda: one.writer.state == "ok")
    one.database.is_asked.clear()
    one.database.runs.clear()
    one.record(*rows(50))
    assert one.database.is_asked.wait(10)
    one.record(*rows(50, 50))
    begun = time.monotonic()
    one.writer.close(10.0)
    assert time.monotonic() - begun < 4.0
    assert one.kept() == ids(100)


def test_a_fault_of_ours_does_not_end_the_thread(
    bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = bench()
    one.writer.start()
    one.until(lambda: one.writer.sleeps)
    monkeypatch.setattr(one.spill, "first", lambda count: 1 / 0)
    one.record(row(1))
    one.until(lambda: one.database.ids == [row(1).id])
    one.until(lambda: caplog.messages)
    monkeypatch.undo()
    one.record(row(2))
    one.until(lambda: row(2).id in one.database.ids)
    assert caplog.messages[0] == "the ledger's writer has failed with ZeroDivisionError: it goes on"


def test_what_an_older_generation_leaves_is_written(bench: Callable[..., Bench]) -> None:
    older, newer = bench(), bench()
    older.database.failure = Unwritable("connection refused")
    older.writer.start()
    older.record(*rows(100))
    older.until(lambda: older.spill.rows == 100)
    newer.writer.start()
    newer.until(lambda: newer.writer.state == "ok")
    older.writer.close(10.0)
    newer.writer._adopt_at = 0.0  # five seconds later
    newer.record(row(100))
    newer.until(lambda: sorted(newer.database.ids) == ids(101))


def test_what_waits_in_the_file_does_not_wait_until_no_more_requests_come(bench: Callable[..., Bench]) -> None:
    one = bench()

    class Batches(list[int]):
        def append(self, count: int) -> None:
            super().append(count)
            if len(self) < 20:
                one.rows.append(row(10_000 + len(self)))

    one.database.batches = Batches()
    one.spill.append(rows(1000))
    one.record(row(10_000))
    one.writer.start()
    one.until(lambda: one.spill.rows == 0)
    assert one.database.batches[1:6:2] == [400, 400, 200]


def test_it_hurries_before_the_files_are_full(bench: Callable[..., Bench]) -> None:
    class Noted(Pace):
        hurried = 0

        def took(self, cpu: float, now: float, *, hurries: bool = False) -> float:
            self.hurried += hurries
            return super().took(cpu, now, hurries=hurries)

    one = bench()
    pace = one.writer._pace = Noted(0.0)
    one.spill.append(rows(HURRIES_FROM + 450))
    one.writer.start()
    one.until(lambda: one.spill.rows == 0, 60.0)
    assert pace.hurried >= HURRIES_FROM // 400, "until the file is gone: until then it takes the same room"


def test_threads_end(bench: Callable[..., Bench]) -> None:
    new = NewThreads()
    one = bench()
    one.writer.start()
    one.until(lambda: one.writer.state == "ok")
    one.writer.close(10.0)
    assert new.names("ledger") == []
