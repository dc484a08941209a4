"""Remove what is older than the ledger keeps, in short transactions: others write between them."""

import time
from collections.abc import Callable

from sqlalchemy import Connection, Engine, delete, func, select, text

from claude_gatewayd.ledger.schema import key_quarters, latencies, quarters, requests
from claude_gatewayd.ledger.sums import HOUR, QUARTER, QUARTERS_OF_AN_HOUR

_AT_ONCE = 1000  # requests; an hour's are the least, so that sums are always those of requests
_LOCK = 0x636C617564650002
_DAY = 86400


def prune(
    engine: Engine, keep_days: int, now: float, *, until: float, pause: Callable[[float], None] = time.sleep
) -> tuple[int, bool]:
    """Remove what began more than *keep_days* before *now*; 0 removes nothing.

    Return how many requests were removed, and whether that is all: it stops at *until*, by the monotonic clock, or
    where another process is at it.
    """
    if not keep_days:
        return 0, True
    end = _hour_of(now - keep_days * _DAY)
    removed = 0
    while time.monotonic() < until:
        started = time.monotonic()
        with engine.begin() as connection:
            if not _alone(connection):
                return removed, False
            until_hour = _next(connection, end)
            if until_hour is None:
                return removed, True
            removed += _remove(connection, until_hour)
        pause(2 * (time.monotonic() - started))  # a third of the time at most is ours
    return removed, False


def leaves_only_the_newest(engine: Engine, keep_days: int, now: float) -> bool:
    """Return whether something would go, and nothing be left but what began within a day: the clock may be wrong.

    One that has leapt years ahead makes all rows old, and dates the next ones so that they look as they should. After a
    day with that date it is believed.
    """
    if not keep_days:
        return False
    limit, recent = now - keep_days * _DAY, now - min(1.0, keep_days / 2) * _DAY
    with engine.connect() as connection:
        oldest = connection.scalar(select(func.min(requests.c.started_at)))
        if oldest is None or _hour_of(oldest) >= _hour_of(limit):
            return False
        kept = select(requests.c.id).where(requests.c.started_at >= limit, requests.c.started_at < recent).limit(1)
        return connection.scalar(kept) is None


def _alone(connection: Connection) -> bool:
    """Return whether nobody else prunes. On SQLite there is one writer at a time as it is."""
    if connection.dialect.name == "sqlite":
        return True
    return bool(connection.execute(text("SELECT pg_try_advisory_xact_lock(:number)"), {"number": _LOCK}).scalar())


def _next(connection: Connection, end: int) -> int | None:
    """Return the quarter before which all goes now, the first one of an hour; None if nothing is left to go."""
    begun = connection.scalar(select(func.min(requests.c.started_at)))
    sums = [connection.scalar(select(func.min(table.c.quarter))) for table in (quarters, latencies)]
    found = [quarter for quarter in sums if quarter is not None] + ([] if begun is None else [_hour_of(begun)])
    if not found or min(found) >= end:
        return None
    beyond = select(requests.c.started_at).order_by(requests.c.started_at).offset(_AT_ONCE).limit(1)
    reached = connection.scalar(beyond)
    least = _hour_of(min(found) * QUARTER) + QUARTERS_OF_AN_HOUR
    return end if reached is None else min(end, max(least, _hour_of(reached)))


def _hour_of(moment: float) -> int:
    """Return the first quarter of a moment's hour."""
    return int(moment // HOUR) * QUARTERS_OF_AN_HOUR


def _remove(connection: Connection, end: int) -> int:
    removed = connection.execute(delete(requests).where(requests.c.started_at < end * QUARTER)).rowcount
    connection.execute(delete(quarters).where(quarters.c.quarter < end))
    connection.execute(delete(key_quarters).where(key_quarters.c.quarter < end))
    connection.execute(delete(latencies).where(latencies.c.quarter < end))
    return removed
