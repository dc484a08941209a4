"""Which of the ledger's rows are compared."""

import pytest

from claude_gatewayd.ctl.usage.against import rows
from claude_gatewayd.ctl.usage.against.compare import AROUND, Counts, Scope
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import open_for_reading, open_for_writing
from claude_gatewayd.ledger.usage_record import UsageRecord
from tests.support import ledger_rows

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
def filled(database: Database) -> Database:
    """A ledger with a few requests, in SQLite and in PostgreSQL."""
    migrate(database)
    engine = open_for_writing(database)
    given = [
        record(1, 15_000.0),
        record(2, SCOPE.since - AROUND),
        record(3, SCOPE.since - AROUND - 1),
        record(4, SCOPE.until + AROUND),
        record(5, 16_000.0, tokens=0),
        record(6, 17_000.0, gateway="bob@desk", session="two"),
        record(7, 18_000.0, gateway="bob@desk", session="one"),
    ]
    ledger_rows.write(engine, given)
    engine.dispose()
    return database


def ids(filled: Database, own: str | None, *sessions: str) -> list[str]:
    with open_for_reading(filled).connect() as connection:
        return [row.message_id for row in rows.rows(connection, SCOPE, own, set(sessions))]


def test_all_of_the_time_and_around_it(filled: Database) -> None:
    assert ids(filled, None) == ["msg_2", "msg_1", "msg_6", "msg_7"]


def test_those_of_this_gateway_and_those_of_the_sessions(filled: Database) -> None:
    """A PostgreSQL has the requests of everybody."""
    assert ids(filled, "ada@laptop") == ["msg_2", "msg_1"]
    assert ids(filled, "ada@laptop", "one") == ["msg_2", "msg_1", "msg_7"]


def test_a_row(filled: Database) -> None:
    with open_for_reading(filled).connect() as connection:
        before, row, *_ = rows.rows(connection, SCOPE, None, set())
        assert rows.first_at(connection) == SCOPE.since - AROUND - 1
    assert row == ("msg_1", "one", 15_000.0, "sonnet", "", "anthropic", False, Counts(1, 5, 0, 0, 0, 10))
    assert before.model == "opus"
