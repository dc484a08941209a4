"""The ledger of this configuration, for a verb: which database, opened, and how large."""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, Engine, text

from claude_gatewayd.config import loading as config
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.database import SCHEMA, Database, database_of
from claude_gatewayd.ledger.opening import open_for_reading, open_for_writing

_SECONDS = 300.0  # for a statement over a million rows, on a busy machine


def configured(environ: Mapping[str, str]) -> Database:
    """Return the ledger's database. Raises GatewayError, ConfigInvalid."""
    return database_of(config.load(environ).ledger, environ)


def reading(database: Database) -> Engine:
    """Return an engine that reads it. Raises GatewayError where there is no file yet."""
    _require_file(database)
    return open_for_reading(database, seconds=_SECONDS)


def writing(database: Database) -> Engine:
    """Return an engine that writes it. Raises GatewayError where there is no file yet."""
    _require_file(database)
    return open_for_writing(database, seconds=_SECONDS)


def _require_file(database: Database) -> None:
    if database.file is not None and not database.file.exists():
        raise GatewayError(
            f"cannot read the ledger {database.shown}: nothing has been recorded yet", "claude-gatewayctl status"
        )


class Size(NamedTuple):
    """The bytes of a database, and those of them that wait for rows to come."""

    size: int
    free: int


def size_of(connection: Connection) -> Size:
    """Return how large the ledger is. Raises SQLAlchemyError."""
    if connection.dialect.name == "postgresql":
        tables = "FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace(:schema)"
        size = f"SELECT coalesce(sum(pg_total_relation_size(oid)), 0) {tables}"
        return Size(int(connection.scalar(text(size), {"schema": SCHEMA}) or 0), 0)
    page, pages, free = (
        int(connection.scalar(text(f"PRAGMA {name}")) or 0) for name in ("page_size", "page_count", "freelist_count")
    )
    return Size(page * pages, page * free)
