"""A report for a person: the table, what it comes to, the fallbacks, the latencies."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from datetime import tzinfo
from shlex import quote

from claude_gatewayd.ctl.usage import figures, labels
from claude_gatewayd.ctl.usage.table import Column, drawn
from claude_gatewayd.ledger.reports.local_time import local
from claude_gatewayd.ledger.reports.results import UsageReport, UsageRow, UsageSums
from claude_gatewayd.printable import one_line

_MARGIN = 15
_ALL = "usage --csv has every column"
_NAMED = 10  # models without a price: a caller can make up any number of them


def _cost(of: UsageSums, amount: float) -> str:
    return figures.NONE if of.requests and of.unpriced == of.requests else figures.dollars(amount)


# heading, rank (the highest is left out first where the terminal is narrow), and what stands in it
_COLUMNS: tuple[tuple[str, int, Callable[[UsageSums], str]], ...] = (
    ("requests", 0, lambda of: figures.whole(of.requests)),
    ("failed", 6, lambda of: figures.whole(of.failures)),
    ("aborted", 9, lambda of: figures.whole(of.aborted)),
    ("fallbacks", 5, lambda of: figures.whole(of.fallbacks)),
    ("input\ntokens", 3, lambda of: figures.short(of.input_tokens)),
    ("output\ntokens", 1, lambda of: figures.short(of.output_tokens)),
    ("cache\nread", 4, lambda of: figures.short(of.cache_read_tokens)),
    ("cache\nwrite", 8, lambda of: figures.short(of.cache_write_tokens)),
    ("cache\nhits", 7, lambda of: figures.percent(of.cache_hit_ratio)),
    ("billed", 0, lambda of: _cost(of, of.billed)),
    ("subscription,\nnot billed", 0, lambda of: _cost(of, of.subscription)),
)


def text(report: UsageReport, whose: str, now: float, width: int, zone: tzinfo | None, *, in_colour: bool) -> str:
    """Return the whole text for a terminal that is *width* wide; *whose* is "" where the ledger is not shared."""
    head = f"Usage by {report.by}, {labels.of_window(report.window, now, zone)}" + (f", {whose}" if whose else "")
    parts = [_wrapped(one_line(head), width)]
    if not report.rows:
        return "\n\n".join([*parts, "Nothing was used in that time.", *_notes(report, width, zone)])
    table, left_out = drawn(_columns(report, zone), width, in_colour=in_colour, has_total=True)
    parts.append(table)
    more = []
    if report.more_rows:
        more.append(labels.of_more_rows(report))
    if left_out:
        more.append(f"not shown, as the terminal is narrow: {', '.join(left_out)}; {_ALL}")
    if more:
        parts.append("\n".join(_wrapped(line, width) for line in more))
    parts.append("\n".join(_labelled(label, words, width) for label, words in _summary(report, zone)))
    if report.fallbacks:
        parts.append(_fallbacks(report, width, in_colour=in_colour))
    if report.latencies:
        parts.append(_latencies(report, width, in_colour=in_colour))
    return "\n\n".join([*parts, *_notes(report, width, zone)])


def _columns(report: UsageReport, zone: tzinfo | None) -> list[Column]:
    rows = [*report.rows, UsageRow("total", report.total)]
    names = [*(labels.of_row(report, row, zone) for row in report.rows), "total"]
    if report.by == "session":
        names = [row.key[:8] or labels.NO_SESSION for row in report.rows] + ["total"]  # the beginning tells them apart
    columns = [Column(report.by, names, is_number=False)]
    if report.by == "session":
        columns.append(Column("project", [row.project for row in rows], 2, is_number=False))
        last = ["" if row.end is None else f"{local(row.end, zone):%a %d %b %H:%M}" for row in rows]
        columns.append(Column("last request", last, 2, is_number=False))
    return columns + [Column(heading, [of(row.sums) for row in rows], rank) for heading, rank, of in _COLUMNS]


def _summary(report: UsageReport, zone: tzinfo | None) -> Iterator[tuple[str, str]]:
    total, month = report.total, report.month
    who = (("API key", total.api), ("AWS", total.aws), ("other providers", total.other))
    parts = [f"{name} {figures.dollars(cost)}" for name, cost in who if cost]
    yield "billed", figures.dollars(total.billed) + (f": {', '.join(parts)}" if parts else "")
    if total.fallbacks:
        yield (
            "fallback",
            f"{figures.dollars(total.fallback_cost)} of that, for {figures.counted(total.fallbacks, 'request')} "
            "that Bedrock answered in Anthropic's place",
        )
    if total.subscription:
        yield "subscription", f"worth {figures.dollars(total.subscription)} at list price; this is not billed"
    if total.cache_hit_ratio is not None:
        yield "cache", f"{figures.percent(total.cache_hit_ratio)} of the prompts' tokens were read from it"
    name = f"{local(month.begin, zone):%B}"
    if month.billed_estimate is not None and month.subscription_estimate is not None:
        worth = f"; subscription worth about {figures.about(month.subscription_estimate)}" if month.subscription else ""
        yield (
            name,
            f"{figures.dollars(month.billed)} billed so far, about {figures.about(month.billed_estimate)} by its end"
            f"{worth}. Estimated by the average of the last {figures.counted(month.rate_days, 'whole day')}",
        )
    else:
        yield name, f"{figures.dollars(month.billed)} billed so far; an estimate needs 3 whole days of records"
    if report.unpriced_models:
        models = ", ".join(model or "(no model)" for model in report.unpriced_models[:_NAMED])
        if beyond := len(report.unpriced_models) - _NAMED:
            models += f" and {beyond} more" if beyond > 0 else ""
        requests = figures.counted(total.unpriced, "request is", "requests are")
        yield (
            "no price",
            f"{requests} in no cost: {models}. To set a price for those to come, in USD per million tokens:",
        )
        # on a line of its own, whatever the width: it is to be pasted
        yield "", f"claude-gatewayctl config set {_key(report.unpriced_models)} 'input = 3, output = 15'"


def _key(models: Sequence[str]) -> str:
    return quote(f"ledger.prices.{next(filter(None, models), 'MODEL')}")


def _fallbacks(report: UsageReport, width: int, *, in_colour: bool) -> str:
    rows = report.fallbacks
    columns = [
        Column("fallbacks", [row.reason for row in rows], is_number=False),
        Column("requests", [figures.whole(row.requests) for row in rows]),
        Column("cost", [figures.dollars(row.cost) for row in rows]),
    ]
    return drawn(columns, width, in_colour=in_colour)[0]


def _latencies(report: UsageReport, width: int, *, in_colour: bool) -> str:
    found = [
        (f"{one.upstream}, {name}", of)
        for one in report.latencies
        for name, of in (("first event", one.first_event), ("whole answer", one.duration))
        if of is not None
    ]
    columns = [
        Column("seconds", [name for name, _ in found], is_number=False),
        Column("requests", [figures.whole(of.requests) for _, of in found], 1),
        *(Column(share, [figures.seconds(getattr(of, share)) for _, of in found]) for share in ("p50", "p90", "p99")),
    ]
    return drawn(columns, width, in_colour=in_colour)[0]


def _notes(report: UsageReport, width: int, zone: tzinfo | None) -> list[str]:
    notes = []
    if report.first_at is not None and report.first_at > report.window.since:
        notes.append(f"The ledger begins {labels.clock(report.first_at, zone)}.")
    if report.by == "project" and not any(row.key for row in report.rows):
        notes.append("Claude Code does not name its project; the header x-gateway-project does: docs/ledger.md")
    if report.others:
        notes.append(f"Not counted: {', '.join(report.others)}. Everybody in this database: usage --all")
    return ["\n".join(_wrapped(one_line(note), width) for note in notes)] if notes else []


def _labelled(label: str, words: str, width: int) -> str:
    first = f"  {label:<{_MARGIN - 2}}"
    room = max(width, _MARGIN + 20)
    if not label:
        return f"{first}{one_line(words)}"
    return textwrap.fill(
        one_line(words), room, initial_indent=first, subsequent_indent=" " * _MARGIN, break_on_hyphens=False
    )


def _wrapped(line: str, width: int) -> str:
    return textwrap.fill(line, max(width, 20), break_on_hyphens=False)
