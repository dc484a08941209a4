"""The days and months of the local calendar."""

import time
from datetime import date, timedelta
from typing import NamedTuple

from claude_gatewayd.ledger.reports.local_time import begin_of


class Period(NamedTuple):
    """A day or a month: from *start* up to *end*, in seconds since the epoch."""

    name: str
    start: float
    end: float

    def has(self, at: float) -> bool:
        """Whether a time is in it."""
        return self.start <= at < self.end


def day_of(at: float) -> Period:
    """Return the local day of a time. One of 23 or 25 hours is as long as it is."""
    day = date(*time.localtime(at)[:3])
    return Period(day.isoformat(), begin_of(day, None), begin_of(day + timedelta(days=1), None))


def month_of(at: float) -> Period:
    """Return the local month of a time."""
    year, month = time.localtime(at)[:2]
    following = date(year + month // 12, month % 12 + 1, 1)
    return Period(f"{year}-{month:02}", begin_of(date(year, month, 1), None), begin_of(following, None))


def look_at_zone() -> None:
    """Take notice of a zone that has changed: the C library reads it once."""
    time.tzset()
