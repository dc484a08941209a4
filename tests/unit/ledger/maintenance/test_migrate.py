import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, exc, inspect, select, text
from sqlalchemy.sql.schema import SchemaConst

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.database import SCHEMA, Database
from claude_gatewayd.ledger.maintenance.migrate import head, keep_private, migrate
from claude_gatewayd.ledger.opening import open_for_reading, open_for_writing
from claude_gatewayd.ledger.schema import metadata, requests
from tests.support.postgres import PostgresServer
from tests.support.usage_records import put, usage_record

_NEXT = """
import sqlalchemy as sa
from alembic import op
revision = "next"
down_revision = "{head}"
def upgrade():
    op.add_column("requests", sa.Column("region", sa.Text, nullable=False, server_default=""))
    op.execute("UPDATE requests SET region = 'us' WHERE upstream = 'anthropic'")
    {more}
"""


@pytest.fixture
def more_revisions(tmp_path: Path) -> Path:
    """A folder with the revision that a next version might bring."""
    folder = tmp_path / "next%version"
    folder.mkdir()
    (folder / "next.py").write_text(_NEXT.format(head=head(), more=""))
    return folder


def tables(database: Database) -> set[str]:
    with open_for_reading(database).connect() as connection:
        return set(inspect(connection).get_table_names(schema=SCHEMA if database.is_postgres else None))


def test_the_tables_are_those_of_the_schema(database: Database) -> None:
    migrate(database)
    schema = SCHEMA if database.is_postgres else None
    expected = MetaData()
    for table in metadata.tables.values():
        table.to_metadata(expected, schema=schema or SchemaConst.RETAIN_SCHEMA)
    with open_for_reading(database).connect() as connection:
        options = {
            "version_table_schema": schema,
            "compare_type": True,
            "include_schemas": database.is_postgres,
            "include_name": lambda name, kind, _parents: kind != "schema" or name == schema,
        }
        assert compare_metadata(MigrationContext.configure(connection, opts=options), expected) == []
        assert inspect(connection).get_pk_constraint("quarters", schema=schema)["constrained_columns"] == [
            column.name for column in metadata.tables["quarters"].primary_key
        ]


def test_all_is_in_its_own_schema(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    migrate(Database(url=url))
    found = postgres.execute(url, "SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname !~ '^(pg_|information)'")
    assert found == [(SCHEMA,)]


def test_rows_stay_when_it_is_migrated_again(database: Database) -> None:
    migrate(database)
    put(database, [usage_record(1000.0)])
    migrate(database)
    with open_for_reading(database).connect() as connection:
        assert connection.execute(select(requests.c.started_at)).all() == [(1000.0,)]


def test_from_the_first_tables_to_the_next(database: Database, more_revisions: Path) -> None:
    migrate(database)
    put(database, [usage_record(1000.0), usage_record(2000.0, upstream="bedrock")])
    migrate(database, revisions=[more_revisions])
    prefix = f"{SCHEMA}." if database.is_postgres else ""
    with open_for_reading(database).connect() as connection:
        found = connection.execute(text(f"SELECT region FROM {prefix}requests ORDER BY started_at")).all()
        assert found == [("us",), ("",)]
    put(database, [usage_record(9000.0)])  # an older generation goes on


def test_a_newer_version_s_tables_are_left_alone(database: Database, more_revisions: Path) -> None:
    migrate(database, revisions=[more_revisions])
    with pytest.raises(GatewayError, match=r"a newer version of claude-gatewayd has made its tables .*next") as raised:
        migrate(database)
    assert raised.value.hint == "claude-gatewayctl upgrade"
    migrate(database, revisions=[more_revisions])


def test_what_fails_halfway_changes_nothing(database: Database, more_revisions: Path) -> None:
    migrate(database)
    broken = more_revisions / "next.py"
    broken.write_text(_NEXT.format(head=head(), more='op.execute("SELECT no_such_column FROM requests")'))
    with pytest.raises(exc.DBAPIError, match="no_such_column"):
        migrate(database, revisions=[more_revisions])
    schema = SCHEMA if database.is_postgres else None
    with open_for_reading(database).connect() as connection:
        assert "region" not in {column["name"] for column in inspect(connection).get_columns("requests", schema=schema)}
    broken.write_text(_NEXT.format(head=head(), more=""))
    migrate(database, revisions=[more_revisions])


_KILLED = """
import sys
from pathlib import Path
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.migrate import migrate
migrate(Database.of(sys.stdin.readline().strip()), revisions=[Path(sys.argv[1])])
"""


def test_who_is_killed_halfway_leaves_the_tables_as_they_were(database: Database, more_revisions: Path) -> None:
    migrate(database)
    put(database, [usage_record(1.0)])
    revision = more_revisions / "next.py"
    revision.write_text(_NEXT.format(head=head(), more="import os; os.kill(os.getpid(), 9)"))
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(more_revisions)],
        input=database.url or str(database.file), text=True, env={"PYTHONPATH": "src"}, timeout=60,
    )  # fmt: skip
    assert killed.returncode == -9
    migrate(database)
    revision.write_text(_NEXT.format(head=head(), more=""))
    migrate(database, revisions=[more_revisions])
    put(database, [usage_record(9000.0)])


def test_many_migrate_at_once(database: Database) -> None:
    together = threading.Barrier(4)

    def one() -> None:
        together.wait()
        migrate(database)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(one) for _ in range(4)]:
            done.result()
    assert tables(database) == {*metadata.tables, "alembic_version"}


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Keep the lock that a migration needs."""
    with open_for_writing(database).begin() as connection:
        if database.is_postgres:
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": 0x636C617564650001})
        yield


def test_a_lock_of_another_s_is_waited_for_so_long(database: Database, more_revisions: Path) -> None:
    migrate(database)
    with locked(database), pytest.raises(exc.OperationalError, match="lock"):
        migrate(database, seconds=0.2, revisions=[more_revisions])
    migrate(database, seconds=0.2, revisions=[more_revisions])


def test_no_lock_is_needed_where_there_is_nothing_to_do(database: Database) -> None:
    migrate(database)
    with locked(database):
        migrate(database, seconds=0.2)


def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    before = os.umask(0o000)
    try:
        database = Database(file=tmp_path / "new" / "ledger.sqlite3")
        migrate(database)
        with open_for_writing(database).begin() as connection:
            connection.execute(text("UPDATE requests SET status = 1"))
            found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
    finally:
        os.umask(before)
    assert found == {f"ledger.sqlite3{suffix}": 0o600 for suffix in ("", "-wal", "-shm")}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_file_that_others_could_read_no_longer_can_be(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    sqlite3.connect(file).close()
    file.touch()
    file.chmod(0o644)
    migrate(Database(file=file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_folder_of_another_kind_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    migrate(Database(file=tmp_path / "ledger.sqlite3"))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_what_is_no_file_keeps_its_mode(tmp_path: Path) -> None:
    """Root, with /dev/null as the ledger's file, took it from all others: here a pipe stands for the device."""
    device = tmp_path / "device"
    os.mkfifo(device)
    device.chmod(0o666)
    keep_private(device)
    assert stat.S_IMODE(device.stat().st_mode) == 0o666
    file = tmp_path / "file"
    file.touch(0o644)
    keep_private(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
