"""A report as JSON. docs/usage.md has the fields, and a test holds it against them: fields are only ever added."""

import json

from claude_gatewayd.ledger.reports import fields
from claude_gatewayd.ledger.reports.results import UsageReport


def document(report: UsageReport, zone: str, database: str, *, recording: bool) -> str:
    """Return the document."""
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
            "key": report.key_name,
            "other_gateways": list(report.others),
            "rows": [fields.row(row) for row in report.rows],
            "more_rows": report.more_rows,
            "total": fields.sums(report.total),
            "fallbacks": [fields.fallback(one) for one in report.fallbacks],
            "latencies": [fields.latency(one) for one in report.latencies],
            "month": fields.month(report.month),
            "unpriced_models": list(report.unpriced_models),
        },
        indent=2,
    )
