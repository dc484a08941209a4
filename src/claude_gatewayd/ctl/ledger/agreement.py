"""Whether the sums by quarter hour, and the counts of durations by hour, are those of the requests; their repair."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection, Engine, Integer, cast, delete, func, select, text

from claude_gatewayd.ctl.ledger.copying import add_sums, as_record
from claude_gatewayd.ledger.schema import SCHEMA, key_quarters, latencies, quarters, requests
from claude_gatewayd.ledger.sums import HOUR, KINDS, QUARTERS_OF_AN_HOUR, sums_of

_TABLES = quarters, key_quarters, latencies
_LOCK = f"LOCK TABLE {', '.join(f'{SCHEMA}.{t.name}' for t in (requests, *_TABLES))} IN SHARE ROW EXCLUSIVE MODE"
_COUNTED = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")


def differing(engine: Engine) -> list[int]:
    """Return the hours, since the epoch, whose sums are not those of their requests. Raises SQLAlchemyError."""
    with engine.connect() as connection:  # one transaction: all see the same moment, though daemons write
        hour = quarters.c.quarter // QUARTERS_OF_AN_HOUR
        sums = _rows(connection, select(hour, func.sum(quarters.c.requests), *_totals(quarters)).group_by(hour))
        hour = latencies.c.quarter // QUARTERS_OF_AN_HOUR
        timed = select(hour, func.sum(latencies.c.requests)).group_by(hour)
        durations = _rows(connection, timed.where(latencies.c.measure == "duration"))
        events = _rows(connection, timed.where(latencies.c.measure == "first_event"))
        begun = requests.c.started_at / HOUR  # a cast rounds in PostgreSQL, and SQLite may have no floor()
        hour = cast(func.floor(begun) if connection.dialect.name == "postgresql" else begun, Integer)
        of_kind = select(hour, func.count(), func.count(requests.c.first_event_ms), *_totals(requests))
        there = _rows(connection, of_kind.where(requests.c.kind.in_(KINDS)).group_by(hour))
        of_keys = select(hour, func.count(), *_totals(requests)).where(requests.c.kind.in_(KINDS))
        keyed = _rows(connection, of_keys.where(requests.c.key_name != "").group_by(hour))
        hour = key_quarters.c.quarter // QUARTERS_OF_AN_HOUR
        of_keys = select(hour, func.sum(key_quarters.c.requests), *_totals(key_quarters))
        key_sums = _rows(connection, of_keys.group_by(hour))
    return sorted(
        number
        for number in {*sums, *durations, *events, *there, *key_sums}
        if not _agree(there.get(number), sums.get(number), durations.get(number), events.get(number))
        or not _is_same(keyed.get(number), key_sums.get(number))
    )


def repair(engine: Engine, hours: Iterable[int], tell: Callable[[int], None]) -> None:
    """Compute the sums of these hours anew. A daemon that writes waits for each of them. *tell* hears how many are."""
    for done, number in enumerate(hours, 1):
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
                connection.execute(text(_LOCK))
            first = number * QUARTERS_OF_AN_HOUR
            for table in _TABLES:
                connection.execute(delete(table).where(table.c.quarter.between(first, first + QUARTERS_OF_AN_HOUR - 1)))
            within = requests.c.started_at >= number * HOUR, requests.c.started_at < (number + 1) * HOUR
            add_sums(connection, sums_of(as_record(row) for row in connection.execute(select(requests).where(*within))))
        tell(done)


_Row = tuple[Any, ...]


def _rows(connection: Connection, chosen: Any) -> dict[int, _Row]:
    return {row[0]: tuple(row[1:]) for row in connection.execute(chosen)}


def _totals(table: Any) -> list[Any]:
    return [*(func.sum(table.c[name]) for name in _COUNTED), func.coalesce(func.sum(table.c.cost), 0.0)]


def _agree(there: _Row | None, sums: _Row | None, durations: _Row | None, events: _Row | None) -> bool:
    """Return whether an hour's requests, sums and counts agree; a cost depends on the order of the addition."""
    if there is None or sums is None or durations is None:
        return there is sums is durations is events
    count, begun, *totals = there
    counts = (count, begun) == (durations[0], events[0] if events else 0)
    return counts and _is_same((count, *totals), sums)


def _is_same(one: _Row | None, other: _Row | None) -> bool:
    if one is None or other is None:
        return one is other
    return all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6) for a, b in zip(one, other, strict=True))
