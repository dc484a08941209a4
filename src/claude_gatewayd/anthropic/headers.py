"""Values of Anthropic's headers and of its clients': whether and when to retry, limits, timeouts. Pure."""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

# Betas whose requests have rate limits of their own: claude-code#42616 (a long context), vorpal#76 (fast mode).
_OWN_LIMITS: Final = ((b"context-1m", "1M context"), (b"fast-mode", "fast mode"))
CLIENT_TIMEOUT: Final = b"x-stainless-timeout"
_LONGEST_NUMBER: Final = 9
_MAX_CLIENT_TIMEOUT: Final = 3600.0


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


@lru_cache(64)
def client_timeout(value: bytes, otherwise: float) -> float:
    """Read x-stainless-timeout: how many seconds a client waits, but at least *otherwise* and at most an hour.

    A client that waits less than *otherwise* disconnects by itself.
    """
    if not value.isdigit() or len(value) > _LONGEST_NUMBER:
        return otherwise
    return max(otherwise, min(float(value), _MAX_CLIENT_TIMEOUT))


def betas_with_own_limits(betas: bytes) -> str:
    """Name the features of a request that have rate limits of their own, by its betas; "" for none."""
    found = ""
    for beta, name in _OWN_LIMITS:
        if beta in betas:
            found = f"{found}, {name}" if found else name
    return found


def reset_of(fields: Mapping[bytes, bytes]) -> float:
    """Read when a limit resets, from the headers of a 429; 0 if they do not include it."""
    try:
        reset = float(fields.get(b"anthropic-ratelimit-unified-reset", b""))
    except ValueError:
        return 0.0
    return reset if math.isfinite(reset) else 0.0
