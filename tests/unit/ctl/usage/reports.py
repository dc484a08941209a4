"""A report as the database would give it, made by hand."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from claude_gatewayd.ledger.reports.results import (
    By,
    FallbackSums,
    MonthEstimate,
    Percentiles,
    UpstreamLatency,
    UsageReport,
    UsageRow,
    UsageSums,
)  # fmt: skip
from claude_gatewayd.ledger.reports.window import Window

BERLIN = ZoneInfo("Europe/Berlin")
DAY = 86400.0
BEGIN = datetime(2026, 11, 26, 23, tzinfo=UTC).timestamp()  # midnight in Berlin
NOW = BEGIN + 2.6 * DAY
BUSY = UsageSums(
    requests=1234, failures=5, aborted=2, unpriced=0, fallbacks=7, input_tokens=1_000, output_tokens=56_789,
    cache_read_tokens=9_000_000, cache_write_tokens=250_000, api=1.5, aws=2.25, subscription=40.0, fallback_cost=2.0,
)  # fmt: skip
QUIET = UsageSums(requests=1, input_tokens=3, output_tokens=4, subscription=0.001)
MONTH = MonthEstimate("2026-11", BEGIN - 26 * DAY, BEGIN + 4 * DAY, 3.75, 40.0, 13.1, 99.4, 14, 1)
FALLBACKS = (FallbackSums("limit", 6, 1.5), FallbackSums("timeout", 1, 0.5))
LATENCIES = (
    UpstreamLatency(
        "anthropic", Percentiles(1200, 812.3, 1934.0, 4301.0), Percentiles(1228, 6500.0, 21_000.0, 80_400.0)
    ),
    UpstreamLatency("bedrock", None, Percentiles(7, 900.0, 1000.0, 1100.0)),
)


def report(by: By = "day", names: tuple[str, str] = ("2026-11-27", "2026-11-29")) -> UsageReport:
    """Return a report of two rows; of days, one without use is between them."""
    times = {"day": (BEGIN, BEGIN + 2 * DAY), "hour": (BEGIN, BEGIN + 7200)}.get(by, (None, None))
    rows = tuple(
        UsageRow(name, sums, at, None if at is None else at + (DAY if by == "day" else 3600))
        for name, sums, at in zip(names, (BUSY, QUIET), times, strict=True)
    )
    return UsageReport(
        by, Window(BEGIN, NOW + 1), rows, 0, BUSY + QUIET, FALLBACKS, LATENCIES,
        MONTH, (), None, (), BEGIN - 60 * DAY,
    )  # fmt: skip
