"""Copy the rows of one ledger to another: each once, however often it is begun, and while both are written.

Ids are unique, so what is there already is left out. The sums of the target grow by what is really added, in the same
transaction: they cannot be copied, as the target may have rows of other gateways in the same quarter.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from claude_gatewayd.ctl.ledger import opened
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.opening import driver_errors
from claude_gatewayd.ledger.schema import key_quarters, key_secrets, keys, latencies, quarters, requests
from claude_gatewayd.ledger.sums import Sums, sums_of
from claude_gatewayd.ledger.usage_record import UsageRecord

_LOOKED_AT = 10_000  # ids at a time
CHUNK = 1000  # rows: a daemon that writes to either waits some 0.1 s at most
_TRIES = 5


def copy_missing(source: Database, target: Database, tell: Callable[[int, int], None]) -> int:
    """Add to *target* the requests of *source* that it has not, and return how many.

    *tell* hears of each chunk how many were looked at, and added. Raises GatewayError; what was added by then stays.
    """
    seen = added = 0
    reading, writing = opened.reading(source), opened.writing(target)
    there = opened.reading(target)
    after = ""
    while ids := _ids(source, reading, requests.c.id > after):
        known = set(_ids(target, there, requests.c.id.between(ids[0], ids[-1]), most=None))
        missing = [one for one in ids if one not in known]
        for start in range(0, len(missing), CHUNK):
            piece = missing[start : start + CHUNK]
            with driver_errors("read", source), reading.connect() as connection:
                records = [
                    as_record(row) for row in connection.execute(select(requests).where(requests.c.id.in_(piece)))
                ]
            with driver_errors("write", target):
                added += add(writing, records)
            tell(seen + start + len(piece), added)
        seen += len(ids)
        after = ids[-1]
        tell(seen, added)
    return added


def copy_keys(source: Database, target: Database) -> int:
    """Add to *target* the named keys of *source* whose names it has not; return how many. Raises GatewayError.

    A name that both have is left as the target has it: its keys may be others.
    """
    with driver_errors("read", source), opened.reading(source).connect() as connection:
        names = [row._asdict() for row in connection.execute(select(keys))]
        secrets = [row._asdict() for row in connection.execute(select(key_secrets))]
    with driver_errors("write", target), opened.writing(target).begin() as connection:
        there = set(connection.scalars(select(keys.c.name)))
        missing = [row for row in names if row["name"] not in there]
        _insert(connection, keys, missing)
        _insert(connection, key_secrets, [row for row in secrets if row["name"] not in there])
    return len(missing)


def add_sums(connection: Connection, sums: Sums) -> None:
    """Add sums to those that are there, in their order: who writes the same rows cannot deadlock."""
    _add_to(connection, quarters, [key._asdict() | sum_._asdict() for key, sum_ in sums.quarters])
    _add_to(connection, key_quarters, [key._asdict() | sum_._asdict() for key, sum_ in sums.key_quarters])
    _add_to(connection, latencies, [key._asdict() | {"requests": count} for key, count in sums.latencies])


def as_record(row: Any) -> UsageRecord:
    """Return a row of `requests` as what it was made of."""
    return UsageRecord(**row._mapping)


def _ids(database: Database, engine: Engine, chosen: ColumnElement[bool], most: int | None = _LOOKED_AT) -> list[str]:
    """Return ids in their order. Short transactions: a long one would keep SQLite's WAL from shrinking."""
    with driver_errors("read", database), engine.connect() as connection:
        return list(connection.scalars(select(requests.c.id).where(chosen).order_by(requests.c.id).limit(most)))


def add(target: Engine, records: Sequence[UsageRecord]) -> int:
    """Add the requests that are not there, with their sums; return how many. Raises SQLAlchemyError.

    A daemon may add one of them at the same time, from its spill file: then all of it is done again.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            with target.begin() as connection:
                known = set(connection.scalars(select(requests.c.id).where(requests.c.id.in_([r.id for r in records]))))
                missing = [record for record in records if record.id not in known]
                if missing:
                    rows = [_values(record, connection.dialect.name) for record in missing]
                    connection.execute(requests.insert(), rows)
                    add_sums(connection, sums_of(UsageRecord(**row) for row in rows))
                return len(missing)
        except IntegrityError:
            if not tries_left:
                raise
    raise AssertionError


def _values(record: UsageRecord, dialect: str) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in record.__struct_fields__}
    if dialect == "postgresql":  # which takes no NUL in a text
        return {
            name: v.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(v, str) else v
            for name, v in values.items()
        }
    return values


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(table.insert(), rows)


def _add_to(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    insert = make(table)
    keys = [column.name for column in table.primary_key]
    others = [column.name for column in table.columns if column.name not in keys]
    added = {name: table.c[name] + insert.excluded[name] for name in others}
    connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=added), rows)
