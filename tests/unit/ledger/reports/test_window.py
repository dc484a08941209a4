"""ledger/reports/window.py: what a person types for a time."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.reports.window import Window, window

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 29, 14, 33, 7, tzinfo=BERLIN).timestamp()
END_OF_NOW = "2026-11-29 14:45"  # the quarter that now is in belongs to it

# --since, --until, from, to
CASES = [
    ("", "", "2026-11-27 00:00", END_OF_NOW),  # the default is 3d here
    ("1d", "", "2026-11-29 00:00", END_OF_NOW),
    ("7d", "", "2026-11-23 00:00", END_OF_NOW),
    ("7D", "", "2026-11-23 00:00", END_OF_NOW),
    ("2w", "", "2026-11-16 00:00", END_OF_NOW),
    ("40d", "", "2026-10-21 00:00", END_OF_NOW),  # over the end of the summer time
    ("24h", "", "2026-11-28 14:30", END_OF_NOW),
    ("today", "", "2026-11-29 00:00", END_OF_NOW),
    ("yesterday", "yesterday", "2026-11-28 00:00", "2026-11-29 00:00"),
    ("yesterday", "", "2026-11-28 00:00", END_OF_NOW),
    ("2026-11", "", "2026-11-01 00:00", END_OF_NOW),
    ("2026-10", "2026-10", "2026-10-01 00:00", "2026-11-01 00:00"),
    ("2026-9", "2026-12", "2026-09-01 00:00", "2027-01-01 00:00"),
    ("2026", "", "2026-01-01 00:00", END_OF_NOW),
    ("2025", "2025", "2025-01-01 00:00", "2026-01-01 00:00"),
    ("2026-11-03", "2026-11-03", "2026-11-03 00:00", "2026-11-04 00:00"),
    ("14d", "7d", "2026-11-16 00:00", "2026-11-23 00:00"),
    ("09:20", "14:00", "2026-11-29 09:15", "2026-11-29 14:00"),
    ("2026-11-03 09:20", "2026-11-03T10:01", "2026-11-03 09:15", "2026-11-03 10:15"),
    ("2026-11-03T09:20:00Z", "now", "2026-11-03 10:15", END_OF_NOW),
    ("2026-11-03T09:20+05:45", "", "2026-11-03 04:30", END_OF_NOW),
]


@pytest.mark.parametrize(("since", "until", "begin", "end"), CASES)
def test_forms(since: str, until: str, begin: str, end: str) -> None:
    found = window(since, until, "3d", NOW, BERLIN)
    assert [f"{datetime.fromtimestamp(at, BERLIN):%Y-%m-%d %H:%M}" for at in found] == [begin, end]


def test_a_day_of_25_hours_is_whole() -> None:
    since, until = window("2026-10-25", "2026-10-25", "", NOW, BERLIN)
    assert until - since == 25 * 3600


@pytest.mark.parametrize(
    "text", ["soon", "7", "7m", "-7d", "d", "2026-13", "2026-02-30", "25:00", "2026-11-29 25:00", "0000",
             "2026-11-03T09:20:00Zzz", "\x1b[31m", "9" * 400],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(GatewayError, match=r"cannot (read --since|report)") as found:
        window(text, "", "3d", NOW, BERLIN)
    assert found.value.hint


def test_a_window_cannot_end_before_it_begins() -> None:
    with pytest.raises(GatewayError) as found:
        window("today", "yesterday", "3d", NOW, BERLIN)
    assert found.value.message == (
        "cannot report on that time: it would begin at 2026-11-29 00:00 and end at 2026-11-29 00:00"
    )
    with pytest.raises(GatewayError):
        window("2027", "", "3d", NOW, BERLIN)


def test_quarters() -> None:
    assert Window(900.0, 2700.0).quarters == (1, 3)


def test_the_machines_own_zone_is_used_without_one() -> None:
    since, _ = window("today", "", "", NOW, None)
    assert f"{datetime.fromtimestamp(since).astimezone():%H:%M}" == "00:00"
