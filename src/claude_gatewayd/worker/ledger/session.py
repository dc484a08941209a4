"""The database over time: connected when it is needed, made ready when it is not, and left after a failure."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.ledger.drivers.connection import DatabaseConnection, RowsRefused, Unwritable
from claude_gatewayd.worker.ledger.drivers.once import Written, write_once
from claude_gatewayd.worker.ledger.upkeep import Upkeep

logger = logging.getLogger(__name__)

_DAY = 86400.0


class View(Protocol):
    """Who reads the database between two batches."""

    @property
    def is_due(self) -> bool:
        """Whether it is time to read."""

    def wrote(self, records: Sequence[UsageRecord], new: int) -> None:
        """Take note of rows that are there now; so many of them are new."""

    def read(self, source: DatabaseConnection, /) -> None:
        """Read what there is. Raises Unwritable, RowsRefused."""


class Session:
    """Write to the database. One thread does, and may wait long; `abort` is for another one."""

    def __init__(
        self,
        connect: Callable[[], DatabaseConnection],
        upkeep: Upkeep,
        keep_days: int,
        views: Sequence[View],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._connect = connect
        self._upkeep = upkeep
        self._keep_days = keep_days
        self._views = views
        self._now = now
        self._connection: DatabaseConnection | None = None
        self._is_suspect = False
        self._looked_for_old_at = 0.0
        self.set_aside = ""  # where a corrupt file is now

    def write(self, records: Sequence[UsageRecord]) -> Written:
        """Write rows, none to find out whether it could. Raises Unwritable."""
        try:
            connection = self._connection or self._open()
            written = write_once(connection, records) if records else Written(0)
            for view in self._views:
                view.wrote(records, written.rows)
            self._prune_daily(connection)
            self._look(connection)
        except Unwritable as error:
            self._is_suspect = self._is_suspect or (error.is_odd and self._connection is not None)
            self.close()
            raise
        return written

    def abort(self) -> None:
        """End what `write` waits for."""
        if (connection := self._connection) is not None:
            connection.abort()

    def close(self) -> None:
        """Leave the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _look(self, connection: DatabaseConnection) -> None:
        """Read the keys, and what all others have used. A failure is none of the rows', which are written."""
        try:
            for view in self._views:
                if view.is_due:
                    view.read(connection)
        except (Unwritable, RowsRefused):
            self.close()

    def _open(self) -> DatabaseConnection:
        connection = None if self._is_suspect else self._connect_if_current()
        if connection is None:
            self._prepare()
            connection = self._connect_if_current()
        if connection is None:
            raise Unwritable("its tables are of another version of claude-gatewayd", is_final=True)
        self._connection = connection
        return connection

    def _connect_if_current(self) -> DatabaseConnection | None:
        """Return a connection to a database of this version; None if it has to be made ready. Raises Unwritable."""
        try:
            connection = self._connect()
        except Unwritable as error:
            if error.is_odd:
                return None
            raise
        try:
            if connection.is_current():
                return connection
        except Unwritable as error:
            if not error.is_odd:
                connection.close()
                raise
        connection.close()
        return None

    def _prepare(self) -> None:
        report = self._upkeep.prepare(is_suspect=self._is_suspect)
        if report.set_aside:
            self.set_aside = report.set_aside
            logger.warning("the ledger was corrupt: it is now %s, and a new one is begun", report.set_aside)
        if report.outcome != "done":
            raise Unwritable(report.why or report.message, hint=report.hint, is_final=report.outcome != "later")
        self._is_suspect = False

    def _prune_daily(self, connection: DatabaseConnection) -> None:
        now = self._now()
        if self._keep_days and abs(now - self._looked_for_old_at) >= _DAY:
            self._looked_for_old_at = now
            oldest = connection.oldest()
            if oldest is not None and oldest < now - self._keep_days * _DAY:
                self._upkeep.prune_soon()
