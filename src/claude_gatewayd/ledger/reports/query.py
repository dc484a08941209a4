"""What a report reads from the database: a few statements, each over the sums by quarter where they suffice."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta, tzinfo
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Table, case, func, literal, select

from claude_gatewayd.ledger import latency
from claude_gatewayd.ledger.reports.estimate import DayCost
from claude_gatewayd.ledger.reports.local_time import Stretch, begin_of, day_of, local, stretches
from claude_gatewayd.ledger.reports.results import (
    By,
    FallbackSums,
    Percentiles,
    UpstreamLatency,
    UsageRow,
    UsageSums,
    numbers_of,
)
from claude_gatewayd.ledger.reports.window import Window
from claude_gatewayd.ledger.schema import key_quarters, latencies, quarters, requests
from claude_gatewayd.ledger.sums import KINDS, QUARTER, QUARTERS_OF_AN_HOUR

QUARTERS_OF_A_DAY = 96
_COUNTS = ("requests", "failures", "aborted", "unpriced", "input_tokens", "output_tokens", "cache_read_tokens")


Latencies = tuple[UpstreamLatency, ...]


class Whose(NamedTuple):
    """Whose requests are asked for: of one *gateway*, and of one named key; None is of all."""

    gateway: str | None = None
    key_name: str | None = None

    @property
    def sums(self) -> Table:
        """The table that has their sums by quarter."""
        return quarters if self.key_name is None else key_quarters


class Summed(NamedTuple):
    """The rows of a report, and what the fallback has cost by reason, both in the order in which they are shown."""

    rows: tuple[UsageRow, ...]
    fallbacks: tuple[FallbackSums, ...]


def recorded(connection: Connection) -> tuple[int, int] | None:
    """Return the first and the last quarter in which anybody has used tokens; None if nobody has."""
    first, last = (select(of(quarters.c.quarter)).scalar_subquery() for of in (func.min, func.max))
    found = connection.execute(select(first, last)).one()  # two look-ups in the key; asked for at once, a scan
    return None if found[0] is None else (found[0], found[1])


def gateways(connection: Connection, window: Window) -> tuple[str, ...]:
    """Return the gateways that have used tokens in a window."""
    where = _within(quarters, window, Whose())
    return tuple(sorted(connection.scalars(select(quarters.c.gateway).where(*where).distinct())))


def summed(connection: Connection, by: By, window: Window, zone: tzinfo | None, whose: Whose) -> Summed:
    """Return the sums of a window."""
    if by == "session":
        return _sessions(connection, window, whose)
    table = key_quarters if by == "key" else whose.sums
    places = stretches(*window.quarters, zone)
    of = table.c
    bucket = (
        _day(places, of.quarter)
        if by == "day"
        else _hour(places, of.quarter)
        if by == "hour"
        else of["key_name" if by == "key" else by]
    )
    found: list[Sequence[Any]] = [*connection.execute(_bucketed(table, bucket, window, whose))]
    if by == "key" and whose.key_name is None:
        found += _without_key(connection, window, whose, found)
    by_key, fallbacks = _folded(found)
    if by == "day":
        rows = [_day_row(day_of(number), by_key[number], zone) for number in sorted(by_key)]
    elif by == "hour":
        rows = [_hour_row(quarter, by_key[quarter], zone) for quarter in sorted(by_key)]
    else:
        rows = [UsageRow(str(key), sums) for key, sums in by_key.items() if sums.requests]
        rows.sort(key=UsageRow.rank)
    return Summed(tuple(rows), fallbacks)


def _bucketed(table: Table, bucket: ColumnElement[Any], window: Window, whose: Whose) -> Select[Any]:
    of = table.c
    return (
        select(bucket.label("bucket"), of.billing, of.fallback, *summed_columns(table))
        .where(*_within(table, window, whose))
        .group_by("bucket", of.billing, of.fallback)
    )


def _without_key(
    connection: Connection, window: Window, whose: Whose, keyed: Sequence[Sequence[Any]]
) -> list[Sequence[Any]]:
    """Return rows that add up to what came without a named key: all there is, less what came with one."""
    every = connection.execute(_bucketed(quarters, literal(""), window, whose))
    return [*every, *(("", billing, fallback, *(-sum_ for sum_ in sums)) for _, billing, fallback, *sums in keyed)]


def summed_columns(table: Table = quarters) -> list[ColumnElement[Any]]:
    """Return the sums of a *table*: the counts that `numbers_of` takes, in its order, and the cost."""
    of = table.c
    cache_writes = of.cache_write_5m_tokens + of.cache_write_1h_tokens
    return [*(func.sum(of[name]) for name in _COUNTS), func.sum(cache_writes), func.sum(of.cost)]


def unpriced_models(connection: Connection, window: Window, whose: Whose) -> tuple[str, ...]:
    """Return the models whose requests are in no cost, as their price is not known."""
    of = whose.sums.c
    statement = select(of.model).where(*_within(whose.sums, window, whose), of.unpriced > 0).distinct()
    return tuple(sorted(connection.scalars(statement)))


def day_costs(connection: Connection, window: Window, zone: tzinfo | None, whose: Whose) -> dict[date, DayCost]:
    """Return what each day of a window has cost."""
    of = whose.sums.c
    statement = (
        select(_day(stretches(*window.quarters, zone), of.quarter).label("bucket"), of.billing, func.sum(of.cost))
        .where(*_within(whose.sums, window, whose))
        .group_by("bucket", of.billing)
    )
    found: dict[date, DayCost] = defaultdict(DayCost)
    for number, billing, cost in connection.execute(statement):
        day = found[day_of(number)]
        found[day_of(number)] = (
            DayCost(day.billed, day.subscription + cost)
            if billing == "subscription"
            else DayCost(day.billed + cost, day.subscription)
        )
    return dict(found)


def upstream_latencies(connection: Connection, window: Window, whose: Whose) -> Latencies:
    """Return how long each upstream took; of one named key nobody has counted it."""
    if whose.key_name is not None:
        return ()
    key = latencies.c.bin, latencies.c.upstream, latencies.c.measure  # SQLite sorts by them: what differs most is first
    statement = select(*key, func.sum(latencies.c.requests)).where(*_within(latencies, window, whose)).group_by(*key)
    counts: dict[str, dict[str, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
    for number, upstream, measure, count in connection.execute(statement):
        counts[upstream][measure][number] = int(count)
    return tuple(
        UpstreamLatency(upstream, percentiles(of.get("first_event", {})), percentiles(of.get("duration", {})))
        for upstream, of in sorted(counts.items())
    )


def percentiles(counts: Mapping[int, int]) -> Percentiles | None:
    """Return the percentiles of what so many requests of each bin took, None without any."""
    p50, p90, p99 = (latency.percentile(counts, share) for share in (0.5, 0.9, 0.99))
    if p50 is None or p90 is None or p99 is None:
        return None
    return Percentiles(sum(counts.values()), p50, p90, p99)


def _sessions(connection: Connection, window: Window, whose: Whose) -> Summed:
    """Return the sessions, the last one first. Only the requests themselves know theirs."""
    of = requests.c
    is_aborted = case((of.is_aborted, 1), else_=0)
    fails = case((of.status >= 400, 1 - is_aborted), else_=0)
    sums = (
        func.count(),
        func.sum(fails),
        func.sum(is_aborted),
        func.sum(case((of.cost.is_(None), 1), else_=0)),
        func.sum(of.input_tokens),
        func.sum(of.output_tokens),
        func.sum(of.cache_read_tokens),
        func.sum(of.cache_write_5m_tokens + of.cache_write_1h_tokens),
        func.coalesce(func.sum(of.cost), 0.0),
    )
    first, last = (quarter * QUARTER for quarter in window.quarters)
    where = [of.started_at >= first, of.started_at < last, of.kind.in_(KINDS)]
    where += _of(requests, whose)
    found = connection.execute(
        select(of.session_id, of.billing, of.fallback, *sums, func.min(of.started_at), func.max(of.started_at),
               func.max(of.project))
        .where(*where)
        .group_by(of.session_id, of.billing, of.fallback)
    ).all()  # fmt: skip
    by_key, fallbacks = _folded(row[:-3] for row in found)
    times: dict[str, list[float]] = defaultdict(list)
    projects: dict[str, str] = {}
    for row in found:
        times[row[0]] += row[-3:-1]
        projects[row[0]] = max(projects.get(row[0], ""), row[-1])
    rows = [UsageRow(key, by_key[key], min(at), max(at), projects[key]) for key, at in times.items()]
    return Summed(tuple(sorted(rows, key=lambda row: (-(row.end or 0.0), row.key))), fallbacks)


def _folded(found: Iterable[Sequence[Any]]) -> tuple[dict[Any, UsageSums], tuple[FallbackSums, ...]]:
    """Return the sums by key, and by reason of a fallback: of rows of key, billing, fallback, counts and cost."""
    by_key: dict[Any, UsageSums] = defaultdict(UsageSums)
    reasons: dict[str, FallbackSums] = {}
    for key, billing, fallback, *counts, cost in found:
        whole = [int(count) for count in counts]  # PostgreSQL's are Decimal
        by_key[key] += UsageSums(*numbers_of(billing, fallback, whole, float(cost)))  # type: ignore[arg-type]
        if fallback:
            before = reasons.get(fallback, FallbackSums(fallback, 0, 0.0))
            reasons[fallback] = FallbackSums(fallback, before.requests + whole[0], before.cost + float(cost))
    return by_key, tuple(sorted(reasons.values(), key=FallbackSums.rank))


def _within(table: Table, window: Window, whose: Whose) -> list[ColumnElement[bool]]:
    first, last = window.quarters
    if table is latencies:
        first -= first % QUARTERS_OF_AN_HOUR  # they are counted by whole hours
    return [table.c.quarter >= first, table.c.quarter < last, *_of(table, whose)]


def _of(table: Table, whose: Whose) -> list[ColumnElement[bool]]:
    where = [] if whose.gateway is None else [table.c.gateway == whose.gateway]
    return where if whose.key_name is None else [*where, table.c.key_name == whose.key_name]


def _day(places: Sequence[Stretch], quarter: ColumnElement[int]) -> ColumnElement[int]:
    """Return the number of the local day since the epoch."""
    number: ColumnElement[int] = (quarter + by_stretch(places, quarter)) // QUARTERS_OF_A_DAY
    return number


def _hour(places: Sequence[Stretch], quarter: ColumnElement[int]) -> ColumnElement[int]:
    """Return the quarter with which the local hour begins; the same hour of two zones is two."""
    beyond = by_stretch([Stretch(until, offset % QUARTERS_OF_AN_HOUR) for until, offset in places], quarter)
    begin: ColumnElement[int] = (quarter + beyond) // QUARTERS_OF_AN_HOUR * QUARTERS_OF_AN_HOUR - beyond
    return begin


def by_stretch(values: Sequence[Stretch], quarter: ColumnElement[int]) -> Any:
    """Return the offset that holds for a *quarter*."""
    *others, (_, last) = values
    if all(value == last for _, value in others):
        return last
    return case(*((quarter < until, value) for until, value in others), else_=last)


def _day_row(day: date, sums: UsageSums, zone: tzinfo | None) -> UsageRow:
    return UsageRow(day.isoformat(), sums, begin_of(day, zone), begin_of(day + timedelta(days=1), zone))


def _hour_row(quarter: int, sums: UsageSums, zone: tzinfo | None) -> UsageRow:
    begin = float(quarter * QUARTER)
    return UsageRow(
        local(begin, zone).isoformat(timespec="minutes"), sums, begin, begin + QUARTERS_OF_AN_HOUR * QUARTER
    )
