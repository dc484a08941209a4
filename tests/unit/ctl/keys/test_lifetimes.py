"""How long a key is to be good, as people type it."""

import time

import pytest

from claude_gatewayd.ctl.keys.lifetimes import overlap, seconds_until
from claude_gatewayd.errors import GatewayError

NOW = time.mktime((2026, 11, 30, 12, 0, 0, 0, 0, -1))
HOUR, DAY = 3600.0, 86400.0


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("90d", 90 * DAY), ("12h", 12 * HOUR), ("8w", 56 * DAY), ("1y", 365 * DAY), (" 90 D ", 90 * DAY),
        ("never", None), ("2026-12-01", 1.5 * DAY), ("2026-11-30", 0.5 * DAY),
    ],
)  # fmt: skip
def test_times(given: str, wanted: float | None) -> None:
    assert seconds_until("--expires", given, NOW) == wanted


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("2026-11-29", "that is over already"), ("0d", "that is over already"), ("soon", "it is no time"),
        ("90", "it is no time"), ("-1d", "it is no time"), ("2026-02-30", "it is no time"), ("99999y", "it is no time"),
        ("9999-12-31", "it is no time"), ("", "it is no time"),
    ],
)  # fmt: skip
def test_what_is_no_time(given: str, words: str) -> None:
    with pytest.raises(GatewayError, match=words):
        seconds_until("--expires", given, NOW)


def test_overlaps() -> None:
    assert [overlap(given) for given in ("0", "24h", "7d")] == [0.0, DAY, 7 * DAY]
    for wrong in ("never", "24", "2y", "-1h"):
        with pytest.raises(GatewayError, match="no span of up to a year"):
            overlap(wrong)
