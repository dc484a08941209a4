import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, select, text
from sqlalchemy.exc import DBAPIError

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import driver_errors, end_after, open_for_reading, open_for_writing
from claude_gatewayd.ledger.schema import requests
from tests.support.other_user import as_nobody, needs_root
from tests.support.postgres import PostgresServer
from tests.support.usage_records import put, usage_record


@contextmanager
def reading(database: Database, seconds: float = 30.0) -> Iterator[Connection]:
    """Yield a connection that reads, with errors as verbs show them."""
    with driver_errors("read", database), open_for_reading(database, seconds=seconds).connect() as connection:
        yield connection


def test_who_reads_cannot_write(database: Database) -> None:
    migrate(database)
    put(database, [usage_record(1.0)])
    with (
        open_for_reading(database).connect() as connection,
        pytest.raises(DBAPIError, match=r"read.?only"),
    ):
        connection.execute(delete(requests))


def test_who_reads_sees_one_state_and_holds_up_nobody(database: Database) -> None:
    migrate(database)
    put(database, [usage_record(1.0)])
    with reading(database) as connection:
        before = connection.execute(select(requests.c.id)).all()
        with open_for_writing(database, seconds=0.5).begin() as writing:
            writing.execute(delete(requests))
        assert connection.execute(select(requests.c.id)).all() == before
    with reading(database) as connection:
        assert connection.execute(select(requests.c.id)).all() == []


def test_a_path_may_have_any_characters(tmp_path: Path) -> None:
    database = Database(file=tmp_path / "a b?mode=memory#%41" / "ledger.sqlite3")
    migrate(database)
    put(database, [usage_record(1.0)])
    assert (tmp_path / "a b?mode=memory#%41" / "ledger.sqlite3").stat().st_size
    with reading(database) as connection:
        assert len(connection.execute(select(requests.c.id)).all()) == 1


def test_what_cannot_be_read(database: Database, postgres: PostgresServer) -> None:
    if database.file is not None:
        database.file.parent.mkdir()
        database.file.write_bytes(b"no database" * 100)
    else:
        postgres.stop()
    with pytest.raises(GatewayError, match="cannot read the ledger ") as raised, reading(database) as connection:
        connection.execute(select(requests))
    assert raised.value.hint


def test_a_statement_on_a_postgres_takes_so_long_at_most(postgres: PostgresServer) -> None:
    database = Database(url=postgres.new_database())
    with pytest.raises(GatewayError, match="it takes too long"), reading(database, seconds=0.2) as connection:
        connection.execute(text("SELECT pg_sleep(10)"))


def test_a_url_is_read_as_libpq_reads_it(postgres: PostgresServer) -> None:
    database = Database(url=f"{postgres.new_database()}?options=-c%20DateStyle%3DGerman&application_name=a+b%20c")
    with reading(database) as connection:
        assert connection.execute(text("SHOW DateStyle")).scalar() == "German, DMY"


def test_another_user_s_tables_can_be_used_once_an_administrator_allows_it(postgres: PostgresServer) -> None:
    owner = Database(url=postgres.new_database())
    migrate(owner)
    stranger = postgres.new_database()
    other = Database(url=f"{stranger.rpartition('/')[0]}/{owner.url.rpartition('/')[2]}")
    with pytest.raises(GatewayError, match="the user has no right to") as raised, reading(other) as connection:
        connection.execute(select(requests))
    for statement in raised.value.hint.split(" -c ")[1].strip("'").split("; "):
        postgres.execute(owner.url, statement)
    put(other, [usage_record(1.0)])
    with reading(other) as connection:
        assert len(connection.execute(select(requests.c.id)).all()) == 1


@needs_root
def test_a_copy_in_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    """Such as a backup: SQLite could not make the file that it shares with those who write."""
    database = Database(file=tmp_path / "ledger.sqlite3")
    migrate(database)
    put(database, [usage_record(1.0)])
    assert database.file is not None
    for name in os.listdir(tmp_path):
        if name != database.file.name:
            (tmp_path / name).unlink()
    database.file.chmod(0o644)
    for place in (tmp_path, *tmp_path.parents[:3]):
        place.chmod(place.stat().st_mode | 0o055)

    def read() -> str:
        with reading(database) as connection:
            return f"{connection.execute(text('SELECT count(*) FROM alembic_version')).scalar()}"

    assert as_nobody(read) == "1"


@pytest.mark.parametrize("seconds", [0.1, -1.0])
def test_a_file_is_not_read_for_ever(tmp_path: Path, seconds: float) -> None:
    """SQLite has no limit for a statement of its own."""
    database = Database(file=tmp_path / "ledger.sqlite3")
    migrate(database)
    endless = text("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")

    def read() -> None:
        with reading(database) as connection:
            end_after(connection, seconds)
            connection.execute(endless)

    with pytest.raises(GatewayError, match=r"cannot read the ledger .*: it takes too long"):
        read()
