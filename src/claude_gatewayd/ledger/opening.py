"""Open the ledger with SQLAlchemy, for reports, verbs and upkeep. Tables are those of `schema`, without a schema."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.failures import failure_of
from claude_gatewayd.ledger.schema import SCHEMA

CONNECT_WITHIN = 5  # seconds, for each address of the host
_STEPS_BETWEEN = 100_000  # of SQLite's machine, some milliseconds


def open_for_reading(database: Database, *, seconds: float = 30.0) -> Engine:
    """Return an engine that cannot write. Nothing is connected yet, no daemon need run.

    A transaction sees one state of the database. A lock, and on a PostgreSQL a statement, may take *seconds*.
    """
    if database.file is None:
        return _postgres(database, seconds, "; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    mode = "ro&immutable=1" if _is_at_rest(database.file) else "ro"
    return _sqlite(database.file, mode, seconds, "BEGIN")


def open_for_writing(database: Database, *, seconds: float = 30.0) -> Engine:
    """Return an engine whose transactions write. Nothing is connected yet, and a file has to exist.

    It waits up to *seconds* for a lock, and on a PostgreSQL for each statement.
    """
    if database.file is None:
        return _postgres(database, seconds, "")
    # a transaction that took the lock later would fail at once where it has read an older state
    return _sqlite(database.file, "rw", seconds, "BEGIN IMMEDIATE")


def end_after(connection: Connection, seconds: float) -> None:
    """Let a connection fail once it has read for so long: SQLite has no limit for a statement of its own."""
    inner = connection.connection.driver_connection
    if isinstance(inner, sqlite3.Connection):
        deadline = time.monotonic() + seconds
        inner.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN)


@contextmanager
def driver_errors(verb: str, database: Database) -> Iterator[None]:
    """Raise a driver's errors as a GatewayError, which says that *verb* failed and why."""
    try:
        yield
    except SQLAlchemyError as error:
        raise failure_of(verb, database, error).as_error() from None


def _is_at_rest(file: Path) -> bool:
    """Return whether nobody can be writing: in a directory that is read-only SQLite cannot make its -shm file."""
    return not os.access(file.parent, os.W_OK) and not file.with_name(f"{file.name}-wal").exists()


def _sqlite(file: Path, mode: str, seconds: float, begin: str) -> Engine:
    """Return an engine on a file. It begins transactions itself: the driver would not around CREATE TABLE."""
    uri = f"file:{quote(os.path.abspath(file))}?mode={mode}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(uri, timeout=seconds, isolation_level=None, check_same_thread=False, uri=True)

    engine = create_engine("sqlite+pysqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
    _at_each_begin(engine, begin)
    return engine


def _postgres(database: Database, seconds: float, more: str) -> Engine:
    """Return an engine whose limits are of each transaction: PgBouncer lends a connection for one only."""

    import psycopg  # here, for it takes 60 ms, and most have a file of SQLite

    def connect() -> psycopg.Connection[Any]:
        return psycopg.connect(  # the URL as it is: libpq reads it as it does for the writer
            database.url,
            connect_timeout=CONNECT_WITHIN,
            application_name="claude-gatewayd",
            client_encoding="utf8",  # of a database in SQL_ASCII, texts would come as bytes
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=int(1000 * seconds),
            prepare_threshold=None,  # the next connection that PgBouncer lends knows no prepared statement
        )

    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool, hide_parameters=True)
    _at_each_begin(engine, f"SET LOCAL statement_timeout = {int(1000 * seconds)}{more}")
    return engine.execution_options(schema_translate_map={None: SCHEMA})


def _at_each_begin(engine: Engine, statement: str) -> None:
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    event.listen(engine, "begin", begin)
