"""The ledger's SQLite file, as the writer writes it. The upkeep creates it."""

import sqlite3
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec.structs import astuple

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.failures import failure_of
from claude_gatewayd.ledger.sums import sums_of
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.ledger.drivers import statements
from claude_gatewayd.worker.ledger.drivers.connection import SENSELESS, RowsRefused, Unwritable

_LOCKED_FOR = 5.0  # seconds; nobody waits for us meanwhile
_SQL = statements.of_sqlite()
# What a mere outage gives: not so corruption, a missing file, or a missing table.
_OUTAGES = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH,
}  # fmt: skip
_BAD_ROWS = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)


class SqliteConnection:
    """An open file; see `connection.DatabaseConnection`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with self._failures():
            self._connection = sqlite3.connect(
                f"file:{quote(str(file))}?mode=rw",
                uri=True,
                timeout=_LOCKED_FOR,
                isolation_level=None,
                check_same_thread=False,  # it is closed, and aborted, from others
                cached_statements=16,
            )
            try:
                self._connection.execute("PRAGMA synchronous = NORMAL")  # in WAL mode only a power cut loses rows
                self._connection.execute("PRAGMA cache_size = -256")  # KiB: more is no faster
                self._inode = file.stat().st_ino
            except BaseException:
                self._connection.close()
                raise

    def write(self, records: Sequence[UsageRecord]) -> None:
        """Write rows and what they add to the sums, in one transaction."""
        with self._failures():
            sums = sums_of(records)
            if self._file.stat().st_ino != self._inode:
                raise Unwritable("another file has taken its place", is_odd=True)
            execute, execute_many = self._connection.execute, self._connection.executemany
            try:
                execute("BEGIN IMMEDIATE")
                whole = len(records) - len(records) % statements.AT_ONCE
                for start in range(0, whole, statements.AT_ONCE):
                    some = records[start : start + statements.AT_ONCE]
                    execute(_SQL.insert_some, list(chain.from_iterable(map(astuple, some))))
                execute_many(_SQL.insert, map(astuple, records[whole:]))
                execute_many(_SQL.add_quarter, (key + added for key, added in sums.quarters))
                execute_many(_SQL.add_latency, ((*key, added) for key, added in sums.latencies))
                if sums.key_quarters:
                    execute_many(_SQL.add_key_quarter, (key + added for key, added in sums.key_quarters))
                execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    with suppress(sqlite3.Error):
                        execute("ROLLBACK")
                raise

    def known(self, ids: Collection[str]) -> set[str]:
        """Return those of the ids that are there."""
        wanted = list(ids)
        found: set[str] = set()
        with self._failures():
            for start in range(0, len(wanted), statements.KNOWN_AT_ONCE):
                some = wanted[start : start + statements.KNOWN_AT_ONCE]
                some += [""] * (statements.KNOWN_AT_ONCE - len(some))
                found.update(row[0] for row in self._connection.execute(_SQL.known, some))
        return found

    def is_current(self) -> bool:
        """Return whether the tables are of this version."""
        return bool(self._single(statements.revision_of("")) == statements.REVISION)

    def oldest(self) -> float | None:
        """Return when the oldest request began."""
        oldest = self._single(_SQL.oldest)
        return oldest if isinstance(oldest, float) else None

    def used(self, gateway: str, since: int) -> list[tuple[Any, ...]]:  # noqa: ARG002 - as the protocol has it
        """Return the sums by quarter of an hour, from one on: a file is of one gateway, whatever it has been called."""
        with self._failures():
            return self._connection.execute(_SQL.used, (since,)).fetchall()

    def own(self, worker: str, since: float) -> Iterator[UsageRecord]:
        """Return a worker's rows."""
        with self._failures():
            for row in self._connection.execute(_SQL.own, (since, worker)):
                yield UsageRecord(*row)

    def now(self) -> float:
        """Return the time by the database's clock, in seconds since the epoch: a file has none of its own."""
        return time.time()

    def named_keys(self) -> list[tuple[Any, ...]]:
        """Return all keys: digest, name, until when, revoked when, and limits."""
        with self._failures():
            return self._connection.execute(_SQL.named_keys).fetchall()

    def spent(self, first: int, last: int) -> list[tuple[Any, ...]]:
        """Return what each key has cost the AWS account in some quarters."""
        with self._failures():
            return self._connection.execute(_SQL.spent, (first, last)).fetchall()

    def own_spent(self, worker: str, since: float, until: float) -> list[tuple[Any, ...]]:
        """Return the same of a worker's own requests."""
        with self._failures():
            return self._connection.execute(_SQL.own_spent, (since, until, worker)).fetchall()

    def note_uses(self, uses: Sequence[tuple[str, float]]) -> None:
        """Note when keys were used last."""
        with self._failures():
            self._connection.executemany(_SQL.note_use, [(at, digest, at) for digest, at in uses])

    def abort(self) -> None:
        """End what another thread waits for here."""
        with suppress(sqlite3.Error):
            self._connection.interrupt()

    def close(self) -> None:
        """Close it."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def _single(self, statement: str) -> Any:
        with self._failures():
            row = self._connection.execute(statement).fetchone()
        return row[0] if row else None

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Raise the failures of this package in place of those of sqlite3."""
        try:
            yield
        except (*_BAD_ROWS, *SENSELESS) as error:
            raise RowsRefused from error
        except (sqlite3.Error, OSError) as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            found = failure_of("write", Database(file=self._file), error)
            raise Unwritable(found.why, is_odd=code not in _OUTAGES, hint=found.hint) from None
