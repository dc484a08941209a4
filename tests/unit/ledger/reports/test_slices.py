"""ledger/reports/slices.py, in both databases: slices add up to the requests themselves."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine

from claude_gatewayd.ledger import schema
from claude_gatewayd.ledger.latency import bin_of
from claude_gatewayd.ledger.reports import query, slices
from claude_gatewayd.ledger.reports.local_time import Stretch, local, number_of, stretches
from claude_gatewayd.ledger.reports.results import NAMES
from claude_gatewayd.ledger.reports.slices import Grid
from claude_gatewayd.ledger.reports.window import Window
from claude_gatewayd.ledger.sums import HOUR, QUARTER
from claude_gatewayd.ledger.usage_record import UsageRecord
from tests.support import ledger_rows
from tests.support.ledger_rows import COLUMNS, GATEWAY

BERLIN = ZoneInfo("Europe/Berlin")
AT = datetime(2026, 10, 19, 22, tzinfo=UTC).timestamp()  # midnight in Berlin; the clocks change on the 25th
DAYS = 12
WINDOW = Window(AT, AT + DAYS * 86400 + HOUR)
NO_LIMIT = 10**6


def grid(zone: ZoneInfo = BERLIN, window: Window = WINDOW) -> Grid:
    return Grid(96, stretches(*window.quarters, zone))


def recorded(engine: Engine) -> list[UsageRecord]:
    with engine.connect() as connection:
        found = connection.execute(schema.requests.select()).all()
    return [UsageRecord(**{name: getattr(row, name) for name in COLUMNS}) for row in found]


@pytest.fixture
def filled(engine: Engine) -> Engine:
    ledger_rows.fill(engine, 3000, since=AT, until=WINDOW.until)
    return engine


def test_the_cells_of_days_are_the_requests(filled: Engine) -> None:
    wanted: dict[tuple[int, str, str, str, str, str], list[UsageRecord]] = defaultdict(list)
    for one in recorded(filled):
        day = number_of(local(one.started_at, BERLIN).date())
        wanted[day, one.model_served, one.project, one.upstream, one.billing, one.fallback].append(one)
    with filled.connect() as connection:
        cells = slices.cells(connection, grid(), WINDOW, None, NO_LIMIT)
    found = {(day, *cell[:5]): cell for day, of in cells.items() for cell in of}
    assert len(cells) == DAYS
    assert found.keys() == wanted.keys()
    for key, of in wanted.items():
        numbers = dict(zip(NAMES, found[key].numbers, strict=True))
        cost = sum(one.cost or 0 for one in of)
        assert numbers["requests"] == len(of)
        assert numbers["failures"] == sum(one.status >= 400 and not one.is_aborted for one in of)
        assert numbers["unpriced"] == sum(one.cost is None for one in of)
        assert numbers["fallbacks"] == sum(bool(one.fallback) for one in of)
        assert numbers[key[4]] == pytest.approx(cost)
        assert numbers["fallback_cost"] == pytest.approx(cost if key[5] else 0)
        assert found[key].cost == pytest.approx(cost)
        assert found[key].tokens == sum(
            one.input_tokens + one.output_tokens + one.cache_read_tokens
            + one.cache_write_5m_tokens + one.cache_write_1h_tokens for one in of
        )  # fmt: skip


def test_they_add_up_to_what_a_report_has(filled: Engine) -> None:
    with filled.connect() as connection:
        cells = slices.cells(connection, grid(), WINDOW, GATEWAY, NO_LIMIT)
        report = query.summed(connection, "day", WINDOW, BERLIN, query.Whose(GATEWAY))
    for row, number in zip(report.rows, sorted(cells), strict=True):
        added = [sum(column) for column in zip(*(cell.numbers for cell in cells[number]), strict=True)]
        assert added == pytest.approx([getattr(row.sums, name) for name in NAMES])


def test_another_gateway_s_are_not_in_them(filled: Engine) -> None:
    with filled.connect() as connection:
        assert slices.cells(connection, grid(), WINDOW, "grace@desk", NO_LIMIT) == {}
        assert slices.bins(connection, grid(), WINDOW, "grace@desk") == {}
        assert slices.prints(connection, schema.quarters, grid(), WINDOW, "grace@desk") == {}
        assert not any(slices.print_of_window(connection, schema.quarters, WINDOW, "grace@desk"))


@pytest.mark.parametrize(("most", "projects", "models"), [(NO_LIMIT, 4, 4), (300, 1, 4), (100, 1, 1), (5, 0, 0)])
def test_names_that_are_too_many_are_not_told_apart(filled: Engine, most: int, projects: int, models: int) -> None:
    """A caller may send another project with each request."""
    with filled.connect() as connection:
        cells = [cell for of in slices.cells(connection, grid(), WINDOW, None, most).values() for cell in of]
    found = {cell.project for cell in cells}, {cell.model for cell in cells}
    assert len(cells) <= most
    assert (len(found[0]), len(found[1])) == (projects, models)
    assert sum(cell.numbers[0] for cell in cells) == (3000 if cells else 0)
    assert (slices.MANY in found[0], slices.MANY in found[1]) == (projects == 1, models == 1)


def test_how_long_it_took_by_day(filled: Engine) -> None:
    wanted: dict[tuple[int, str, str], Counter[int]] = defaultdict(Counter)
    for one in recorded(filled):
        day = number_of(local(one.started_at, BERLIN).date())
        wanted[day, one.upstream, "duration"][bin_of(one.duration_ms)] += 1
        wanted[day, one.upstream, "first_event"][bin_of(one.first_event_ms or 0)] += 1
    with filled.connect() as connection:
        found = slices.bins(connection, grid(), WINDOW, None)
    assert {(day, *key): counts for day, of in found.items() for key, counts in of.items()} == wanted


def test_when_the_fallback_was_needed(engine: Engine) -> None:
    noon, night = AT + 12 * HOUR, AT + 5 * 86400 + 26 * HOUR  # the night in which an hour comes twice
    times = [(noon + 60, "limit"), (noon + 2 * QUARTER, "limit"), (noon + HOUR, "overloaded"),
             (noon + 5 * HOUR, "limit"), (night, "limit"), (night + HOUR, "limit")]  # fmt: skip
    ledger_rows.write(engine, [
        UsageRecord(id=str(number), started_at=at, gateway=GATEWAY, kind="messages", status=200, fallback=reason,
                    upstream="bedrock", billing="aws", cost=0.5)
        for number, (at, reason) in enumerate([*times, (noon, "")])
    ])  # fmt: skip
    with engine.connect() as connection:
        found = slices.fallback_times(connection, grid(), WINDOW, None)
    first, last = sorted(found)
    assert sorted(found[first]) == [
        (noon, noon + 3 * QUARTER, 2, 1.0, "limit"),
        (noon + HOUR, noon + HOUR + QUARTER, 1, 0.5, "overloaded"),
        (noon + 5 * HOUR, noon + 5 * HOUR + QUARTER, 1, 0.5, "limit"),
    ]
    assert found[last] == [(night, night + HOUR + QUARTER, 2, 1.0, "limit")]


def test_hours_begin_where_they_are_asked_to(engine: Engine) -> None:
    """In Kathmandu an hour begins at 15 minutes past."""
    begin = AT + QUARTER
    hours = Grid(4, (Stretch(0, -int(begin // QUARTER)),))
    ledger_rows.write(engine, [
        UsageRecord(id=str(number), started_at=begin + number * QUARTER, gateway=GATEWAY, kind="messages", status=200)
        for number in range(-3, 9)
    ])  # fmt: skip
    with engine.connect() as connection:
        cells = slices.cells(connection, hours, Window(begin, begin + 2 * HOUR), None, NO_LIMIT)
    assert {number: of[0].numbers[0] for number, of in cells.items()} == {0: 4, 1: 4}


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe"])
def test_a_fingerprint_is_that_of_what_is_read(filled: Engine, zone: str) -> None:
    of = grid(ZoneInfo(zone))
    with filled.connect() as connection:
        cells = slices.cells(connection, of, WINDOW, None, NO_LIMIT)
        use = slices.prints(connection, schema.quarters, of, WINDOW, None)
        whole = slices.print_of_window(connection, schema.quarters, WINDOW, None)
        bins = slices.bins(connection, of, WINDOW, None)
        took = slices.prints(connection, schema.latencies, of, WINDOW, None)
        whole_took = slices.print_of_window(connection, schema.latencies, WINDOW, None)
    assert cells.keys() == use.keys()
    assert all(slices.agree(slices.print_of_cells(cells[number]), use[number]) for number in use)
    assert slices.agree(tuple(map(sum, zip(*use.values(), strict=True))), whole)
    assert bins.keys() == took.keys()
    assert all(slices.agree(slices.print_of_bins(bins[number]), took[number]) for number in took)
    assert slices.agree(tuple(map(sum, zip(*took.values(), strict=True))), whole_took)


def test_one_more_request_is_another_fingerprint() -> None:
    assert slices.agree((1e6, 0.1 + 0.2), (1e6, 0.3))
    assert not slices.agree((1e6, 0.3), (1e6 + 1, 0.3))
    assert not slices.agree((1e6, 0.3), (1e6, 0.301))
