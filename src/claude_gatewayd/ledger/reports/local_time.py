"""Days and hours of a local zone, in quarters of an hour: 23 or 25 hours long where the clocks change."""

import time
from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import NamedTuple

from claude_gatewayd.ledger.sums import QUARTER  # every zone in use is a whole number of them away from UTC

_PER_DAY = 96
_EPOCH = date(1970, 1, 1).toordinal()


class Stretch(NamedTuple):
    """A time in which the zone's distance from UTC stays the same: up to *until*, exclusively, in quarters."""

    until: int
    offset: int


def local(at: float, zone: tzinfo | None) -> datetime:
    """Return the local time of an instant; the zone is the machine's own where it is None."""
    return datetime.fromtimestamp(at).astimezone() if zone is None else datetime.fromtimestamp(at, zone)


def instant(year: int, month: int, day: int, zone: tzinfo | None) -> float:
    """Return the instant at which a local day begins."""
    return datetime(year, month, day, tzinfo=zone).timestamp()


def begin_of(day: date, zone: tzinfo | None) -> float:
    """Return the instant at which a local day begins."""
    return instant(day.year, day.month, day.day, zone)


def zone_name(at: float, zone: tzinfo | None) -> str:
    """Return the zone's name, "Europe/Berlin" where that is known, else its abbreviation."""
    return getattr(zone, "key", "") or (time.tzname[time.localtime(at).tm_isdst > 0] if zone is None else str(zone))


def stretches(first: int, last: int, zone: tzinfo | None) -> list[Stretch]:
    """Return the stretches of the quarters from *first* to *last*, at least one."""
    found: list[Stretch] = []
    at, offset = first, _offset(first, zone)
    while at < last:
        following = min(at + _PER_DAY, last)
        if (then := _offset(following, zone)) != offset:
            low, high = at, following  # the offset is the old one at low, and the new one at high
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset(middle, zone) == offset else (low, middle)
            found.append(Stretch(high, offset))
            offset = then
        at = following
    return [*found, Stretch(last + 1, offset)]


def day_of(number: int) -> date:
    """Return the day of a number of days since the epoch."""
    return date.fromordinal(_EPOCH + number)


def number_of(day: date) -> int:
    """Return the number of days since the epoch."""
    return day.toordinal() - _EPOCH


def days_between(first: date, last: date) -> Sequence[date]:
    """Return the days from *first* to *last*, both inclusively."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _offset(quarter: int, zone: tzinfo | None) -> int:
    """Return how far local time is ahead of UTC, in quarters."""
    ahead = local(quarter * QUARTER, zone).utcoffset()
    assert ahead is not None
    return int(ahead.total_seconds() // QUARTER)
