"""The list of keys, as a table and as JSON."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from claude_gatewayd.config.model import KeysConfig
from claude_gatewayd.ledger.keys.named_key import KeyOwner

SOON: Final = 7 * 86400.0  # seconds before a key expires, from which on it is told
_NONE: Final = "–"
_HEADINGS: Final = ("name", "created", "expires", "last used", "Bedrock", "this month", "per minute")


def table(owners: Sequence[KeyOwner], defaults: KeysConfig, now: float) -> str:
    """Return the table for a person."""
    rows = [_HEADINGS, *(tuple(_row(one, defaults, now)) for one in owners)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def warnings(owners: Sequence[KeyOwner], now: float) -> Iterator[str]:
    """Yield a sentence for each key that expires soon, and the command that helps."""
    for one in expiring(owners, now):
        yield f"The key of {one.name} expires {when(one.expires_at, now)}: claude-gatewayctl keys rotate {one.name}"


def expiring(owners: Sequence[KeyOwner], now: float) -> list[KeyOwner]:
    """Return those whose newest key is good, but not for long."""
    return [
        one
        for one in owners
        if one.revoked_at is None and one.expires_at is not None and now < one.expires_at < now + SOON
    ]


def document(owners: Sequence[KeyOwner], defaults: KeysConfig, month: str, now: float) -> dict[str, Any]:
    """Return the same for a program. docs/team.md has the fields: they are only ever added."""
    return {"month": month, "keys": [_fields(one, defaults, now) for one in owners]}


def state(one: KeyOwner, now: float) -> str:
    """Return "good", "expired" or "revoked"."""
    if one.revoked_at is not None:
        return "revoked"
    return "expired" if one.expires_at is not None and one.expires_at <= now else "good"


def _row(one: KeyOwner, defaults: KeysConfig, now: float) -> Iterator[str]:
    budget, rate = _budget(one, defaults), _rate(one, defaults)
    yield one.name
    yield time.strftime("%Y-%m-%d", time.localtime(one.created_at))
    yield _expiry(one, now)
    yield _NONE if one.last_used_at is None else _ago(one.last_used_at, now)
    yield "yes" if _bedrock(one, defaults) else "no"
    yield f"${one.spent:,.2f}" + (f" of ${budget:,.2f}" if budget else "")
    yield str(rate) if rate else _NONE


def _expiry(one: KeyOwner, now: float) -> str:
    if one.revoked_at is not None:
        return f"revoked {_ago(one.revoked_at, now)}"
    if one.expires_at is None:
        newest = "never"
    else:
        newest = when(one.expires_at, now) if one.expires_at > now else f"expired {_ago(one.expires_at, now)}"
    older = _older_until(one, now)
    return newest if older is None else f"{newest}, the one before {when(older, now)}"


def _older_until(one: KeyOwner, now: float) -> float | None:
    """Return until when a key that was replaced is good, too."""
    times = (of.expires_at for of in one.secrets[1:] if of.expires_at is not None and of.expires_at > now)
    return max(times, default=None)


def when(at: float | None, now: float) -> str:
    """Return in how long a time is."""
    return f"in {_coarse((at or now) - now)}"


def _ago(at: float, now: float) -> str:
    return f"{_coarse(now - at)} ago" if now - at >= 1 else "just now"


def _coarse(seconds: float) -> str:
    """Return a duration in its largest unit: whether a key is good for 12 days and 3 hours matters to nobody."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{round(seconds / size)} {unit}"
    return f"{round(seconds)} s"


def _fields(one: KeyOwner, defaults: KeysConfig, now: float) -> dict[str, Any]:
    return {
        "name": one.name,
        "state": state(one, now),
        "created_at": one.created_at,
        "expires_at": one.expires_at,
        "revoked_at": one.revoked_at,
        "last_used_at": one.last_used_at,
        "also_good_until": _older_until(one, now),
        "bedrock": _bedrock(one, defaults),
        "monthly_budget": _budget(one, defaults),
        "spent": round(one.spent, 6),
        "requests_per_minute": _rate(one, defaults),
    }


def _bedrock(one: KeyOwner, defaults: KeysConfig) -> bool:
    return defaults.bedrock if one.limits.bedrock is None else bool(one.limits.bedrock)


def _budget(one: KeyOwner, defaults: KeysConfig) -> float:
    return defaults.monthly_budget if one.limits.monthly_budget is None else one.limits.monthly_budget


def _rate(one: KeyOwner, defaults: KeysConfig) -> int:
    given = one.limits.requests_per_minute
    return defaults.requests_per_minute if given is None else given
