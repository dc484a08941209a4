"""How long a key is to be good, as a person types it."""

import re
from datetime import date, datetime, timedelta
from typing import Final

from claude_gatewayd.errors import GatewayError

FORMS: Final = "90d, 12h, 8w, 2027-01-31 (to the end of that day), never"
_SECONDS: Final = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0, "y": 365 * 86400.0}
_SPAN: Final = re.compile(r"(\d{1,5})\s*([hdwy])")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOST: Final = 100 * _SECONDS["y"]
NEVER: Final = "never"


def seconds_until(option: str, given: str, now: float) -> float | None:
    """Return for how many seconds from *now* a key is to be good, None for ever. Raises GatewayError."""
    typed = given.strip().lower()
    if typed == NEVER:
        return None
    example = f"claude-gatewayctl keys add NAME {option} 90d"
    seconds = _span(typed)
    if seconds is None and _DAY.fullmatch(typed):
        try:
            end = datetime.combine(date.fromisoformat(typed) + timedelta(days=1), datetime.min.time())
            seconds = end.timestamp() - now
        except (ValueError, OverflowError):  # the 30th of February, the last day of all
            seconds = None
    if seconds is None or seconds > _MOST:
        raise GatewayError(f'cannot read {option} "{given}": it is no time. Forms: {FORMS}', example)
    if seconds <= 0:
        raise GatewayError(f'cannot use {option} "{given}": that is over already', example)
    return seconds


def overlap(given: str) -> float:
    """Return for how many seconds more a key that is replaced is to be good. Raises GatewayError."""
    typed = given.strip().lower()
    seconds = 0.0 if typed == "0" else _span(typed)
    if seconds is None or seconds > 366 * _SECONDS["d"]:
        raise GatewayError(
            f'cannot read --overlap "{given}": it is no span of up to a year. Forms: 24h, 7d, 0',
            "claude-gatewayctl keys rotate NAME --overlap 24h",
        )
    return seconds


def _span(typed: str) -> float | None:
    found = _SPAN.fullmatch(typed)
    return int(found[1]) * _SECONDS[found[2]] if found else None
