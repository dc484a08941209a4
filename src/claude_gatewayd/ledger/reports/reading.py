"""Read a report from the ledger that the configuration names, whether a daemon runs or not."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import SQLAlchemyError

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.database import SCHEMA, Database
from claude_gatewayd.ledger.opening import driver_errors, end_after, open_for_reading
from claude_gatewayd.ledger.schema import latencies, quarters, requests

_WITHIN = 300.0  # years of a busy database, on a busy machine
_TABLES = requests, quarters, latencies
T = TypeVar("T")


def read(database: Database, ask: Callable[[Connection], T], seconds: float = _WITHIN) -> T | None:
    """Return what *ask* finds in one state of the ledger; None where no daemon has made its tables yet.

    Raises GatewayError where it cannot be read, or where that takes so many *seconds*.
    """
    if database.file is not None and not database.file.exists():
        return None
    engine = open_for_reading(database, seconds=seconds)
    with driver_errors("read", database):
        with engine.connect() as connection:
            end_after(connection, seconds)
            try:
                return ask(connection)
            except SQLAlchemyError as error:
                cause = error
        _require_no_tables(database, cause, seconds)
    return None


def _require_no_tables(database: Database, cause: SQLAlchemyError, seconds: float) -> None:
    """Raise GatewayError if the tables are another version's, and *cause* if they are as they should be."""
    with open_for_reading(database, seconds=seconds).connect() as connection:
        known = inspect(connection)
        schema = SCHEMA if database.is_postgres else None
        there = {
            (table.name, column["name"])
            for table in _TABLES
            if known.has_table(table.name, schema=schema)
            for column in known.get_columns(table.name, schema=schema)
        }
    if not there:
        return
    wanted = [(table.name, column.name) for table in _TABLES for column in table.columns]
    if missing := [f"{table}.{column}" for table, column in wanted if (table, column) not in there]:
        raise GatewayError(
            f"cannot read the ledger {database.shown}: its tables are of another version of claude-gatewayd "
            f"(they have no {', '.join(missing)})",
            "claude-gatewayctl version",
        )
    raise cause
