"""The whole report on a window."""

import time
from datetime import date, tzinfo

from sqlalchemy import Connection

from claude_gatewayd.ledger.reports import query
from claude_gatewayd.ledger.reports.estimate import DayCost, estimate, needed_since
from claude_gatewayd.ledger.reports.local_time import begin_of, local
from claude_gatewayd.ledger.reports.results import By, MonthEstimate, UsageReport, UsageSums
from claude_gatewayd.ledger.reports.window import Window
from claude_gatewayd.ledger.sums import QUARTER

_NOTHING = query.Summed((), ())


def report(
    connection: Connection,
    by: By,
    window: Window,
    *,
    gateway: str | None = None,
    limit: int | None = None,
    zone: tzinfo | None = None,
    now: float | None = None,
) -> UsageReport:
    """Return what a *gateway*, or all where it is None, has used in a window. Days and hours are those of *zone*.

    Without a zone they are the machine's own. Of more than *limit* rows the last days or hours are returned, the last
    sessions, or what has cost most.
    """
    now = time.time() if now is None else now
    span = query.recorded(connection)
    clamped = _clamped(window, span)
    found = _NOTHING if clamped is None else query.summed(connection, by, clamped, zone, gateway)
    total = sum((row.sums for row in found.rows), UsageSums())
    others: tuple[str, ...] = ()
    latencies: query.Latencies = ()
    unpriced: tuple[str, ...] = ()
    if clamped is not None:
        latencies = query.upstream_latencies(connection, clamped, gateway)
        unpriced = query.unpriced_models(connection, clamped, gateway) if total.unpriced else ()
        if gateway is not None:
            others = tuple(name for name in query.gateways(connection, clamped) if name != gateway)
    rows = found.rows
    if limit is not None:
        rows = rows[-limit:] if by in ("day", "hour") else rows[:limit]
    return UsageReport(
        by, window, rows, len(found.rows) - len(rows), total, found.fallbacks, latencies,
        _month(connection, span, gateway, zone, now), unpriced, gateway, others,
        None if span is None else float(span[0] * QUARTER),
    )  # fmt: skip


def _clamped(window: Window, span: tuple[int, int] | None) -> Window | None:
    """Return the part of a window in which there is anything: a zone's history since 1970 is long."""
    if span is None:
        return None
    first, last = max(window.since, span[0] * QUARTER), min(window.until, (span[1] + 1) * QUARTER)
    return Window(first, last) if first < last else None


def _month(
    connection: Connection, span: tuple[int, int] | None, gateway: str | None, zone: tzinfo | None, now: float
) -> MonthEstimate:
    today = local(now, zone).date()
    costs: dict[date, DayCost] = {}
    first = None
    if span is not None:
        first = local(span[0] * QUARTER, zone).date()
        recent = _clamped(Window(begin_of(needed_since(today), zone), now), span)
        costs = query.day_costs(connection, recent, zone, gateway) if recent is not None else {}
    return estimate(costs, first, today, zone)
