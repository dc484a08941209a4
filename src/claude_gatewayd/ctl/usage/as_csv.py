"""A report's rows as CSV (RFC 4180, but for line ends): a header, then a row for each; times as in ISO 8601."""

import csv
import io
from datetime import tzinfo

from claude_gatewayd import printable
from claude_gatewayd.ledger.reports.fields import sums
from claude_gatewayd.ledger.reports.local_time import local
from claude_gatewayd.ledger.reports.results import UsageReport, UsageSums

_SUMS = tuple(sums(UsageSums()))


def table(report: UsageReport, zone: tzinfo | None) -> str:
    """Return it, without the last line end. The first column is named after what the rows are by."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([report.by, "begin", "end", "session_project", *_SUMS])
    for row in report.rows:
        times = ["" if at is None else local(at, zone).isoformat(timespec="seconds") for at in (row.begin, row.end)]
        names = printable.cell(row.key), printable.cell(row.project)
        writer.writerow([names[0], *times, names[1], *("" if v is None else v for v in sums(row.sums).values())])
    return file.getvalue().removesuffix("\n")
