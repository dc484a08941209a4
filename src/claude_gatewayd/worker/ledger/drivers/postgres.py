"""The ledger's PostgreSQL, as the writer writes it. Importing this loads psycopg, which takes 0.1 s: not at a start."""

import logging
import socket
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import psycopg
from psycopg import errors

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.failures import failure_of
from claude_gatewayd.ledger.sums import Sums, sums_of
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.ledger.drivers import statements
from claude_gatewayd.worker.ledger.drivers.connection import SENSELESS, RowsRefused, Unwritable

_CONNECT_WITHIN = 5  # seconds, for each address of the host
# In each transaction, as a pooler between us and the database gives each transaction another connection.
_LIMITS = (
    "SET LOCAL statement_timeout = '15s'; SET LOCAL lock_timeout = '5s'; "
    "SET LOCAL idle_in_transaction_session_timeout = '15s'"
)
_SQL = statements.of_postgres(statements.SCHEMA)
_USED_BY_ALL = statements.used_by_all(statements.SCHEMA)
# Its warnings are of connections that are lost, which the writer reports in words of its own.
logging.getLogger("psycopg").setLevel(logging.ERROR)
# What no upkeep mends: the server is gone, busy, full or read-only.
_OUTAGES = (
    psycopg.OperationalError,  # also class 53, 57 and 58: no resources, an administrator, a full disk
    errors.ReadOnlySqlTransaction,
    errors.TransactionRollback,
    errors.LockNotAvailable,
)


class PostgresConnection:
    """An open connection; see `connection.DatabaseConnection`."""

    def __init__(self, database: Database, *, is_shared: bool = False) -> None:
        self._database = database
        self._is_shared = is_shared
        with self._failures():
            self._connection = psycopg.connect(
                database.url,
                autocommit=True,
                connect_timeout=_CONNECT_WITHIN,
                application_name="claude-gatewayd",
                client_encoding="utf8",
                keepalives=1,
                keepalives_idle=30,
                keepalives_interval=10,
                keepalives_count=3,
                tcp_user_timeout=15_000,
                prepare_threshold=None,  # poolers forget prepared statements
            )
        # Others refuse a row for a letter that they lack.
        self._takes_any_text = self._connection.info.parameter_status("server_encoding") in ("UTF8", "SQL_ASCII")

    def write(self, records: Sequence[UsageRecord]) -> None:
        """Write rows and what they add to the sums, in one transaction."""
        with self._failures():
            rows = msgspec.json.encode(records).decode()
            if not self._takes_any_text:
                rows = rows.encode("ascii", "replace").decode()
                records = msgspec.json.decode(rows, type=list[UsageRecord])
            self._write(rows, sums_of(records))

    def _write(self, rows: str, sums: Sums) -> None:
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(_LIMITS)
            cursor.execute(_SQL.insert.encode(), (rows,))
            cursor.executemany(_SQL.add_quarter.encode(), [key + added for key, added in sums.quarters])
            cursor.executemany(_SQL.add_latency.encode(), [(*key, added) for key, added in sums.latencies])
            if sums.key_quarters:
                cursor.executemany(_SQL.add_key_quarter.encode(), [key + added for key, added in sums.key_quarters])

    def known(self, ids: Collection[str]) -> set[str]:
        """Return those of the ids that are there."""
        return {row[0] for row in self._rows(_SQL.known, (list(ids),))}

    def is_current(self) -> bool:
        """Return whether the tables are of this version."""
        return self._rows(statements.revision_of(f"{statements.SCHEMA}.")) == [(statements.REVISION,)]

    def oldest(self) -> float | None:
        """Return when the oldest request began."""
        [(oldest,)] = self._rows(_SQL.oldest)
        return oldest if isinstance(oldest, float) else None

    def used(self, gateway: str, since: int) -> list[tuple[Any, ...]]:
        """Return a gateway's sums by quarter of an hour, from one on; or those of all that share with it."""
        if self._is_shared:
            return self._rows(_USED_BY_ALL, (gateway, gateway, since))
        return self._rows(_SQL.used, (gateway, since))

    def own(self, worker: str, since: float) -> Iterator[UsageRecord]:
        """Return a worker's rows."""
        for row in self._rows(_SQL.own, (since, worker)):
            yield UsageRecord(*row)

    def now(self) -> float:
        """Return the time by the database's clock, in seconds since the epoch."""
        [(now,)] = self._rows("SELECT extract(epoch FROM clock_timestamp())::double precision")
        return float(now)

    def named_keys(self) -> list[tuple[Any, ...]]:
        """Return all keys: digest, name, until when, revoked when, and limits."""
        return self._rows(_SQL.named_keys)

    def spent(self, first: int, last: int) -> list[tuple[Any, ...]]:
        """Return what each key has cost the AWS account in some quarters."""
        return self._rows(_SQL.spent, (first, last))

    def own_spent(self, worker: str, since: float, until: float) -> list[tuple[Any, ...]]:
        """Return the same of a worker's own requests."""
        return self._rows(_SQL.own_spent, (since, until, worker))

    def note_uses(self, uses: Sequence[tuple[str, float]]) -> None:
        """Note when keys were used last."""
        with self._failures(), self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(_LIMITS)
            cursor.executemany(_SQL.note_use.encode(), [(at, digest, at) for digest, at in sorted(uses)])

    def abort(self) -> None:
        """End what another thread waits for here: it finds the connection broken."""
        with suppress(OSError, psycopg.Error), socket.socket(fileno=self._connection.fileno()) as ours:
            try:
                ours.shutdown(socket.SHUT_RDWR)
            finally:
                ours.detach()

    def close(self) -> None:
        """Close it."""
        with suppress(psycopg.Error):
            self._connection.close()

    def _rows(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._failures(), self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(_LIMITS)
            return cursor.execute(statement.encode(), parameters).fetchall()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Raise the failures of this package in place of psycopg's."""
        try:
            yield
        except (psycopg.IntegrityError, psycopg.DataError, *SENSELESS) as error:
            raise RowsRefused from error
        except psycopg.Error as error:
            found = failure_of("write", self._database, error)
            raise Unwritable(found.why, is_odd=not isinstance(error, _OUTAGES), hint=found.hint) from None
