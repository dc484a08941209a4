"""Whether a PostgreSQL can hold the ledger, by what it says of itself."""

import shlex

import pytest

from claude_gatewayd.ctl.ledger import postgres as looked_at
from claude_gatewayd.ctl.ledger.postgres import Rights, find_trouble, judge
from claude_gatewayd.ledger import schema
from claude_gatewayd.ledger.database import Database
from tests.support.daemon import free_port
from tests.support.postgres import PostgresServer

GOOD = Rights(
    "ada", "litellm", is_read_only=False, may_create=True, has_schema=False, closed_tables=0, may_use=True
)  # fmt: skip


@pytest.mark.parametrize(
    ("rights", "why"),
    [
        (GOOD, ""),
        (GOOD._replace(has_schema=True, may_create=False), ""),
        (GOOD._replace(is_read_only=True), "read-only"),
        (GOOD._replace(may_create=False), "may not create the schema"),
        (GOOD._replace(has_schema=True, may_use=False), "may not use the schema"),
        (GOOD._replace(has_schema=True, closed_tables=1), "may not read and write the tables"),
    ],
)
def test_what_is_wrong(rights: Rights, why: str) -> None:
    found, statement = judge(rights)
    assert why in found
    assert bool(found) == bool(statement) == bool(why)


def test_a_real_server_and_each_hint_helps(postgres: PostgresServer) -> None:
    url = postgres.new_database(may_create_schema=False)
    database = Database.of(url)
    for setup, why in (
        ("SELECT 1", "may not create the schema"),
        ("CREATE SCHEMA claude_gateway; REVOKE CREATE ON DATABASE \"{}\" FROM PUBLIC", "may not use the schema"),
        ("CREATE TABLE claude_gateway.requests (id text)", "may not read and write the tables"),
    ):  # fmt: skip
        postgres.execute(url, setup.format(url.rpartition("/")[2]))
        found = find_trouble(database)
        assert found is not None
        assert why in found.message
        postgres.execute(url, shlex.split(found.hint)[3])
        assert find_trouble(database) is None
    postgres.make_read_only(url)
    found = find_trouble(database)
    assert found is not None
    assert "read-only" in found.message
    postgres.execute(url, shlex.split(found.hint)[3])
    assert find_trouble(database) is None


def test_one_that_does_not_answer_and_a_wrong_password_are_told_without_it(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    password = url.split(":")[2].partition("@")[0]
    for changed in (url.replace(str(postgres.port), str(free_port())), url.replace(password, "sk-wrong")):
        found = find_trouble(Database.of(changed))
        assert found is not None
        assert "\n" not in found.message
        assert password not in found.message
        assert "sk-wrong" not in found.message


def test_the_tables_are_all_of_them() -> None:
    assert set(looked_at._TABLES) == {table.name for table in schema.metadata.sorted_tables}
