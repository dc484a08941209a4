"""ledger/reports/query.py, in both databases: the sums are those of the requests themselves."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine

from claude_gatewayd.ledger import schema
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import open_for_reading
from claude_gatewayd.ledger.reports import query
from claude_gatewayd.ledger.reports.local_time import local
from claude_gatewayd.ledger.reports.results import By, UsageRow
from claude_gatewayd.ledger.reports.window import Window
from claude_gatewayd.ledger.sums import KINDS, QUARTER, sums_of
from claude_gatewayd.ledger.usage_record import UsageRecord
from tests.support import ledger_rows
from tests.support.ledger_rows import COLUMNS, GATEWAY
from tests.support.usage_records import put, usage_record

BERLIN = ZoneInfo("Europe/Berlin")
AT = datetime(2026, 10, 20, tzinfo=UTC).timestamp()
EVER = Window(AT - 86400 * 400, AT + 86400 * 400)


def a_request(number: int, at: float, **more: object) -> UsageRecord:
    """Return a request that has cost a dollar, of the subscription."""
    usual: dict[str, object] = {
        "id": f"{number:08}", "started_at": at, "gateway": GATEWAY, "kind": "messages", "status": 200,
        "model_served": "opus", "upstream": "anthropic", "billing": "subscription", "cost": 1.0, "duration_ms": 1000.0,
    }  # fmt: skip
    return UsageRecord(**(usual | more))  # type: ignore[arg-type]


def rows(
    engine: Engine, by: By, window: Window = EVER, zone: ZoneInfo = BERLIN, gateway: str | None = None
) -> list[UsageRow]:
    with engine.connect() as connection:
        return list(query.summed(connection, by, window, zone, query.Whose(gateway)).rows)


def recorded(engine: Engine) -> list[UsageRecord]:
    """Return what is in the table of requests."""
    with engine.connect() as connection:
        found = connection.execute(schema.requests.select()).all()
    return [UsageRecord(**{name: getattr(row, name) for name in COLUMNS}) for row in found]


def test_the_generator_writes_what_the_writer_would(engine: Engine) -> None:
    ledger_rows.fill(engine, 3000, since=AT, until=AT + 86400)
    sums = sums_of(recorded(engine))
    with engine.connect() as connection:
        quarters = sorted(tuple(row) for row in connection.execute(schema.quarters.select()))
        latencies = sorted(tuple(row) for row in connection.execute(schema.latencies.select()))
    wanted = sorted((*key, *row) for key, row in sums.quarters)
    assert [row[:-1] for row in quarters] == [row[:-1] for row in wanted]
    assert [row[-1] for row in quarters] == pytest.approx([row[-1] for row in wanted])
    assert latencies == sorted((*key, number) for key, number in sums.latencies)


@pytest.mark.parametrize("by", ["day", "hour", "model", "upstream", "session", "project", "gateway"])
def test_each_way_to_sum_is_that_of_the_requests(engine: Engine, by: By) -> None:
    ledger_rows.fill(engine, 3000, since=AT, until=AT + 12 * 86400)
    wanted: dict[str, list[UsageRecord]] = defaultdict(list)
    for one in recorded(engine):
        begin = local(one.started_at, BERLIN)
        hour = begin.replace(minute=0, second=0, microsecond=0).isoformat(timespec="minutes")
        wanted[
            {"day": begin.date().isoformat(), "hour": hour, "model": one.model_served, "upstream": one.upstream,
             "session": one.session_id, "project": one.project, "gateway": one.gateway}[by]
        ].append(one)  # fmt: skip
    found = {row.key: row.sums for row in rows(engine, by)}
    assert found.keys() == wanted.keys()
    for key, of in wanted.items():
        sums = found[key]
        assert sums.requests == len(of)
        assert sums.failures == sum(one.status >= 400 and not one.is_aborted for one in of)
        assert sums.aborted == sum(one.is_aborted for one in of)
        assert sums.unpriced == sum(one.cost is None for one in of)
        assert sums.fallbacks == sum(bool(one.fallback) for one in of)
        for name in ("input_tokens", "output_tokens", "cache_read_tokens"):
            assert getattr(sums, name) == sum(getattr(one, name) for one in of)
        assert sums.cache_write_tokens == sum(one.cache_write_5m_tokens + one.cache_write_1h_tokens for one in of)
        for who in ("api", "aws", "subscription"):
            assert getattr(sums, who) == pytest.approx(sum(one.cost or 0 for one in of if one.billing == who))
        assert sums.fallback_cost == pytest.approx(sum(one.cost or 0 for one in of if one.fallback))
        assert sums.billed == pytest.approx(sums.api + sums.aws)


@pytest.mark.parametrize(
    ("zone", "around"),
    [("Europe/Berlin", (2026, 10, 25)), ("Europe/Berlin", (2026, 3, 29)), ("Australia/Lord_Howe", (2026, 4, 4)),
     ("Asia/Kathmandu", (2026, 6, 1)), ("Pacific/Chatham", (2026, 9, 26)), ("Africa/Cairo", (2026, 4, 24)),
     ("America/New_York", (2026, 11, 1))],
)  # fmt: skip
def test_days_and_hours_are_those_of_the_zone(engine: Engine, zone: str, around: tuple[int, int, int]) -> None:
    there = ZoneInfo(zone)
    middle = int(datetime(*around, tzinfo=UTC).timestamp())
    times = range(middle - 2 * 86400, middle + 2 * 86400, QUARTER)
    ledger_rows.write(engine, [a_request(number, at) for number, at in enumerate(times)])
    days = Counter(local(at, there).date().isoformat() for at in times)
    assert {row.key: row.sums.requests for row in rows(engine, "day", zone=there)} == dict(days)
    hours = Counter(local(at, there).replace(minute=0).isoformat(timespec="minutes") for at in times)
    found = rows(engine, "hour", zone=there)
    if zone not in ("Australia/Lord_Howe", "Pacific/Chatham"):  # the clocks change in the middle of an hour there
        assert {row.key: row.sums.requests for row in found} == dict(hours)
    assert sum(row.sums.requests for row in found) == len(times)
    assert [row.begin for row in found] == sorted({row.begin for row in found if row.begin is not None})


def test_a_window_begins_and_ends_with_a_quarter(engine: Engine) -> None:
    ledger_rows.write(engine, [a_request(number, AT + number * QUARTER) for number in range(8)])
    window = Window(AT + 2 * QUARTER, AT + 5 * QUARTER)
    for by in ("model", "session"):
        (row,) = rows(engine, by, window)
        assert row.sums.requests == 3


def test_only_what_uses_tokens_is_in_a_session(engine: Engine) -> None:
    kinds = ("messages", "count_tokens", "invoke", "models", "openai", "other")
    ledger_rows.write(engine, [a_request(number, AT, kind=kind) for number, kind in enumerate(kinds)])
    (row,) = rows(engine, "session")
    assert row.sums.requests == len(KINDS) == rows(engine, "day")[0].sums.requests


def test_sessions_have_their_times_and_their_project_and_the_last_is_first(engine: Engine) -> None:
    ledger_rows.write(engine, [
        a_request(1, AT + 10, session_id="old", project="p"),
        a_request(2, AT + 20, session_id="new"),
        a_request(3, AT + 90, session_id="old", fallback="limit", billing="aws", upstream="bedrock"),
        a_request(4, AT + 95, session_id="new", project="q"),
    ])  # fmt: skip
    new, old = rows(engine, "session")
    assert (new.key, new.begin, new.end, new.project) == ("new", AT + 20, AT + 95, "q")
    assert (old.key, old.begin, old.end, old.project) == ("old", AT + 10, AT + 90, "p")
    assert (old.sums.fallbacks, old.sums.aws, old.sums.subscription) == (1, 1.0, 1.0)


def test_what_costs_most_is_first(engine: Engine) -> None:
    ledger_rows.write(engine, [
        a_request(1, AT, project="cheap"),
        a_request(2, AT, project="dear", cost=3.0),
        a_request(3, AT, project="free", cost=None),
    ])  # fmt: skip
    assert [row.key for row in rows(engine, "project")] == ["dear", "cheap", "free"]
    with engine.connect() as connection:
        assert query.unpriced_models(connection, EVER, query.Whose()) == ("opus",)
        assert query.unpriced_models(connection, EVER, query.Whose("another@host")) == ()


def test_fallbacks_are_summed_by_reason(engine: Engine) -> None:
    words = ["limit", "overloaded", "limit", "", "overloaded", "limit"]
    ledger_rows.write(
        engine, [a_request(n, AT + 900 * n, fallback=word, billing="aws") for n, word in enumerate(words)]
    )
    with engine.connect() as connection:
        found = query.summed(connection, "day", EVER, BERLIN, query.Whose()).fallbacks
    assert [(one.reason, one.requests, one.cost) for one in found] == [("limit", 3, 3.0), ("overloaded", 2, 2.0)]


def test_a_gateway_sees_its_own(engine: Engine) -> None:
    ledger_rows.write(
        engine, [a_request(1, AT), a_request(2, AT, gateway="grace@desk"), a_request(3, AT, gateway="grace@desk")]
    )
    for by in ("day", "session", "model"):
        assert [row.sums.requests for row in rows(engine, by, gateway=GATEWAY)] == [1]
    with engine.connect() as connection:
        assert query.gateways(connection, EVER) == (GATEWAY, "grace@desk")
        (one,) = query.upstream_latencies(connection, EVER, query.Whose(GATEWAY))
        assert one.duration is not None
        assert one.duration.requests == 1


def test_percentiles_by_upstream(engine: Engine) -> None:
    ledger_rows.write(engine, [
        a_request(number, AT + number, duration_ms=10.0 * number, first_event_ms=5.0 if number % 2 else None)
        for number in range(1, 101)
    ])  # fmt: skip
    with engine.connect() as connection:
        (one,) = query.upstream_latencies(connection, EVER, query.Whose())
    assert one.upstream == "anthropic"
    assert one.duration is not None
    assert one.first_event is not None
    assert (one.duration.requests, one.first_event.requests) == (100, 50)
    for got, wanted in (
        (one.duration.p50, 500),
        (one.duration.p90, 900),
        (one.duration.p99, 990),
        (one.first_event.p99, 5),
    ):
        assert got == pytest.approx(wanted, rel=0.03)


def test_an_empty_ledger(engine: Engine) -> None:
    with engine.connect() as connection:
        assert query.recorded(connection) is None
        assert query.upstream_latencies(connection, EVER, query.Whose()) == ()
        assert query.day_costs(connection, EVER, BERLIN, query.Whose()) == {}
    assert rows(engine, "day") == rows(engine, "session") == []


KEYED = [
    usage_record(AT + 10, key_name="alice", cost=1.0, billing="aws", fallback="limit", session_id="a"),
    usage_record(AT + 20, key_name="alice", cost=2.0, billing="subscription", session_id="b"),
    usage_record(AT + 86400, key_name="bob", cost=4.0, billing="aws", session_id="c"),
    usage_record(AT + 30, cost=0.5, billing="aws", session_id="d"),
    usage_record(AT + 40, key_name="alice", kind="count_tokens"),
]


def test_a_row_for_each_named_key_and_one_for_what_came_without(database: Database) -> None:
    migrate(database)
    put(database, KEYED)
    with open_for_reading(database).connect() as connection:
        found = query.summed(connection, "key", EVER, BERLIN, query.Whose())
    rows = {row.key: (row.sums.requests, row.sums.aws, row.sums.subscription) for row in found.rows}
    assert rows == {"alice": (2, 1.0, 2.0), "bob": (1, 4.0, 0.0), "": (1, 0.5, 0.0)}
    assert [row.key for row in found.rows] == ["bob", "alice", ""]
    assert [(of.reason, of.requests) for of in found.fallbacks] == [("limit", 1)]


def test_where_all_came_with_a_key_no_row_is_without(database: Database) -> None:
    migrate(database)
    put(database, KEYED[:3])
    with open_for_reading(database).connect() as connection:
        found = query.summed(connection, "key", EVER, BERLIN, query.Whose())
    assert [row.key for row in found.rows] == ["bob", "alice"]


@pytest.mark.parametrize("by", ["day", "hour", "model", "upstream", "session", "project", "gateway", "key"])
def test_of_one_named_key_whatever_the_rows_are_by(database: Database, by: By) -> None:
    migrate(database)
    put(database, KEYED)
    whose = query.Whose(key_name="alice")
    with open_for_reading(database).connect() as connection:
        found = query.summed(connection, by, EVER, BERLIN, whose)
        assert sum(row.sums.requests for row in found.rows) == 2
        assert sum(row.sums.aws for row in found.rows) == 1.0
        assert query.upstream_latencies(connection, EVER, whose) == ()
        assert query.summed(connection, by, EVER, BERLIN, query.Whose("elsewhere", "alice")).rows == ()
        assert [day.billed for day in query.day_costs(connection, EVER, BERLIN, whose).values()] == [1.0]
