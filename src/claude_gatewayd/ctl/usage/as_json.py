"""A report as JSON. docs/usage.md has the fields, and a test holds it against them: fields are only ever added."""

import json
from typing import Any

from claude_gatewayd.ledger.reports.results import NAMES, Percentiles, UsageReport, UsageRow, UsageSums


def document(report: UsageReport, zone: str, database: str, *, recording: bool) -> str:
    """Return the document."""
    month = report.month
    return json.dumps(
        {
            "by": report.by,
            "since": report.window.since,
            "until": report.window.until,
            "zone": zone,
            "database": database,
            "recording": recording,
            "recorded_since": report.first_at,
            "gateway": report.gateway,
            "other_gateways": list(report.others),
            "rows": [_row(row) for row in report.rows],
            "more_rows": report.more_rows,
            "total": sums(report.total),
            "fallbacks": [
                {"reason": one.reason, "requests": one.requests, "cost": one.cost} for one in report.fallbacks
            ],
            "latencies": [
                {
                    "upstream": one.upstream,
                    "first_event": _percentiles(one.first_event),
                    "duration": _percentiles(one.duration),
                }
                for one in report.latencies
            ],
            "month": {
                "month": month.month,
                "begin": month.begin,
                "end": month.end,
                "billed": month.billed,
                "subscription": month.subscription,
                "billed_estimate": month.billed_estimate,
                "subscription_estimate": month.subscription_estimate,
                "averaged_days": month.rate_days,
                "days_left": month.days_left,
            },
            "unpriced_models": list(report.unpriced_models),
        },
        indent=2,
    )


def sums(of: UsageSums) -> dict[str, Any]:
    """Return the fields of sums."""
    return {name: getattr(of, name) for name in NAMES} | {"billed": of.billed, "cache_hit_ratio": of.cache_hit_ratio}


def _row(row: UsageRow) -> dict[str, Any]:
    return {"key": row.key, "begin": row.begin, "end": row.end, "project": row.project} | sums(row.sums)


def _percentiles(of: Percentiles | None) -> dict[str, Any] | None:
    return None if of is None else {"requests": of.requests, "p50": of.p50, "p90": of.p90, "p99": of.p99}
