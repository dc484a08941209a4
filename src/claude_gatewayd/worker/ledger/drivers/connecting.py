"""Which driver writes to which database; each is loaded only where it is needed."""

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.worker.ledger.drivers.connection import DatabaseConnection, Unwritable


def connect(database: Database, *, is_shared: bool = False) -> DatabaseConnection:
    """Return an open connection. Raises Unwritable. *is_shared*: what is used counts for all that share."""
    if database.file is not None:
        from claude_gatewayd.worker.ledger.drivers.sqlite import SqliteConnection

        return SqliteConnection(database.file)
    try:
        from claude_gatewayd.worker.ledger.drivers.postgres import PostgresConnection
    except ImportError as error:
        raise Unwritable(f"cannot load psycopg: {error}") from None
    return PostgresConnection(database, is_shared=is_shared)
