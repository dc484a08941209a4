"""What becomes of a file: locked, read-only, full, replaced, corrupt."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.job import job_for
from claude_gatewayd.ledger.maintenance.work import work
from claude_gatewayd.worker.ledger.drivers import sqlite
from claude_gatewayd.worker.ledger.drivers.connection import RowsRefused, Unwritable
from claude_gatewayd.worker.ledger.drivers.sqlite import SqliteConnection
from tests.unit.worker.ledger.fake_database import row, rows


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a ledger, in a directory whose name a URI would have to escape."""
    file = tmp_path / "100% odd?#" / "ledger.sqlite3"
    assert work(job_for(Database(file=file), "prepare")).outcome == "done"
    return file


@pytest.fixture
def connection(file: Path) -> Iterator[SqliteConnection]:
    with closing(SqliteConnection(file)) as connection:
        yield connection


def failure(connection: SqliteConnection) -> Unwritable:
    with pytest.raises(Unwritable) as caught:
        connection.write([row(999)])
    return caught.value


def fill(connection: SqliteConnection) -> None:
    for start in range(10, 10_000, 100):
        connection.write(rows(100, start))


def use(file: Path) -> None:
    with closing(SqliteConnection(file)) as connection:
        assert connection.is_current()
        connection.write(rows(500, 500))


def test_it_loads_no_sqlalchemy() -> None:
    code = (
        "import sys, claude_gatewayd.worker.ledger.ledger, claude_gatewayd.worker.ledger.drivers.sqlite;"
        "print([name for name in ('sqlalchemy', 'alembic', 'psycopg') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_a_lock_is_an_outage_that_ends(
    file: Path, connection: SqliteConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection._connection.execute("PRAGMA busy_timeout = 100")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found = failure(connection)
        assert (found.why, found.is_odd) == ("another process keeps it locked", False)
        other.execute("ROLLBACK")
    connection.write(rows(3))
    assert connection.known([row(1).id]) == {row(1).id}


def test_a_read_only_database_is_an_outage(connection: SqliteConnection) -> None:
    connection._connection.execute("PRAGMA query_only = on")
    found = failure(connection)
    assert (found.why, found.is_odd) == ("it is read-only", False)


def test_a_full_disk_is_an_outage_and_loses_nothing(connection: SqliteConnection) -> None:
    connection.write(rows(10))
    [(pages,)] = connection._connection.execute("PRAGMA page_count")
    connection._connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(Unwritable) as caught:
        fill(connection)
    assert (caught.value.why, caught.value.is_odd) == ("the disk is full", False)
    connection._connection.execute("PRAGMA max_page_count = 1000000")
    with pytest.raises(RowsRefused):
        connection.write(rows(10))
    connection.write(rows(100, 20_000))


@pytest.mark.parametrize("becomes", ["removed", "replaced"])
def test_rows_are_not_written_to_a_file_that_is_gone(file: Path, connection: SqliteConnection, becomes: str) -> None:
    connection.write(rows(3))
    file.rename(file.with_name("old"))
    if becomes == "replaced":
        work(job_for(Database(file=file), "prepare"))
    assert failure(connection).is_odd


@pytest.mark.parametrize("damage", ["header", "pages", "empty"])
def test_a_corrupt_file_is_no_outage(file: Path, damage: str) -> None:
    with closing(SqliteConnection(file)) as connection:
        connection.write(rows(500))
    data = bytearray(file.read_bytes())
    if damage == "header":
        data[:100] = b"\xff" * 100
    elif damage == "pages":
        data[4096:] = b"\xa5" * (len(data) - 4096)
    else:
        data.clear()
    for beside in ("-wal", "-shm"):
        file.with_name(file.name + beside).unlink(missing_ok=True)
    file.write_bytes(data)
    with pytest.raises(Unwritable) as caught:
        use(file)
    assert caught.value.is_odd


def test_what_waits_for_a_lock_can_be_interrupted(connection: SqliteConnection) -> None:
    connection.abort()
    connection.write(rows(1))
    assert sqlite._LOCKED_FOR < 30
