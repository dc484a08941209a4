"""The writer's SQL, for SQLite and PostgreSQL. Tests hold it against `schema`, which the writer must not import."""

from collections.abc import Sequence
from typing import NamedTuple

from claude_gatewayd.ledger.database import REVISION as REVISION
from claude_gatewayd.ledger.database import SCHEMA as SCHEMA
from claude_gatewayd.ledger.sums import KINDS, KeyQuarterKey, LatencyKey, QuarterKey, QuarterSums
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.usage import used

COLUMNS = UsageRecord.__struct_fields__


def revision_of(prefix: str) -> str:
    """Return the query for the revision of the tables."""
    return f"SELECT version_num FROM {prefix}alembic_version"


class Statements(NamedTuple):
    """What a transaction of rows consists of.

    *insert_some* inserts `AT_ONCE` rows: each statement lets go of the interpreter, and takes it back from the event
    loop. *known* finds which ids are there: SQLite is given `KNOWN_AT_ONCE` of them, PostgreSQL an array.
    """

    insert: str
    insert_some: str
    add_quarter: str
    add_latency: str
    add_key_quarter: str
    known: str
    oldest: str
    used: str
    own: str
    named_keys: str
    spent: str
    own_spent: str
    note_use: str


KNOWN_AT_ONCE = 500
AT_ONCE = 20  # SQLite 3.32, of 2020, and later take 32,766 parameters; more rows at once are no faster


def of_sqlite() -> Statements:
    """Return those with one parameter for each column."""
    insert = f"INSERT INTO requests ({', '.join(COLUMNS)}) VALUES ({_marks('?', COLUMNS)})"
    return _statements(
        "",
        "?",
        insert,
        insert + f", ({_marks('?', COLUMNS)})" * (AT_ONCE - 1),
        f"id IN ({_marks('?', range(KNOWN_AT_ONCE))})",
        "quarter >= ?",
    )


def of_postgres(schema: str) -> Statements:
    """Return those that take all rows of `requests` as one parameter, in JSON: a tenth of the work for us."""
    columns = ", ".join(COLUMNS)
    rows = f"json_populate_recordset(NULL::{schema}.requests, %s::json)"
    insert = f"INSERT INTO {schema}.requests ({columns}) SELECT {columns} FROM {rows}"
    return _statements(f"{schema}.", "%s", insert, insert, "id = ANY(%s)", "gateway = %s AND quarter >= %s")


def used_by_all(schema: str) -> str:
    """Return the query for what a gateway and those that it shares with have used: it is one of them, or none is."""
    shared = f"{schema}.shared_gateways"
    members = f"SELECT name FROM {shared} WHERE EXISTS (SELECT 1 FROM {shared} WHERE name = %s)"
    return (
        f"SELECT quarter, {', '.join(used.COLUMNS)} FROM {schema}.quarters "
        f"WHERE (gateway = %s OR gateway IN ({members})) AND quarter >= %s GROUP BY quarter"
    )


def _statements(prefix: str, mark: str, insert: str, insert_some: str, which: str, whose: str) -> Statements:
    kinds = ", ".join(f"'{kind}'" for kind in sorted(KINDS))
    return Statements(
        insert=insert,
        insert_some=insert_some,
        add_quarter=_addition(f"{prefix}quarters", QuarterKey._fields, QuarterSums._fields, mark),
        add_latency=_addition(f"{prefix}latencies", LatencyKey._fields, ("requests",), mark),
        add_key_quarter=_addition(f"{prefix}key_quarters", KeyQuarterKey._fields, QuarterSums._fields, mark),
        known=f"SELECT id FROM {prefix}requests WHERE {which}",
        oldest=f"SELECT min(started_at) FROM {prefix}requests",
        used=f"SELECT quarter, {', '.join(used.COLUMNS)} FROM {prefix}quarters WHERE {whose} GROUP BY quarter",
        own=f"SELECT {', '.join(COLUMNS)} FROM {prefix}requests "
        f"WHERE started_at >= {mark} AND substr(id, 12, 8) = {mark}",
        named_keys="SELECT s.digest, s.name, s.expires_at, k.revoked_at, k.bedrock, k.monthly_budget, "
        f"k.requests_per_minute FROM {prefix}key_secrets s JOIN {prefix}keys k ON k.name = s.name ORDER BY s.digest",
        spent=f"SELECT key_name, SUM(cost) FROM {prefix}key_quarters "
        f"WHERE quarter >= {mark} AND quarter < {mark} AND billing = 'aws' GROUP BY key_name",
        own_spent=f"SELECT key_name, SUM(cost) FROM {prefix}requests "
        f"WHERE started_at >= {mark} AND started_at < {mark} AND substr(id, 12, 8) = {mark} "
        f"AND billing = 'aws' AND key_name <> '' AND kind IN ({kinds}) GROUP BY key_name",
        note_use=f"UPDATE {prefix}key_secrets SET last_used_at = {mark} "
        f"WHERE digest = {mark} AND coalesce(last_used_at, 0) < {mark}",
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
