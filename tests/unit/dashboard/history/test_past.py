"""dashboard/history/past.py, in both databases: what is over is read once, and again where it has changed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine

from claude_gatewayd.dashboard.history import past
from claude_gatewayd.dashboard.history.frame import Frame
from claude_gatewayd.dashboard.history.past import DayUse, Past, past_bins, past_use
from claude_gatewayd.ledger import schema
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import open_for_reading, open_for_writing
from claude_gatewayd.ledger.reports import slices
from claude_gatewayd.ledger.reports.slices import Grid
from claude_gatewayd.ledger.reports.window import Window
from tests.support.usage_records import put, usage_record

NOW = datetime(2026, 11, 20, 14, tzinfo=UTC).timestamp()
DAY = 86400.0
FRAME = Frame.of({"days": "7", "zone": "Europe/Berlin"}, NOW)
DAYS = FRAME.steps()


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    migrate(database)
    put(database, [usage_record(NOW - day * DAY) for day in range(7)])
    engine = open_for_reading(database)
    yield engine
    engine.dispose()


class Reads:
    """What was used, and which days were read for it."""

    def __init__(self) -> None:
        self.days: list[tuple[int, ...]] = []
        self.past = Past(schema.quarters, self._read, lambda use: slices.print_of_cells(use.cells), DayUse())

    def _read(self, connection: Connection, grid: Grid, window: Window, gateway: str | None) -> dict[int, DayUse]:
        count = round((window.until - window.since) / DAY)
        last = next(place for place, day in enumerate(DAYS) if day.end == window.until)
        self.days.append(tuple(range(last - count + 1, last + 1)))
        return past.read_use(connection, grid, window, gateway)

    def requests(self, engine: Engine, frame: Frame = FRAME) -> list[float]:
        self.days.clear()
        with engine.connect() as connection:
            found = self.past.days(connection, frame, DAYS, None)
        return [sum(cell.numbers[0] for cell in found[day.number].cells) for day in DAYS]


def test_only_today_is_read_a_second_time(engine: Engine, database: Database) -> None:
    reads = Reads()
    assert reads.requests(engine) == [1] * 7
    assert reads.days == [(0, 1, 2, 3, 4, 5, 6)]
    put(database, [usage_record(NOW - 3600)])
    assert reads.requests(engine) == [1, 1, 1, 1, 1, 1, 2]
    assert reads.days == [(6,)]


@pytest.mark.parametrize(
    ("late", "read"),
    [
        ([2], [(2,), (6,)]),
        ([2, 3], [(2, 3), (6,)]),
        ([0, 2], [(0,), (2,), (6,)]),
        ([5], [(5, 6)]),
    ],
)
def test_a_row_that_comes_late_is_in_its_day(
    engine: Engine, database: Database, late: list[int], read: list[tuple[int, ...]]
) -> None:
    """As one does that waited in a file while the database was gone."""
    reads = Reads()
    reads.requests(engine)
    put(database, [usage_record(DAYS[day].begin + 3600) for day in late])
    assert reads.requests(engine) == [1 + (day in late) for day in range(7)]
    assert reads.days == read


def test_what_is_removed_is_not_in_it_any_more(engine: Engine, database: Database) -> None:
    reads = Reads()
    reads.requests(engine)
    with open_for_writing(database).begin() as connection:
        connection.execute(schema.quarters.delete().where(schema.quarters.c.quarter < DAYS[2].begin // 900))
    assert reads.requests(engine) == [0, 0, 1, 1, 1, 1, 1]


def test_a_late_row_and_a_removed_one_do_not_make_up_for_one_another(engine: Engine, database: Database) -> None:
    reads = Reads()
    reads.requests(engine)
    with open_for_writing(database).begin() as connection:
        connection.execute(schema.quarters.delete().where(schema.quarters.c.quarter < DAYS[1].begin // 900))
    put(database, [usage_record(DAYS[3].begin + 3600, output_tokens=7)])
    assert reads.requests(engine) == [0, 1, 1, 2, 1, 1, 1]


def test_a_corrected_cost_is_seen(engine: Engine, database: Database) -> None:
    """`ledger check --repair` computes sums anew."""
    reads = Reads()
    reads.requests(engine)
    with open_for_writing(database).begin() as connection:
        connection.execute(
            schema.quarters.update().where(schema.quarters.c.quarter < DAYS[1].begin // 900).values(cost=9.0)
        )
    reads.requests(engine)
    assert reads.days == [(0,), (6,)]


def test_tomorrow_only_the_day_that_has_become_yesterday_is_new(engine: Engine) -> None:
    reads = Reads()
    reads.requests(engine)
    tomorrow = Frame.of({"days": "7", "zone": "Europe/Berlin"}, NOW + DAY)
    read: list[Window] = []
    with engine.connect() as connection:
        reads.past._read = lambda _connection, _grid, window, _gateway: read.append(window) or {}  # type: ignore[func-returns-value]
        found = reads.past.days(connection, tomorrow, tomorrow.steps(), None)
    assert [(window.since, window.until) for window in read] == [(DAYS[6].begin, DAYS[6].end + DAY)]
    assert [len(found[day.number].cells) for day in tomorrow.steps()] == [1, 1, 1, 1, 1, 0, 0]


def test_the_days_of_another_zone_are_others(engine: Engine) -> None:
    reads = Reads()
    reads.requests(engine)
    there = Frame.of({"days": "7", "zone": "America/New_York"}, NOW)
    with engine.connect() as connection:
        fresh = past_use().days(connection, there, there.steps(), None)
        reads.past._read = past.read_use
        assert reads.past.days(connection, there, there.steps(), None) == fresh


def test_what_is_kept_is_bounded(engine: Engine) -> None:
    """A machine that travels, or a page with ever new zones, keeps no more than two have."""
    kept = past_use()
    with engine.connect() as connection:
        for hours in range(-11, 12):
            frame = Frame.of({"days": "90", "zone": f"Etc/GMT{hours:+}"}, NOW)
            kept.days(connection, frame, frame.steps(), None)
            assert len(kept.kept) <= 200
    assert len(kept.kept) >= 89


def test_how_long_it_took_is_kept_as_well(engine: Engine, database: Database) -> None:
    kept = past_bins()
    with engine.connect() as connection:
        kept.days(connection, FRAME, DAYS, None)
    put(database, [usage_record(DAYS[1].begin + 3600, duration_ms=5.0)])
    with engine.connect() as connection:
        found = kept.days(connection, FRAME, DAYS, None)
        fresh = past_bins().days(connection, FRAME, DAYS, None)
    assert found == fresh
    assert sum(found[DAYS[1].number]["anthropic", "duration"].values()) == 2


def test_nothing_is_read_of_days_without_anything(database: Database) -> None:
    migrate(database)
    kept = past_use()
    with open_for_reading(database).connect() as connection:
        for _ in range(2):
            assert set(kept.days(connection, FRAME, DAYS, None).values()) == {DayUse()}
    assert FRAME.first_day == FRAME.today - timedelta(days=6)
