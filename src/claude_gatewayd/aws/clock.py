"""This machine's clock beside AWS's: how far they are apart, and what a person does about it."""

import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

MAX_SKEW: Final = 300.0  # seconds that AWS allows between the date of a signature and its own clock
SET_CLOCK: Final = "sudo sntp -sS time.apple.com" if sys.platform == "darwin" else "sudo timedatectl set-ntp true"
_NOISE: Final = 30.0
# "Signature expired: 20260101T000000Z is now earlier than 20260101T000500Z (20260101T001000Z - 5 min.)"
_REJECTED: Final = re.compile(
    r"Signature (?:expired|not yet current): (\d{8}T\d{6}Z) is (?:now|still) \w+ than \d{8}T\d{6}Z \((\d{8}T\d{6}Z)"
)


def describe(skew: float) -> str:
    """Return in a sentence that this machine's clock is wrong, where AWS's is *skew* seconds ahead of it."""
    minutes = abs(skew) / 60
    off = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
    direction = "behind" if skew > 0 else "ahead of"
    return f"this machine's clock is {off} {direction} AWS's, so AWS rejects its signatures"


def skew_of(response: Mapping[str, Any], now: float) -> float:
    """Return how many seconds AWS's clock was ahead of *now*, when *response* came; 0.0 if it has no date."""
    from email.utils import parsedate_to_datetime  # here, for only answers need it

    date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return parsedate_to_datetime(date).timestamp() - now
    except (TypeError, ValueError):
        return 0.0


def skew_in(message: str) -> float | None:
    """Return how far AWS's clock is ahead of the one that signed, if *message* says that they are too far apart."""
    found = _REJECTED.search(message)
    if found is None:
        return None
    signed, received = (datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) for text in found.groups())
    return (received - signed).total_seconds()


def without_noise(skew: float) -> float:
    """Return *skew*, or 0.0 if it is small: a Date header has whole seconds, and was some time on its way."""
    return skew if abs(skew) > _NOISE else 0.0
