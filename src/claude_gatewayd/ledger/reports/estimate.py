"""Where the month leads: what it has cost so far, and the average of the last whole days for those that are left."""

from collections.abc import Mapping
from datetime import date, timedelta, tzinfo
from typing import NamedTuple

from claude_gatewayd.ledger.reports.local_time import begin_of, days_between
from claude_gatewayd.ledger.reports.results import MonthEstimate

AVERAGED = 14  # days: two of each weekday
FEWEST = 3  # less says little


class DayCost(NamedTuple):
    """What a day has cost, in USD: what is billed, and the subscription at list price."""

    billed: float = 0.0
    subscription: float = 0.0


def needed_since(today: date) -> date:
    """Return the first day whose cost the estimate needs."""
    return min(today.replace(day=1), today - timedelta(days=AVERAGED))


def estimate(costs: Mapping[date, DayCost], first: date | None, today: date, zone: tzinfo | None) -> MonthEstimate:
    """Return the month of *today*; *first* is the first day of the ledger, which is not a whole one."""
    begin = today.replace(day=1)
    after = (begin + timedelta(days=31)).replace(day=1)
    left = (after - today).days - 1
    until_now = [costs.get(day, DayCost()) for day in days_between(begin, today)]
    whole: list[DayCost] = []
    if first is not None:
        since = max(today - timedelta(days=AVERAGED), first + timedelta(days=1))
        whole = [costs.get(day, DayCost()) for day in days_between(since, today - timedelta(days=1))]

    def lead(so_far: list[float], averaged: list[float]) -> float | None:
        if len(averaged) < FEWEST:
            return None
        rate = sum(averaged) / len(averaged)
        return sum(so_far[:-1]) + max(so_far[-1], rate) + rate * left  # today is not over

    billed, subscription = ([getattr(day, name) for day in until_now] for name in DayCost._fields)
    return MonthEstimate(
        f"{begin:%Y-%m}",
        begin_of(begin, zone),
        begin_of(after, zone),
        sum(billed),
        sum(subscription),
        lead(billed, [day.billed for day in whole]),
        lead(subscription, [day.subscription for day in whole]),
        len(whole),
        left,
    )
