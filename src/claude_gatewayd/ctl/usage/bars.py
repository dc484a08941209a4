"""What is plotted: for each row what was billed, and what the subscription was worth; else tokens."""

from collections.abc import Callable
from datetime import tzinfo
from typing import NamedTuple

from claude_gatewayd.ctl.usage import figures, labels
from claude_gatewayd.ledger.reports.local_time import begin_of, days_between, local
from claude_gatewayd.ledger.reports.results import UsageReport, UsageRow, UsageSums


class Bar(NamedTuple):
    """A bar of two parts, one after the other."""

    label: str
    first: float
    second: float
    value: str


class Bars(NamedTuple):
    """A plot: its title, the names of both parts, and the bars; *is_time*: they follow each other in time.

    *shown* is how a value of its axis is written. Without bars, *nothing* stands in their place.
    """

    title: str
    first: str
    second: str
    bars: list[Bar]
    is_time: bool
    shown: Callable[[float], str]
    nothing: str = "Nothing was used in that time."


def of(report: UsageReport, zone: tzinfo | None) -> Bars:
    """Return what to plot of a report. Days and hours in between in which nothing was used are there."""
    rows = _without_gaps(report, zone)
    is_time = report.by in ("day", "hour")
    if report.total.billed + report.total.subscription > 0:
        found = [
            Bar(labels.of_row(report, row, zone), row.sums.billed, row.sums.subscription, _cost(row)) for row in rows
        ]
        title = f"Cost by {report.by}, in US dollars"
        return Bars(title, "billed", "subscription at list price, not billed", found, is_time, figures.dollars)
    found = [
        Bar(
            labels.of_row(report, row, zone), row.sums.prompt_tokens, row.sums.output_tokens,
            figures.short(row.sums.prompt_tokens + row.sums.output_tokens),
        )
        for row in rows
    ]  # fmt: skip
    return Bars(
        f"Tokens by {report.by}", "prompts", "answers", found, is_time, lambda value: figures.short(round(value))
    )


def _cost(row: UsageRow) -> str:
    return figures.dollars(row.sums.billed + row.sums.subscription)


def _without_gaps(report: UsageReport, zone: tzinfo | None) -> list[UsageRow]:
    rows = list(report.rows)
    if not rows or rows[0].begin is None or rows[-1].begin is None:
        return rows
    there = {row.begin: row for row in rows}
    if report.by == "day":
        days = days_between(local(rows[0].begin, zone).date(), local(rows[-1].begin, zone).date())
        times = [begin_of(day, zone) for day in days]
    elif report.by == "hour":
        times = [rows[0].begin + 3600 * number for number in range(int((rows[-1].begin - rows[0].begin) // 3600) + 1)]
    else:
        return rows
    return [there.get(at) or UsageRow("", UsageSums(), at) for at in times]
