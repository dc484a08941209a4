"""dashboard/history/frame.py: which days and hours a page shows."""

from datetime import UTC, date, datetime
from itertools import pairwise

import pytest

from claude_gatewayd.dashboard.history.frame import Frame
from claude_gatewayd.ledger.reports.local_time import local

NOW = datetime(2026, 11, 20, 14, 7, tzinfo=UTC).timestamp()
HOURS = 3600.0


def frame(days: int, zone: str = "Europe/Berlin", now: float = NOW) -> Frame:
    return Frame.of({"days": str(days), "zone": zone}, now)


@pytest.mark.parametrize(
    ("query", "days", "zone"),
    [
        ({"days": "7", "zone": "Europe/Berlin"}, 7, "Europe/Berlin"),
        ({"days": "90"}, 90, None),
        ({}, 30, None),
        ({"days": "365"}, 30, None),
        ({"days": "-1"}, 30, None),
        ({"days": "٧"}, 30, None),
        ({"days": "7; DROP TABLE quarters"}, 30, None),
        ({"zone": "Mars/Olympus"}, 30, None),
        ({"zone": "../../etc/passwd"}, 30, None),
        ({"zone": "/etc/passwd"}, 30, None),
        ({"zone": "Europe"}, 30, None),
        ({"zone": "\0"}, 30, None),
        ({"zone": "x" * 5000}, 30, None),
    ],
)
def test_what_a_query_asks_for(query: dict[str, str], days: int, zone: str | None) -> None:
    found = Frame.of(query, NOW)
    assert (found.days, None if found.zone is None else str(found.zone)) == (days, zone)


@pytest.mark.parametrize("days", [7, 30, 90])
def test_steps_are_days_and_today_is_the_last(days: int) -> None:
    steps = frame(days).steps()
    assert len(steps) == days
    assert (steps[-1].key, steps[-1].begin <= NOW < steps[-1].end) == ("2026-11-20", True)
    assert all(one.end == other.begin and one.number + 1 == other.number for one, other in pairwise(steps))


@pytest.mark.parametrize(
    ("now", "zone", "lengths"),
    [
        (datetime(2026, 10, 27, tzinfo=UTC), "Europe/Berlin", [24, 24, 24, 24, 25, 24, 24]),
        (datetime(2026, 3, 31, 12, tzinfo=UTC), "Europe/Berlin", [24, 24, 24, 24, 23, 24, 24]),
        (datetime(2026, 4, 6, tzinfo=UTC), "Australia/Lord_Howe", [24, 24, 24, 24, 24, 24.5, 24]),
        (datetime(2026, 4, 24, 20, tzinfo=UTC), "Africa/Cairo", [24, 24, 24, 24, 24, 24, 23]),
    ],
)
def test_a_day_may_have_another_length(now: datetime, zone: str, lengths: list[float]) -> None:
    steps = frame(7, zone, now.timestamp()).steps()
    assert [(step.end - step.begin) / HOURS for step in steps] == lengths


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kathmandu", "Asia/Kolkata", "Pacific/Chatham", ""])
@pytest.mark.parametrize("now", [NOW, NOW - 7 * 60, NOW + 8 * 60 - 1, NOW + 38 * 60])
def test_one_day_is_the_last_24_hours_by_the_clock(zone: str, now: float) -> None:
    found = frame(1, zone, now)
    steps = found.steps()
    assert len(steps) == 24
    assert steps[-1].begin <= now < steps[-1].end
    assert all(one.end == other.begin == one.begin + 3600 for one, other in pairwise(steps))
    assert {local(step.begin, found.zone).strftime("%M:%S") for step in steps} == {"00:00"}
    assert len({step.key for step in steps}) == 24


def test_an_hour_that_comes_twice_is_two_steps() -> None:
    keys = [step.key for step in frame(1, now=datetime(2026, 10, 25, 9, tzinfo=UTC).timestamp()).steps()]
    assert keys.count("2026-10-25T02:00+02:00") == keys.count("2026-10-25T02:00+01:00") == 1


def test_it_ends_with_the_quarter_and_today_is_a_day_there() -> None:
    late = datetime(2026, 11, 20, 23, 30, tzinfo=UTC).timestamp()
    assert frame(7).until == datetime(2026, 11, 20, 14, 15, tzinfo=UTC).timestamp()
    assert (frame(7, "Europe/Berlin", late).today, frame(7, "UTC", late).today) == (
        date(2026, 11, 21),
        date(2026, 11, 20),
    )
