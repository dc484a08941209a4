import shlex
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg import OperationalError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.failures import LedgerFailure, as_administrator, failure_of
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import open_for_writing
from tests.support.postgres import PostgresServer


def failure(database: Database, statement: str = "SELECT 1", *, seconds: float = 2.0) -> LedgerFailure:
    """Return how a statement in a transaction fails."""
    engine = open_for_writing(database, seconds=seconds)
    with pytest.raises((SQLAlchemyError, OSError)) as raised, engine.begin() as connection:
        connection.execute(text(statement))
    return failure_of("write", database, raised.value)


def other_password(url: str) -> str:
    head, _, tail = url.partition("@")
    return f"{head.rpartition(':')[0]}:s3cret@{tail}"


def other_database(url: str) -> str:
    return f"{url.rpartition('/')[0]}/missing"


def other_user(url: str) -> str:
    return f"postgresql://nobody:s3cret@{url.partition('@')[2]}"


def unknown_parameter(url: str) -> str:
    return f"{url}?no_such_parameter=1"


@pytest.mark.parametrize(
    ("change", "severity", "why"),
    [
        (other_password, "refused", "password authentication failed for user"),
        (other_user, "refused", 'password authentication failed for user "nobody"'),
        (other_database, "refused", 'database "missing" does not exist'),
        (unknown_parameter, "refused", "its URL is not one that PostgreSQL's library takes"),
    ],
)
def test_nobody_is_let_in(postgres: PostgresServer, change: Callable[[str], str], severity: str, why: str) -> None:
    database = Database(url=change(postgres.new_database()))
    found = failure(database)
    assert found.severity == severity
    assert found.message.startswith(f"cannot write the ledger {database.shown}: {why}")
    assert "\n" not in found.message
    assert "s3cret" not in f"{found}"
    assert shlex.split(found.hint)[0] == "psql"
    assert shlex.split(found.hint)[1].partition("?")[0] == database.shown


@pytest.mark.parametrize(
    ("statement", "severity", "why"),
    [
        ("CREATE SCHEMA claude_gateway", "refused", "the user has no right to (permission denied for database"),
        ("SELECT * FROM requests", "refused", "its tables are missing"),
        (
            "CREATE TEMP TABLE x (); CREATE TEMP TABLE x ()",
            "refused",
            "has tables that are not the gateway's (relation",
        ),
        ("SELECT pg_sleep(10)", "later", "it takes too long"),
        ("DO $$ BEGIN RAISE SQLSTATE '53100' USING MESSAGE = 'No space left'; END $$", "later", "its disk is full (No"),
        ("SELECT pg_terminate_backend(pg_backend_pid())", "later", "terminating connection"),
        ("SELECT 1/0", "later", "division by zero"),
    ],
)
def test_what_a_postgres_refuses(postgres: PostgresServer, statement: str, severity: str, why: str) -> None:
    found = failure(Database(url=postgres.new_database(may_create_schema=False)), statement, seconds=0.5)
    assert found.severity == severity
    assert why in found.message


def test_who_may_not_create_a_schema_is_given_what_an_administrator_runs(postgres: PostgresServer) -> None:
    database = Database(url=postgres.new_database(may_create_schema=False))
    with pytest.raises(SQLAlchemyError) as raised:
        migrate(database)
    hint = failure_of("prepare", database, raised.value).hint
    statement = hint.split(" -c ")[1].strip("'")
    assert hint.startswith(f"psql postgresql://postgres@127.0.0.1:{postgres.port}/db_")
    for one in statement.split("; "):
        postgres.execute(database.url, one)
    migrate(database)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("postgresql://me:s3cret@[::1]:5433/db", "postgresql://postgres@[::1]:5433/db"),
        ("postgresql://me:s3cret@h/db?sslmode=require", "postgresql://postgres@h/db?sslmode=require"),
        ("postgresql:///db?host=/run/postgresql", "postgresql://postgres@/db?host=/run/postgresql"),
    ],
)
def test_an_administrators_command_leads_to_the_same_server(url: str, where: str) -> None:
    assert shlex.split(as_administrator(Database(url=url), "SELECT 1")) == ["psql", where, "-c", "SELECT 1"]


def test_a_postgres_that_is_read_only_or_gone_or_hangs(postgres: PostgresServer) -> None:
    database = Database(url=postgres.new_database())
    postgres.make_read_only(database.url)
    found = failure(database, "CREATE SCHEMA claude_gateway")
    assert (found.severity, "it is read-only" in found.message) == ("later", True)
    postgres.pause()
    assert failure(database).severity == "later"
    postgres.resume()
    postgres.stop()
    found = failure(database)
    assert (found.severity, "Connection refused" in found.message) == ("later", True)


def test_a_postgres_with_too_many_connections(postgres: PostgresServer) -> None:
    database = Database(url=postgres.new_database())
    postgres.execute(database.url, f'ALTER ROLE "{database.url.rpartition("/")[2]}" CONNECTION LIMIT 0')
    found = failure(database)
    assert (found.severity, "too many connections" in found.message) == ("later", True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('connection failed: connection to server at "::1", port 1 failed: Connection refused\n\tIs the server running',
         "Connection refused"),
        ("Multiple connection attempts failed. All failures were:\n"
         "- host: 'a', port: '1', hostaddr: '::1': connection failed: connection to server at ::1 failed: No\n"
         "- host: 'a', port: '1', hostaddr: '1.2.3.4': connection timeout expired", "connection timeout expired"),
        ('connection to server on socket "/run/x" failed: FATAL:  the database system is starting up',
         "the database system is starting up"),
        ("\n \n", "it gives no reason"),
    ],
)  # fmt: skip
def test_the_words_of_libpq(text: str, why: str) -> None:
    assert failure_of("write", Database(url="postgresql://h/db"), OperationalError(text)).why == why


def sqlite(tmp_path: Path) -> Database:
    database = Database(file=tmp_path / "ledger.sqlite3")
    migrate(database)
    return database


def test_a_file_that_is_locked(tmp_path: Path) -> None:
    database = sqlite(tmp_path)
    with open_for_writing(database).begin():
        found = failure(database, seconds=0.1)
    assert (found.severity, "another process keeps it locked" in found.message) == ("later", True)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    found = failure(Database(file=tmp_path / "missing"))
    assert (found.severity, found.hint) == ("later", f"ls -ld {tmp_path} {tmp_path / 'missing'}")


def test_a_file_without_tables(tmp_path: Path) -> None:
    file = tmp_path / "empty"
    file.touch()
    found = failure(Database(file=file), "SELECT * FROM requests")
    assert (found.severity, found.hint) == ("refused", "claude-gatewayctl reload")


def test_a_file_that_is_none_of_sqlite_s(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("not a database" * 100)
    assert failure(Database(file=file), "SELECT * FROM requests").severity == "corrupt"


def test_a_full_disk(tmp_path: Path) -> None:
    database = sqlite(tmp_path)
    assert database.file is not None
    connection = sqlite3.connect(database.file)
    connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(sqlite3.OperationalError) as raised:
        connection.execute("CREATE TABLE more AS SELECT zeroblob(1000000)")
    connection.close()
    found = failure_of("write", database, raised.value)
    assert (found.severity, found.hint) == ("later", f"df -h {tmp_path}")
    assert found.message == f"cannot write the ledger {database.file}: the disk is full"


def test_a_disk_that_refuses(tmp_path: Path) -> None:
    found = failure_of("prepare", Database(file=tmp_path / "x"), OSError(30, "Read-only file system"))
    assert (found.severity, found.message) == (
        "later",
        f"cannot prepare the ledger {tmp_path / 'x'}: read-only file system",
    )
