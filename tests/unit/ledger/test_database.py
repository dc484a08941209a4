from pathlib import Path

import pytest

from claude_gatewayd.config.model import LedgerConfig
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.database import Database, database_of

STATE = {"HOME": "/home/me", "XDG_STATE_HOME": "/state"}
STRAY = {**STATE, "DATABASE_URL": "postgresql://litellm:litellm@localhost:47432/litellm"}
PRISMA = "postgres://llm:p%40ss@db/llm?connection_limit=5&pool_timeout=10&schema=public&sslmode=require"


@pytest.mark.parametrize("environ", [STATE, STRAY])
def test_without_a_url_it_is_sqlite_whatever_another_program_s_variable_says(environ: dict[str, str]) -> None:
    found = database_of(LedgerConfig(), environ)
    assert found == Database(file=Path("/state/claude-gateway/ledger.sqlite3"))
    assert not found.is_postgres


@pytest.mark.parametrize(
    ("config", "environ", "url"),
    [
        (LedgerConfig(url="postgresql://a@h/b"), STRAY, "postgresql://a@h/b"),
        (LedgerConfig(url="postgres://a@h/b"), STATE, "postgresql://a@h/b"),
        (LedgerConfig(url="postgresql+psycopg://a@h/b"), STATE, "postgresql://a@h/b"),
        (LedgerConfig(url="postgresql://a@h/b", use_database_url=True), STRAY, "postgresql://a@h/b"),
        (LedgerConfig(use_database_url=True), STRAY, STRAY["DATABASE_URL"]),
        (
            LedgerConfig(use_database_url=True),
            {"DATABASE_URL": PRISMA},
            "postgresql://llm:p%40ss@db/llm?sslmode=require",
        ),
    ],
)
def test_a_postgres(config: LedgerConfig, environ: dict[str, str], url: str) -> None:
    assert database_of(config, environ) == Database(url=url)


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": " "}, "DATABASE_URL is not set"),
        (
            {"DATABASE_URL": "mysql://me:secret@h/db"},
            'DATABASE_URL must be the URL of a PostgreSQL, not "mysql://***@h/db"',
        ),
        ({"DATABASE_URL": "file:dev.db"}, "DATABASE_URL must be the URL of a PostgreSQL"),
    ],
)
def test_a_variable_that_names_none(environ: dict[str, str], why: str) -> None:
    with pytest.raises(GatewayError, match="cannot find the ledger: ") as raised:
        database_of(LedgerConfig(use_database_url=True), environ)
    assert why in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@h:1/db", "postgresql://me@h:1/db"),
        ("postgresql://me@h/db?sslmode=require", "postgresql://me@h/db"),
        ("postgresql:///db", "postgresql:///db"),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    database = Database(url=url)
    assert database.shown == shown
    assert "secret" not in repr(database)
    assert "secret" not in database.without_password(f"a driver's words with {url}")


def test_a_driver_s_words_may_have_the_password_as_it_is_or_as_the_url_has_it() -> None:
    database = Database(url="postgresql://me:p%40ss@h/db")
    assert database.without_password("p@ss, p%40ss, postgresql://me:p%40ss@h/db") == "***, ***, ***"


def test_an_argument_names_either() -> None:
    assert Database.of("postgres://me@h/db").url == "postgresql://me@h/db"
    assert Database.of("/tmp/other.sqlite3") == Database(file=Path("/tmp/other.sqlite3"))
    with pytest.raises(GatewayError, match="must be the URL of a PostgreSQL"):
        Database.of("mysql://h/db")
