"""What was used today and this month: by this worker and its siblings, as it happens, and by all before them."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from claude_gatewayd.ledger.sums import QUARTER, quarter_of
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.usage import periods, used
from claude_gatewayd.worker.usage.budget import BudgetState
from claude_gatewayd.worker.usage.periods import Period
from claude_gatewayd.worker.usage.siblings import ALONE, ByWorker, Siblings
from claude_gatewayd.worker.usage.used import NOTHING, ByQuarter, Used

_KEPT: Final = 40 * 86400 // QUARTER  # quarters: a month, and a zone that changes
_ZONE_EVERY: Final = 5.0
_MOST_FRESH: Final = 200  # a record has half a kilobyte


class UsageTotals:
    """Totals on the event loop. *budget* is `[bedrock] monthly_budget` in USD, 0 for none.

    *settle* has all that has ended until now recorded here; it is called before anybody is answered.

    Kept by quarter of an hour: midnight, a new month and another zone choose other quarters, and nothing is read again.
    """

    def __init__(
        self,
        budget: float,
        clock: Callable[[], float] = time.time,
        settle: Callable[[], None] = lambda: None,
        siblings: Siblings = ALONE,
    ) -> None:
        self._budget = budget
        self._siblings = siblings
        self._settle = settle
        self._clock = clock
        self._fresh: list[UsageRecord] = []  # since anybody asked: the status does, four times a second
        self._own: dict[int, Used] = {}
        self._others: dict[int, Used] = {}
        self._is_complete = False
        now = clock()
        self._zone_seen = now
        self._day, self._month = periods.day_of(now), periods.month_of(now)
        self._today = self._in_month = NOTHING

    def record(self, record: UsageRecord) -> None:
        """Add a request."""
        self._fresh.append(record)
        if len(self._fresh) >= _MOST_FRESH:
            self._add_fresh()

    def share(self, written: ByQuarter) -> None:
        """Let siblings know what was used here, and how much of it is in the ledger."""
        self._siblings.share(self._own, written)

    def take(self, others: ByQuarter, since: int, noted: ByWorker) -> None:
        """Take what the ledger has, from a quarter on, of all but this worker; *noted* is as in `Siblings`."""
        self._siblings.was_read(noted)
        self._others = {at: sums for at, sums in self._others.items() if at < since} | dict(others)
        self._is_complete = True
        self._choose()

    def state(self) -> BudgetState:
        """Return how much of the month's budget is spent."""
        self._keep_up()
        month = self._with_siblings(self._in_month, self._month)
        return BudgetState(self._budget, month.aws, month.aws_unpriced, self._month.name, self._month.end)

    def snapshot(self) -> dict[str, Any]:
        """Return the totals for the status. Costs are rounded: the last digits of a sum mean nothing."""
        self._keep_up()
        today = self._with_siblings(self._today, self._day)
        month = self._with_siblings(self._in_month, self._month)
        return {
            "day": self._day.name,
            "requests": today.requests,
            "tokens": today.tokens,
            "cost": _rounded(today.cost),
            "billed": _rounded(today.billed),
            "fallback_cost": _rounded(today.fallback),
            "unpriced": today.unpriced,
            "is_complete": self._is_complete,
            "month": {
                "month": self._month.name,
                "bedrock_cost": _rounded(month.aws),
                "unpriced": month.aws_unpriced,
                "budget": self._budget,
            },
        }

    def _with_siblings(self, total: Used, period: Period) -> Used:
        for quarter, sums in self._siblings.unwritten.items():
            if period.has(quarter * QUARTER):
                total = used.added(total, sums)
        return total

    def _keep_up(self) -> None:
        """Add what is fresh; notice midnight, and another zone."""
        self._settle()
        if self._fresh:
            self._add_fresh()
        now = self._clock()
        if not 0 <= now - self._zone_seen < _ZONE_EVERY or not self._day.has(now):
            self._zone_seen = now
            periods.look_at_zone()
            if self._day != (day := periods.day_of(now)) or self._month != periods.month_of(now):
                self._day, self._month = day, periods.month_of(now)
                self._forget(quarter_of(now) - _KEPT)
                self._choose()

    def _add_fresh(self) -> None:
        fresh, self._fresh = self._fresh, []
        sums: dict[int, Used] = {}
        used.add(sums, fresh)
        for quarter, more in sums.items():
            self._own[quarter] = used.added(self._own.get(quarter, NOTHING), more)
            if self._day.has(quarter * QUARTER):
                self._today = used.added(self._today, more)
            if self._month.has(quarter * QUARTER):
                self._in_month = used.added(self._in_month, more)

    def _forget(self, before: int) -> None:
        self._own = {at: sums for at, sums in self._own.items() if at >= before}
        self._others = {at: sums for at, sums in self._others.items() if at >= before}

    def _choose(self) -> None:
        self._today, self._in_month = self._within(self._day), self._within(self._month)

    def _within(self, period: Period) -> Used:
        first, last = quarter_of(period.start), quarter_of(period.end)
        total = NOTHING
        for sums in (self._own, self._others):
            total = _sum({at: one for at, one in sums.items() if first <= at < last}, total)
        return total


def _sum(sums: Mapping[int, Used], total: Used) -> Used:
    for one in sums.values():
        total = used.added(total, one)
    return total


def _rounded(cost: float) -> float:
    return round(cost, 6)
