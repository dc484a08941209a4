"""The time of day for people."""

import time
from datetime import datetime

import pytest

from claude_gatewayd.system.clock_time import clock_time


@pytest.mark.parametrize(
    ("at", "now", "wanted"),
    [
        ("2026-11-29 13:18", "2026-11-29 09:00", "13:18"),
        ("2026-11-29 00:00", "2026-11-29 23:59", "00:00"),
        ("2026-11-30 02:10", "2026-11-29 23:00", "Mon 30 Nov 02:10"),
        ("2026-12-05 13:18", "2026-11-29 13:00", "Sat 05 Dec 13:18"),
        ("2026-11-28 23:59", "2026-11-29 00:01", "Sat 28 Nov 23:59"),
        ("2027-01-01 00:30", "2026-12-31 23:30", "2027-01-01 00:30"),
        ("2025-11-29 13:18", "2026-11-29 13:18", "2025-11-29 13:18"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "America/St_Johns", "Pacific/Kiritimati"])
def test_clock_time(monkeypatch: pytest.MonkeyPatch, zone: str, at: str, now: str, wanted: str) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        moments = [time.mktime(datetime.fromisoformat(text).timetuple()) for text in (at, now)]
        assert clock_time(*moments) == wanted
    finally:
        monkeypatch.undo()
        time.tzset()
