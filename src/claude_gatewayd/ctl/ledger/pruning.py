"""`ledger prune`: what the daemon does by itself each day, now; and the room that it leaves in SQLite's file."""

import time
from typing import NamedTuple

from sqlalchemy import func, select

from claude_gatewayd.ctl.ledger import opened
from claude_gatewayd.ctl.terminal.progress import Progress
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger import sqlite_files
from claude_gatewayd.ledger.database import SCHEMA, Database
from claude_gatewayd.ledger.maintenance import prune as upkeep
from claude_gatewayd.ledger.opening import driver_errors
from claude_gatewayd.ledger.schema import metadata, requests
from claude_gatewayd.ledger.sums import HOUR

_STEP = 1.0  # seconds between what is told
_BUSY_FOR = 60.0  # seconds that another prune is waited for
_DAY = 86400.0


class Pruned(NamedTuple):
    """What was removed, and the bytes that the database has, of which some are *free* for rows to come."""

    removed: int
    size: int
    free: int


def count(database: Database, before: float) -> int:
    """Return how many rows began in hours that ended before that. Raises GatewayError."""
    before -= before % HOUR
    with driver_errors("read", database), opened.reading(database).connect() as connection:
        older = select(func.count()).select_from(requests).where(requests.c.started_at < before)
        return connection.scalar(older) or 0


def prune(database: Database, before: float, *, vacuum: bool) -> Pruned:
    """Remove the hours that ended before that, and say what is left. Raises GatewayError."""
    removed = 0
    busy_since = time.monotonic()
    with driver_errors("prune", database), Progress("Pruning the ledger") as progress:
        engine = opened.writing(database)
        is_all = False
        while not is_all:
            now = before + _DAY  # and a day is kept
            gone, is_all = upkeep.prune(engine, 1, now, until=time.monotonic() + _STEP)
            removed += gone
            progress.detail = f"{removed:,} rows removed"
            if gone:
                busy_since = time.monotonic()
            elif not is_all and time.monotonic() - busy_since > _BUSY_FOR:
                raise GatewayError(
                    "cannot prune the ledger: another process is at it", "claude-gatewayctl ledger check"
                )
            elif not is_all:
                time.sleep(_STEP)
        if removed and database.file is not None:
            sqlite_files.forget_days(database.file)
        if vacuum:
            progress.detail = "giving the room back"
            _vacuum(database)
    with driver_errors("read", database), opened.reading(database).connect() as connection:
        return Pruned(removed, *opened.size_of(connection))


def _vacuum(database: Database) -> None:
    with opened.writing(database).connect() as connection:
        if database.file is None:
            tables = connection.execution_options(isolation_level="AUTOCOMMIT")
            for table in metadata.sorted_tables:
                tables.exec_driver_sql(f"VACUUM {SCHEMA}.{table.name}")
            return
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("VACUUM")
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
