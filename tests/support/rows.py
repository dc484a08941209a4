"""The rows of a daemon's ledger, as they stand in its file."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from tests.support.daemon import Daemon, wait_until

_WITHIN = 30.0  # the tables are made by a process of its own, and the machine may be busy


def file_of(daemon: Daemon) -> Path:
    """Return its database."""
    return daemon.home / "s" / "claude-gateway" / "ledger.sqlite3"


def rows(daemon: Daemon, table: str = "requests") -> list[dict[str, Any]]:
    """Return what is there now, in the order of the ids."""
    order = "id" if table == "requests" else "quarter"
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(f"file:{file_of(daemon)}?mode=ro", uri=True)) as db,
    ):
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY {order}")]
    return []


def of_session(daemon: Daemon, session: str, count: int = 1) -> list[dict[str, Any]]:
    """Return the rows of a session once there are so many."""

    def found() -> list[dict[str, Any]]:
        return [row for row in rows(daemon) if row["session_id"] == session]

    wait_until(lambda: len(found()) >= count, _WITHIN, lambda: f"{rows(daemon)[-3:]}\n{daemon.describe()}")
    assert len(found()) == count
    return found()


def files(daemon: Daemon) -> Iterator[Path]:
    """Yield the database, its journal, and the files of rows that wait."""
    yield from file_of(daemon).parent.glob("ledger*")
