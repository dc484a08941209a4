"""What Anthropic's headers, and its clients', say: whether to try again and when, limits, patience. Pure."""

import math
import re
from collections.abc import Mapping
from typing import Final

# What is asked for by a beta, and has limits of its own: claude-code#42616 (a long context), vorpal#76 (fast mode).
_OWN_LIMITS: Final = ((b"context-1m", "1M context"), (b"fast-mode", "fast mode"))
_LONGEST_PATIENCE: Final = 3600.0


def retry_after(value: bytes | None) -> float | None:
    """Read a Retry-After header: seconds. A date, which Anthropic does not send, is read as "a long time"."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return float("inf")
    return seconds if seconds >= 0 else 0.0


def should_retry(value: bytes | None) -> bool | None:
    """Read an x-should-retry header."""
    return {b"true": True, b"false": False}.get(value.strip().lower()) if value is not None else None


def client_timeout(value: bytes, otherwise: float) -> float:
    """Read from x-stainless-timeout how many seconds a client waits; *otherwise*, where it does not say, or says less.

    Whoever waits less goes by itself. Whoever says "for ever" is not believed.
    """
    return max(otherwise, min(float(value), _LONGEST_PATIENCE)) if re.fullmatch(rb"[0-9]{1,9}", value) else otherwise


def betas_with_own_limits(betas: bytes) -> str:
    """Name what a request asks for by a beta that has limits of its own; "" for none."""
    found = ""
    for beta, name in _OWN_LIMITS:
        if beta in betas:
            found = f"{found}, {name}" if found else name
    return found


def reset_of(fields: Mapping[bytes, bytes]) -> float:
    """Read when a limit resets from the header of a 429; 0 where that is not said."""
    try:
        reset = float(fields.get(b"anthropic-ratelimit-unified-reset", b""))
    except ValueError:
        return 0.0
    return reset if math.isfinite(reset) else 0.0
