"""The days and months of the local calendar."""

import time
from typing import NamedTuple


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
    year, month, day = time.localtime(at)[:3]
    return Period(f"{year}-{month:02}-{day:02}", _midnight(year, month, day), _midnight(year, month, day + 1))


def month_of(at: float) -> Period:
    """Return the local month of a time."""
    year, month = time.localtime(at)[:2]
    return Period(f"{year}-{month:02}", _midnight(year, month, 1), _midnight(year, month + 1, 1))


def look_at_zone() -> None:
    """Take notice of a zone that has changed: the C library reads it once."""
    time.tzset()


def _midnight(year: int, month: int, day: int) -> float:
    """Return when a day begins; a 32nd is the next month's first."""
    return time.mktime((year, month, day, 0, 0, 0, 0, 0, -1))
