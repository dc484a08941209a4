"""ledger/reports/local_time.py."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from claude_gatewayd.ledger.reports.local_time import begin_of, day_of, local, number_of, stretches
from claude_gatewayd.ledger.sums import QUARTER

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham",
         "America/St_Johns", "Africa/Cairo", "Pacific/Apia"]  # fmt: skip


def quarter(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) // QUARTER  # type: ignore[misc, arg-type]


@pytest.mark.parametrize("name", ZONES)
def test_every_quarter_of_a_year_has_its_offset(name: str) -> None:
    zone = ZoneInfo(name)
    first, last = quarter(2026, 1, 1), quarter(2027, 1, 1)
    found = stretches(first, last, zone)
    at = first
    for until, offset in found:
        assert at < until
        for one in (*range(at, until, 7), until - 1):
            ahead = local(one * QUARTER, zone).utcoffset()
            assert ahead is not None
            assert ahead.total_seconds() == offset * QUARTER, datetime.fromtimestamp(one * QUARTER, UTC)
        at = until
    assert at == last + 1
    assert len(found) == (3 if name in ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham",
                                        "America/St_Johns", "Africa/Cairo") else 1)  # fmt: skip


def test_one_quarter_has_one_offset() -> None:
    assert stretches(quarter(2026, 1, 1), quarter(2026, 1, 1), ZoneInfo("Asia/Kathmandu")) == [
        (quarter(2026, 1, 1) + 1, 23)
    ]


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 7, 1), 24)])
def test_days_are_as_long_as_they_are(day: date, hours: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    following = date.fromordinal(day.toordinal() + 1)
    assert begin_of(following, zone) - begin_of(day, zone) == hours * 3600


def test_a_day_without_a_midnight_begins_when_it_begins() -> None:
    """In Cairo the clocks go from 23:59 to 01:00."""
    zone = ZoneInfo("Africa/Cairo")
    begin = begin_of(date(2026, 4, 24), zone)
    assert f"{local(begin, zone):%d %H:%M}" == "24 01:00"
    assert f"{local(begin - 1, zone):%d %H:%M}" == "23 23:59"


def test_days_are_numbered_from_the_epoch() -> None:
    assert day_of(0) == date(1970, 1, 1)
    assert all(number_of(day_of(number)) == number for number in range(-1000, 40_000, 7))
    assert day_of(int(datetime(2026, 11, 29, 13, tzinfo=UTC).timestamp()) // 86400) == date(2026, 11, 29)
