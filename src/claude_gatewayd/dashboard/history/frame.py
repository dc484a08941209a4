"""The window of a page and its steps: local days, or the hours of one. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from claude_gatewayd.ledger.reports.local_time import Stretch, begin_of, local, number_of, stretches
from claude_gatewayd.ledger.reports.query import QUARTERS_OF_A_DAY
from claude_gatewayd.ledger.reports.slices import Grid
from claude_gatewayd.ledger.reports.window import Window
from claude_gatewayd.ledger.sums import HOUR, QUARTER, QUARTERS_OF_AN_HOUR

DAYS: Final = (1, 7, 30, 90)
_USUAL: Final = 30
_HOURS: Final = 24


@dataclass(frozen=True, slots=True)
class Step:
    """A local day or hour: *number* is that of its slice."""

    number: int
    key: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Frame:
    """What a page asks for: the last *days*, of which today is one, or the last 24 hours where that is one.

    *now* ends it, rounded up to a quarter of an hour. Without a *zone* it is the machine's own.
    """

    days: int
    now: float
    zone: tzinfo | None

    @classmethod
    def of(cls, query: Mapping[str, str], now: float) -> "Frame":
        """Return what the fields of a query ask for: the usual where they are none of ours."""
        days = int(query.get("days", "0")) if query.get("days", "0") in map(str, DAYS) else _USUAL
        return cls(days, now, _zone(query.get("zone", "")))

    @property
    def is_by_hour(self) -> bool:
        """Whether its steps are hours."""
        return self.days == 1

    @property
    def today(self) -> date:
        """The day that is not over."""
        return local(self.now, self.zone).date()

    @property
    def first_day(self) -> date:
        """The day with which it begins, if its steps are days."""
        return self.today - timedelta(days=self.days - 1)

    @property
    def until(self) -> float:
        """Its end."""
        return -(-self.now // QUARTER) * QUARTER

    def steps(self) -> tuple[Step, ...]:
        """Return every step, the first one first."""
        if self.is_by_hour:
            begins = [self._first_hour + HOUR * number for number in range(_HOURS)]
            return tuple(
                Step(number, local(begin, self.zone).isoformat(timespec="minutes"), begin, begin + HOUR)
                for number, begin in enumerate(begins)
            )
        return self.days_since(self.first_day)

    def days_since(self, first: date) -> tuple[Step, ...]:
        """Return the days from *first* to today."""
        days = [first + timedelta(days=more) for more in range((self.today - first).days + 2)]
        return tuple(
            Step(number_of(day), day.isoformat(), begin_of(day, self.zone), begin_of(following, self.zone))
            for day, following in pairwise(days)
        )

    def hour_grid(self) -> Grid:
        """Return the slices of the hours."""
        return Grid(QUARTERS_OF_AN_HOUR, (Stretch(0, -int(self._first_hour // QUARTER)),))

    def day_grid(self, window: Window) -> Grid:
        """Return the slices of the days in a window."""
        return Grid(QUARTERS_OF_A_DAY, tuple(stretches(*window.quarters, self.zone)))

    @property
    def _first_hour(self) -> float:
        beyond = local(self.now, self.zone).utcoffset() or timedelta()
        now = int(self.now)
        into = (now + int(beyond.total_seconds())) % HOUR  # hours of some zones begin with another quarter
        return float(now - into - (_HOURS - 1) * HOUR)


def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ValueError, OSError, LookupError):  # no such zone, or the name of a folder
        return None
