"""The writer's SQL has the tables, columns and keys of the schema, which the writer does not import."""

import re

import pytest

from claude_gatewayd.ledger import schema
from claude_gatewayd.ledger.maintenance import migrate
from claude_gatewayd.ledger.sums import KeyQuarterKey, LatencyKey, QuarterKey
from claude_gatewayd.worker.ledger.drivers import statements


def names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",")]


def test_the_columns_are_those_of_the_schema() -> None:
    assert list(statements.COLUMNS) == [column.name for column in schema.requests.columns]
    assert statements.SCHEMA == schema.SCHEMA


def test_the_revision_is_that_of_the_newest_migration() -> None:
    """With an older one the writer would have the tables made ready again and again, and write nothing."""
    assert migrate.head() == statements.REVISION


@pytest.mark.parametrize(
    ("sql", "prefix"),
    [(statements.of_sqlite(), ""), (statements.of_postgres(schema.SCHEMA), f"{schema.SCHEMA}.")],
    ids=["sqlite", "postgres"],
)
def test_statements_name_every_column_of_their_table(sql: statements.Statements, prefix: str) -> None:
    for statement, table in (
        (sql.insert, schema.requests),
        (sql.add_quarter, schema.quarters),
        (sql.add_latency, schema.latencies),
        (sql.add_key_quarter, schema.key_quarters),
    ):
        found = re.match(r"INSERT INTO (\S+) (?:AS old )?\(([^)]*)\)", statement)
        assert found is not None
        assert found[1] == f"{prefix}{table.name}"
        assert names(found[2]) == [column.name for column in table.columns]
    for statement, keys, table in (
        (sql.add_quarter, QuarterKey._fields, schema.quarters),
        (sql.add_latency, LatencyKey._fields, schema.latencies),
        (sql.add_key_quarter, KeyQuarterKey._fields, schema.key_quarters),
    ):
        found = re.search(r"ON CONFLICT \(([^)]*)\) DO UPDATE SET (.*)", statement)
        assert found is not None
        assert names(found[1]) == list(keys) == [column.name for column in table.primary_key]
        others = [column.name for column in table.columns if column.name not in keys]
        assert names(found[2]) == [f"{name} = old.{name} + excluded.{name}" for name in others]
