"""The whole report on a window."""

import time
from datetime import date, tzinfo

from sqlalchemy import Connection

from claude_gatewayd.ledger.reports import query
from claude_gatewayd.ledger.reports.estimate import DayCost, estimate, needed_since
from claude_gatewayd.ledger.reports.local_time import begin_of, local
from claude_gatewayd.ledger.reports.query import Whose
from claude_gatewayd.ledger.reports.results import By, MonthEstimate, UsageReport, UsageRow, UsageSums
from claude_gatewayd.ledger.reports.window import Window
from claude_gatewayd.ledger.sums import QUARTER

_NOTHING = query.Summed((), ())


def report(
    connection: Connection,
    by: By,
    window: Window,
    *,
    gateway: str | None = None,
    key_name: str | None = None,
    limit: int | None = None,
    zone: tzinfo | None = None,
    now: float | None = None,
) -> UsageReport:
    """Return what a *gateway*, or all where it is None, has used in a window. Days and hours are those of *zone*.

    With a *key_name* it is what came with the named key of that name.
    Without a zone they are the machine's own. Of more than *limit* rows the last days or hours are returned, the last
    sessions, or what has cost most.
    """
    now = time.time() if now is None else now
    whose = Whose(gateway, key_name)
    span = query.recorded(connection)
    clamped = _clamped(window, span)
    found = _NOTHING if clamped is None else query.summed(connection, by, clamped, zone, whose)
    total = sum((row.sums for row in found.rows), UsageSums())
    others: tuple[str, ...] = ()
    latencies: query.Latencies = ()
    unpriced: tuple[str, ...] = ()
    if clamped is not None:
        latencies = query.upstream_latencies(connection, clamped, whose)
        unpriced = _unpriced(connection, by, clamped, whose, found.rows) if total.unpriced else ()
        if gateway is not None:
            others = tuple(name for name in query.gateways(connection, clamped) if name != gateway)
    rows = found.rows
    if limit is not None:
        rows = rows[-limit:] if by in ("day", "hour") else rows[:limit]
    return UsageReport(
        by, window, rows, len(found.rows) - len(rows), total, found.fallbacks, latencies,
        _month(connection, span, whose, zone, now, found.rows if by == "day" else (), window),
        unpriced, gateway, others,
        None if span is None else float(span[0] * QUARTER), key_name,
    )  # fmt: skip


def _clamped(window: Window, span: tuple[int, int] | None) -> Window | None:
    """Return the part of a window in which there is anything: a zone's history since 1970 is long."""
    if span is None:
        return None
    first, last = max(window.since, span[0] * QUARTER), min(window.until, (span[1] + 1) * QUARTER)
    return Window(first, last) if first < last else None


def _unpriced(
    connection: Connection, by: By, window: Window, whose: Whose, rows: tuple[UsageRow, ...]
) -> tuple[str, ...]:
    if by == "model":
        return tuple(sorted(row.key for row in rows if row.sums.unpriced))
    return query.unpriced_models(connection, window, whose)


def _month(
    connection: Connection,
    span: tuple[int, int] | None,
    whose: Whose,
    zone: tzinfo | None,
    now: float,
    days: tuple[UsageRow, ...],
    window: Window,
) -> MonthEstimate:
    """Return the estimate; *days* are those of the *window*, which are not read a second time if they suffice."""
    today = local(now, zone).date()
    if span is None:
        return estimate({}, None, today, zone)
    needed = Window(begin_of(needed_since(today), zone), now)
    if days and window.since <= needed.since and needed.until <= window.until:
        costs = {date.fromisoformat(row.key): DayCost(row.sums.billed, row.sums.subscription) for row in days}
    else:
        recent = _clamped(needed, span)
        costs = {} if recent is None else query.day_costs(connection, recent, zone, whose)
    return estimate(costs, local(span[0] * QUARTER, zone).date(), today, zone)
