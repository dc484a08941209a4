"""Which of the ledger's rows are compared."""

import sqlite3
from pathlib import Path

import pytest

from claude_gatewayd.ctl.usage.against import rows
from claude_gatewayd.ctl.usage.against.compare import AROUND, Counts, Scope
from claude_gatewayd.ledger import schema
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.opening import open_for_reading, open_for_writing
from claude_gatewayd.ledger.usage_record import UsageRecord

COLUMNS = UsageRecord.__struct_fields__
SCOPE = Scope(since=10_000.0, until=20_000.0, began=0.0, now=30_000.0)


def record(
    number: int, at: float, *, gateway: str = "ada@laptop", session: str = "one", tokens: int = 5
) -> UsageRecord:
    return UsageRecord(
        id=f"{number:024d}", started_at=at, gateway=gateway, kind="messages", status=200, session_id=session,
        message_id=f"msg_{number}", model_asked="sonnet", model_served="" if number % 2 else "opus",
        upstream="anthropic", input_tokens=tokens, cache_write_1h_tokens=2 * tokens,
    )  # fmt: skip


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """A ledger with a few requests."""
    database = Database(file=tmp_path / "ledger.sqlite3")
    assert database.file is not None
    sqlite3.connect(database.file).close()
    given = [
        record(1, 15_000.0),
        record(2, SCOPE.since - AROUND),
        record(3, SCOPE.since - AROUND - 1),
        record(4, SCOPE.until + AROUND),
        record(5, 16_000.0, tokens=0),
        record(6, 17_000.0, gateway="bob@desk", session="two"),
        record(7, 18_000.0, gateway="bob@desk", session="one"),
    ]
    engine = open_for_writing(database)
    with engine.begin() as connection:
        schema.metadata.create_all(connection)
        connection.execute(schema.requests.insert(), [{name: getattr(one, name) for name in COLUMNS} for one in given])
    engine.dispose()
    return database


def ids(database: Database, own: str | None, *sessions: str) -> list[str]:
    with open_for_reading(database).connect() as connection:
        return [row.message_id for row in rows.rows(connection, SCOPE, own, set(sessions))]


def test_all_of_the_time_and_around_it(database: Database) -> None:
    assert ids(database, None) == ["msg_2", "msg_1", "msg_6", "msg_7"]


def test_those_of_this_gateway_and_those_of_the_sessions(database: Database) -> None:
    """A PostgreSQL has the requests of everybody."""
    assert ids(database, "ada@laptop") == ["msg_2", "msg_1"]
    assert ids(database, "ada@laptop", "one") == ["msg_2", "msg_1", "msg_7"]


def test_a_row(database: Database) -> None:
    with open_for_reading(database).connect() as connection:
        before, row, *_ = rows.rows(connection, SCOPE, None, set())
        assert rows.first_at(connection) == SCOPE.since - AROUND - 1
    assert row == ("msg_1", "one", 15_000.0, "sonnet", "", "anthropic", False, Counts(1, 5, 0, 0, 0, 10))
    assert before.model == "opus"
