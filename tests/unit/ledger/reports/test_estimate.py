"""ledger/reports/estimate.py: where the month leads."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from claude_gatewayd.ledger.reports.estimate import DayCost, estimate, needed_since

UTC = ZoneInfo("UTC")
TODAY = date(2026, 11, 20)


def days(count: int, billed: float = 2.0, until: date = TODAY) -> dict[date, DayCost]:
    """Return the costs of the days before *until*."""
    return {until - timedelta(days=number): DayCost(billed, 10.0) for number in range(1, count + 1)}


def test_the_average_of_the_last_whole_days_is_added_for_those_that_are_left() -> None:
    found = estimate(days(60), date(2026, 1, 1), TODAY, UTC)
    assert (found.month, found.days_left, found.rate_days) == ("2026-11", 10, 14)
    assert found.billed == 19 * 2.0
    assert found.billed_estimate == pytest.approx(30 * 2.0)
    assert found.subscription_estimate == pytest.approx(30 * 10.0)
    assert (found.begin, found.end) == (1793491200.0, 1796083200.0)


def test_today_counts_as_what_it_has_cost_once_that_is_more_than_a_day_costs() -> None:
    costs = days(60) | {TODAY: DayCost(7.0, 1.0)}
    found = estimate(costs, date(2026, 1, 1), TODAY, UTC)
    assert found.billed == 19 * 2.0 + 7.0
    assert found.billed_estimate == pytest.approx(19 * 2.0 + 7.0 + 10 * 2.0)
    assert found.subscription_estimate == pytest.approx(30 * 10.0)


@pytest.mark.parametrize(("begun", "whole"), [(1, 0), (3, 2), (4, 3), (15, 14), (100, 14)])
def test_less_than_three_whole_days_are_no_estimate(begun: int, whole: int) -> None:
    """The first day of a ledger is not a whole one."""
    found = estimate(days(begun), TODAY - timedelta(days=begun), TODAY, UTC)
    assert found.rate_days == whole
    assert (found.billed_estimate is None) == (whole < 3)


def test_days_without_use_are_part_of_the_average() -> None:
    found = estimate({TODAY - timedelta(days=1): DayCost(14.0, 0.0)}, date(2026, 1, 1), TODAY, UTC)
    assert found.billed_estimate == pytest.approx(14.0 + 1.0 + 10 * 1.0)


def test_at_the_beginning_of_a_month_the_days_of_the_last_one_count() -> None:
    first = date(2026, 12, 1)
    found = estimate(days(60, until=first), date(2026, 1, 1), first, UTC)
    assert found.billed == 0
    assert found.billed_estimate == pytest.approx(31 * 2.0)
    assert needed_since(first) == date(2026, 11, 17)
    assert needed_since(TODAY) == date(2026, 11, 1)


def test_nothing_is_nothing() -> None:
    found = estimate({}, None, TODAY, UTC)
    assert (found.billed, found.billed_estimate, found.rate_days) == (0, None, 0)
