import time
from collections.abc import Callable

import pytest
from sqlalchemy import func, select, text

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance import prune as module
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.maintenance.prune import leaves_only_the_newest, prune
from claude_gatewayd.ledger.opening import open_for_reading, open_for_writing
from claude_gatewayd.ledger.schema import latencies, quarters, requests
from claude_gatewayd.ledger.sums import sums_of
from tests.support.usage_records import put, usage_record

DAY = 86400
NOW = 1_800_000_123.0


def run(database: Database, keep_days: int, pause: Callable[[float], None] = lambda seconds: None) -> tuple[int, bool]:
    engine = open_for_writing(database)
    return prune(engine, keep_days, NOW, until=time.monotonic() + 60, pause=pause)


def counts(database: Database) -> tuple[int | None, ...]:
    with open_for_reading(database).connect() as connection:
        return tuple(connection.scalar(select(func.count()).select_from(t)) for t in (requests, quarters, latencies))


def test_what_is_older_goes_with_its_sums(database: Database) -> None:
    migrate(database)
    old = [usage_record(NOW - 31 * DAY - 60 * number) for number in range(100)]
    new = [usage_record(NOW - 29 * DAY + 60 * number) for number in range(100)]
    put(database, [*old, *new])
    assert run(database, 30) == (100, True)
    kept = sums_of(new)
    assert counts(database) == (100, len(kept.quarters), len(kept.latencies))
    assert run(database, 30) == (0, True)


@pytest.mark.parametrize("keep_days", [0, 400])
def test_what_is_kept(database: Database, keep_days: int) -> None:
    migrate(database)
    put(database, [usage_record(NOW - 390 * DAY)])
    assert run(database, keep_days) == (0, True)
    assert counts(database) == (1, 1, 1)


def test_others_write_between_its_steps_and_sums_are_those_of_requests(database: Database) -> None:
    migrate(database)
    put(database, [usage_record(NOW - 40 * DAY + 20 * number) for number in range(5000)])
    seen: list[int | None] = []

    def write(seconds: float) -> None:
        assert seconds > 0
        put(database, [usage_record(NOW + 3600 * len(seen))])
        with open_for_reading(database).connect() as connection:
            left = connection.scalar(select(func.count()).select_from(requests))
            summed = connection.scalar(select(func.sum(quarters.c.requests)))
            timed = connection.scalar(select(func.sum(latencies.c.requests)))
        assert left == summed == timed
        seen.append(left)

    assert run(database, 30, write) == (5000, True)
    assert len(seen) >= 5
    assert counts(database)[0] == len(seen)


def test_it_ends_in_time_and_says_that_there_is_more(database: Database) -> None:
    migrate(database)
    put(database, [usage_record(NOW - 40 * DAY)])
    assert prune(open_for_writing(database), 30, NOW, until=time.monotonic()) == (0, False)
    assert counts(database)[0] == 1


def test_one_at_a_time(database: Database) -> None:
    if not database.is_postgres:
        pytest.skip("SQLite has one writer at a time")
    migrate(database)
    put(database, [usage_record(NOW - 40 * DAY)])
    with open_for_writing(database).begin() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": module._LOCK})
        assert run(database, 30) == (0, False)
    assert run(database, 30) == (1, True)


@pytest.mark.parametrize(
    ("keep_days", "ages", "is_so"),
    [
        (30, [], False),
        (30, [29, 0.1], False),  # nothing is old
        (30, [40, 2, 0.1], False),  # as on any day
        (30, [40], True),  # nothing would be left
        (30, [1900, 1800, 0.1, 0.01], True),  # a clock that leapt, and what it has dated since
        (30, [1900, 1800, 1.1, 0.1], False),  # a day later it is believed
        (1, [2, 0.7], False),
        (1, [2, 0.2], True),
        (0, [1900], False),
    ],
)
def test_whether_the_clock_may_be_wrong(database: Database, keep_days: int, ages: list[float], is_so: bool) -> None:
    migrate(database)
    for age in ages:
        put(database, [usage_record(NOW - age * DAY, duration_ms=1 + 1000 * age)])
    assert leaves_only_the_newest(open_for_reading(database), keep_days, NOW) is is_so
