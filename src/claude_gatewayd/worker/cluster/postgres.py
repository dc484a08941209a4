"""The connection that listens. Importing this loads psycopg: only the link's thread does, where there is a PostgreSQL.

It speaks with libpq directly, for psycopg's own methods wait for a server that hangs as long as that likes.
"""

import logging
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import psycopg
from psycopg import errors, pq

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.failures import LedgerFailure, failure_of

_CONNECT_WITHIN: Final = 5  # seconds, for each address of the host
_ANSWERS_WITHIN: Final = 10.0
_DONE: Final = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
# Its warnings are of connections that are lost, which the link reports in words of its own.
logging.getLogger("psycopg").setLevel(logging.ERROR)

Row = tuple[str | None, ...]


class DatabaseFailed(Exception):
    """The database cannot be used, as *failure* says."""

    def __init__(self, failure: LedgerFailure) -> None:
        super().__init__(failure.why)
        self.failure = failure


class SharedConnection:
    """An open connection, for one thread. Its methods raise DatabaseFailed; then it is of no more use."""

    def __init__(self, database: Database, *, answers_within: float = _ANSWERS_WITHIN) -> None:
        self._database = database
        self._answers_within = answers_within
        with self._failures():
            self._connection = psycopg.connect(
                database.url,
                autocommit=True,
                connect_timeout=_CONNECT_WITHIN,
                application_name="claude-gatewayd shared",
                client_encoding="utf8",
                keepalives=1,
                keepalives_idle=20,
                keepalives_interval=5,
                keepalives_count=3,
                tcp_user_timeout=15_000,
            )
            self._pg = self._connection.pgconn
            self._pg.nonblocking = 1
        self._notifications: list[str] = []

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._pg.socket

    def run(self, statement: str, *parameters: str) -> list[Row]:
        """Run one statement, in a transaction of its own, and return its rows as text."""
        with self._failures():
            deadline = time.monotonic() + self._answers_within
            self._pg.send_query_params(statement.encode(), [one.encode() for one in parameters])
            while self._pg.flush():
                self._wait_for_server(deadline, select.POLLIN | select.POLLOUT)
            return self._results(deadline)

    def _results(self, deadline: float) -> list[Row]:
        rows: list[Row] = []
        error: psycopg.Error | None = None
        while True:
            while self._pg.is_busy():
                self._wait_for_server(deadline, select.POLLIN)
            self._collect()
            if (result := self._pg.get_result()) is None:
                break
            if result.status not in _DONE:
                error = errors.error_from_result(result, "utf-8")
            rows += [tuple(map(_text, cells)) for cells in _cells(result)]
        if error is not None:
            raise error
        return rows

    def wait(self, wakes: int, seconds: float) -> None:
        """Wait until something has come, until the descriptor *wakes* can be read, or for so long."""
        poll = select.poll()
        poll.register(self._pg.socket, select.POLLIN)
        poll.register(wakes, select.POLLIN)
        poll.poll(max(0.0, 1000 * seconds))

    def notifications(self) -> list[str]:
        """Return what has come, and does not wait."""
        with self._failures():
            self._pg.consume_input()
            self._collect()
        found, self._notifications = self._notifications, []
        return found

    @property
    def is_pooled(self) -> bool:
        """Whether a pooler stands between us and the database: the process that serves us is not who greeted us."""
        [(pid,)] = self.run("SELECT pg_backend_pid()")
        return pid != str(self._pg.backend_pid)

    def close(self) -> None:
        """Close it."""
        with suppress(psycopg.Error):
            self._connection.close()

    def _collect(self) -> None:
        while (found := self._pg.notifies()) is not None:
            self._notifications.append(found.extra.decode(errors="replace"))

    def _wait_for_server(self, deadline: float, events: int) -> None:
        poll = select.poll()
        poll.register(self._pg.socket, events)
        if not (ready := poll.poll(max(0.0, 1000 * (deadline - time.monotonic())))):
            raise psycopg.OperationalError(f"it does not answer within {self._answers_within:g} s")
        if ready[0][1] & ~select.POLLOUT:
            self._pg.consume_input()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.Error, UnicodeError) as error:
            raise DatabaseFailed(failure_of("use", self._database, error)) from None


def _cells(result: pq.abc.PGresult) -> Iterator[Iterator[bytes | None]]:
    for row in range(result.ntuples):
        yield (result.get_value(row, column) for column in range(result.nfields))


def _text(cell: bytes | None) -> str | None:
    return None if cell is None else cell.decode()
