"""The writer's SQL, for SQLite and PostgreSQL. Tests hold it against `schema`, which the writer must not import."""

from collections.abc import Sequence
from typing import NamedTuple

from claude_gatewayd.ledger.sums import LatencyKey, QuarterKey, QuarterSums
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.usage import used

SCHEMA = "claude_gateway"
HEAD = "0001"
COLUMNS = UsageRecord.__struct_fields__


def revision_of(prefix: str) -> str:
    """Return the query for the revision of the tables."""
    return f"SELECT version_num FROM {prefix}alembic_version"


class Statements(NamedTuple):
    """What a transaction of rows consists of.

    *known* finds which ids are there: SQLite is given as many of them as *known_at_once*, PostgreSQL an array. *used*
    are a gateway's sums by quarter of an hour, *own* the rows of one worker, by its part of their ids.
    """

    insert: str
    add_quarter: str
    add_latency: str
    known: str
    oldest: str
    used: str
    own: str


KNOWN_AT_ONCE = 500  # SQLite takes 999 parameters at least


def of_sqlite() -> Statements:
    """Return those with one parameter for each column."""
    return _statements(
        "",
        "?",
        f"INSERT INTO requests ({', '.join(COLUMNS)}) VALUES ({_marks('?', COLUMNS)})",
        f"id IN ({_marks('?', range(KNOWN_AT_ONCE))})",
    )


def of_postgres(schema: str) -> Statements:
    """Return those that take all rows of `requests` as one parameter, in JSON: a tenth of the work for us."""
    columns = ", ".join(COLUMNS)
    rows = f"json_populate_recordset(NULL::{schema}.requests, %s::json)"
    return _statements(
        f"{schema}.", "%s", f"INSERT INTO {schema}.requests ({columns}) SELECT {columns} FROM {rows}", "id = ANY(%s)"
    )


def _statements(prefix: str, mark: str, insert: str, which: str) -> Statements:
    return Statements(
        insert=insert,
        add_quarter=_addition(f"{prefix}quarters", QuarterKey._fields, QuarterSums._fields, mark),
        add_latency=_addition(f"{prefix}latencies", LatencyKey._fields, ("requests",), mark),
        known=f"SELECT id FROM {prefix}requests WHERE {which}",
        oldest=f"SELECT min(started_at) FROM {prefix}requests",
        used=f"SELECT quarter, {', '.join(used.COLUMNS)} FROM {prefix}quarters "
        f"WHERE gateway = {mark} AND quarter >= {mark} GROUP BY quarter",
        own=f"SELECT {', '.join(COLUMNS)} FROM {prefix}requests "
        f"WHERE started_at >= {mark} AND substr(id, 12, 8) = {mark}",
    )


def _addition(table: str, keys: Sequence[str], sums: Sequence[str], mark: str) -> str:
    """Return the statement that makes a row, or adds to the one that is there."""
    added = ", ".join(f"{name} = old.{name} + excluded.{name}" for name in sums)
    columns = (*keys, *sums)
    return (
        f"INSERT INTO {table} AS old ({', '.join(columns)}) VALUES ({_marks(mark, columns)}) "
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {added}"
    )


def _marks(mark: str, values: Sequence[object]) -> str:
    return ", ".join(mark for _ in values)
