"""How a report's time and its rows are called."""

from datetime import timedelta, tzinfo

from claude_gatewayd.ctl.usage import figures
from claude_gatewayd.ledger.reports.local_time import begin_of, local, zone_name
from claude_gatewayd.ledger.reports.results import UsageReport, UsageRow
from claude_gatewayd.ledger.reports.window import Window

NO_SESSION = "(none)"
_EMPTY = {
    "project": "(no project)",
    "session": NO_SESSION,
    "model": "(no model)",
    "upstream": "(no upstream)",
    "key": "(no key)",
}


def of_row(report: UsageReport, row: UsageRow, zone: tzinfo | None) -> str:
    """Return what a row is called: a day with its weekday, an hour with its date."""
    if report.by == "day" and row.begin is not None:
        return f"{local(row.begin, zone):%a %d %b}"
    if report.by == "hour" and row.begin is not None:
        return f"{local(row.begin, zone):%a %d %b %H:%M}"
    return row.key or _EMPTY.get(report.by, "(none)")


def of_more_rows(report: UsageReport) -> str:
    """Return how many rows a limit has left out, and what shows them."""
    every = len(report.rows) + report.more_rows
    return f"{figures.counted(report.more_rows, f'more {report.by}')} in the total: usage --limit {every}"


def clock(at: float, zone: tzinfo | None) -> str:
    """Return a date and a time."""
    return f"{local(at, zone):%a %d %b %Y %H:%M}"


def of_window(window: Window, now: float, zone: tzinfo | None) -> str:
    """Return from when to when, in which zone. Midnight is left out."""
    begin = _begin(window.since, zone)
    name = zone_name(now, zone)
    if window == Window(*(begin_of(local(window.since, zone).date() + timedelta(days=more), zone) for more in (0, 1))):
        return f"{begin} ({name})"  # one whole day
    if window.until > now:
        end = f"now, {local(now, zone):%a %d %b %H:%M}"
    elif local(window.until, zone).strftime("%H:%M") == "00:00":
        end = f"the end of {local(window.until - 1, zone):%a %d %b %Y}"
    else:
        end = clock(window.until, zone)
    return f"{begin} to {end} ({name})"


def _begin(at: float, zone: tzinfo | None) -> str:
    return clock(at, zone).removesuffix(" 00:00")
