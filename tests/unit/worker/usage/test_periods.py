"""Local days and months, over changes of clock and zone."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from claude_gatewayd.worker.usage import periods


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def choose(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        periods.look_at_zone()

    yield choose
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("name", "at", "day", "hours"),
    [
        ("UTC", (2026, 11, 29, 22, 30), "2026-11-29", 24),
        ("Europe/Berlin", (2026, 3, 29, 12, 0), "2026-03-29", 23),
        ("Europe/Berlin", (2026, 10, 25, 12, 0), "2026-10-25", 25),
        ("Asia/Kathmandu", (2026, 11, 29, 0, 0), "2026-11-29", 24),
        ("America/Los_Angeles", (2026, 12, 31, 23, 59), "2026-12-31", 24),
        ("Pacific/Apia", (2026, 1, 1, 0, 0), "2026-01-01", 24),
        ("America/Havana", (2026, 11, 1, 0, 0), "2026-11-01", 25),  # its first hour comes twice
        ("America/Sao_Paulo", (2018, 11, 4, 1, 0), "2018-11-04", 23),  # there was no midnight
    ],
)
def test_day(zone: Callable[[str], None], name: str, at: tuple[int, ...], day: str, hours: int) -> None:
    zone(name)
    moment = datetime(*at, tzinfo=ZoneInfo(name)).timestamp()  # type: ignore[misc, arg-type]
    period = periods.day_of(moment)
    assert (period.name, period.end - period.start) == (day, hours * 3600)
    assert period.has(moment)
    assert not period.has(period.end)
    assert period.start % 900 == 0


@pytest.mark.parametrize(("at", "month", "days"), [((2026, 12, 31), "2026-12", 31), ((2028, 2, 29), "2028-02", 29)])
def test_month(zone: Callable[[str], None], at: tuple[int, ...], month: str, days: int) -> None:
    zone("UTC")
    moment = datetime(*at, tzinfo=ZoneInfo("UTC")).timestamp()  # type: ignore[misc, arg-type]
    period = periods.month_of(moment)
    assert (period.name, (period.end - period.start) / 86400) == (month, days)
