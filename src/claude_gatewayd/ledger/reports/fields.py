"""Parts of a report as the fields of a JSON object, of `usage --json` and of the dashboard."""

from typing import Any

from claude_gatewayd.ledger.reports.results import (
    NAMES,
    FallbackSums,
    MonthEstimate,
    Percentiles,
    UpstreamLatency,
    UsageRow,
    UsageSums,
)


def sums(of: UsageSums) -> dict[str, Any]:
    """Return the fields of sums."""
    return {name: getattr(of, name) for name in NAMES} | {"billed": of.billed, "cache_hit_ratio": of.cache_hit_ratio}


def row(of: UsageRow) -> dict[str, Any]:
    """Return the fields of a row."""
    return {"key": of.key, "begin": of.begin, "end": of.end, "project": of.project} | sums(of.sums)


def fallback(of: FallbackSums) -> dict[str, Any]:
    """Return the fields of a reason."""
    return {"reason": of.reason, "requests": of.requests, "cost": of.cost}


def latency(of: UpstreamLatency) -> dict[str, Any]:
    """Return the fields of an upstream's latencies."""
    return {
        "upstream": of.upstream,
        "first_event": _percentiles(of.first_event),
        "duration": _percentiles(of.duration),
    }


def month(of: MonthEstimate) -> dict[str, Any]:
    """Return the fields of the estimate of a month."""
    return {
        "month": of.month,
        "begin": of.begin,
        "end": of.end,
        "billed": of.billed,
        "subscription": of.subscription,
        "billed_estimate": of.billed_estimate,
        "subscription_estimate": of.subscription_estimate,
        "averaged_days": of.rate_days,
        "days_left": of.days_left,
    }


def _percentiles(of: Percentiles | None) -> dict[str, Any] | None:
    return None if of is None else {"requests": of.requests, "p50": of.p50, "p90": of.p90, "p99": of.p99}
