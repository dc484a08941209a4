"""The ledger, as the rest of the worker knows it: something that takes a row for each request, and costs nothing."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Any

from claude_gatewayd import paths
from claude_gatewayd.config.model import LedgerConfig
from claude_gatewayd.errors import GatewayError, run_hint
from claude_gatewayd.ledger.database import database_of
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.ledger.drivers.connecting import connect
from claude_gatewayd.worker.ledger.hand import Hand
from claude_gatewayd.worker.ledger.session import Session, View
from claude_gatewayd.worker.ledger.spill import Spill
from claude_gatewayd.worker.ledger.state import LedgerSnapshot
from claude_gatewayd.worker.ledger.upkeep import Upkeep
from claude_gatewayd.worker.ledger.writer import MOST_WAITING, Writer
from claude_gatewayd.worker.usage.ledger_view import LedgerView
from claude_gatewayd.worker.usage.used import ByQuarter

logger = logging.getLogger(__name__)

_CLOSES_WITHIN = 5.0


class Ledger:
    """Take rows on the event loop; a thread writes them, and reads for *view* and *others*. Off, it forgets rows.

    *is_shared*: what other gateways of the same cluster have used is read, too.
    """

    def __init__(
        self,
        config: LedgerConfig,
        environ: Mapping[str, str],
        view: LedgerView,
        *others: View,
        is_shared: bool = False,
    ) -> None:
        self._rows: deque[UsageRecord] = deque()
        self._dropped = 0
        self._view = view
        self._views = (view, *others)
        self._writer: Writer | None = None
        self._why = "[ledger] enabled is false"
        if not config.enabled:
            return
        try:
            self._database = database_of(config, environ)
        except GatewayError as error:  # requests are served without a ledger
            self._why = error.message
            logger.warning("the ledger is off: %s%s", error.message, run_hint(error.hint))
            return
        self._spill = Spill(paths.ledger_spill_dir(environ))
        self._upkeep = Upkeep(self._database, config.keep_days, environ)
        self._session = Session(
            partial(connect, self._database, is_shared=is_shared), self._upkeep, config.keep_days, self._views
        )
        self._writer = Writer(self._rows, self._spill, Hand(self._session), paths.ledger_spill_dir(environ))

    def record(self, record: UsageRecord) -> None:
        """Take a row. Never blocks and never raises: on the path of every request."""
        if (writer := self._writer) is None:
            return
        if (waiting := len(self._rows)) < MOST_WAITING:
            self._rows.append(record)
            if waiting >= writer.wakes_at:  # looked at after the row is there: see `Writer._pause`
                writer.wake()
        else:
            self._dropped += 1

    @property
    def written(self) -> ByQuarter:
        """What this worker's rows that are in the database have used."""
        return self._view.written

    def look(self) -> None:
        """Have what others have used read, if it is time: nothing may have been written for long."""
        if (writer := self._writer) is not None and writer.sleeps and any(view.is_due for view in self._views):
            writer.look()

    def look_now(self) -> None:
        """Have the database looked at without waiting for what there is to write."""
        if self._writer is not None:
            self._writer.look()

    async def start(self) -> None:
        """Begin to write."""
        if self._writer is not None:
            self._writer.start()

    async def close(self) -> None:
        """Write what waits, for a limited time, and leave the rest in a file."""
        if self._writer is not None:
            await asyncio.to_thread(self._upkeep.end)
            await asyncio.to_thread(self._writer.close, _CLOSES_WITHIN)

    def snapshot(self) -> dict[str, Any]:
        """Return how it is, for the status."""
        if (writer := self._writer) is None:
            return LedgerSnapshot("off", why=self._why).as_dict()
        return LedgerSnapshot(
            state=writer.state,
            database=self._database.shown,
            why=writer.trouble.why,
            hint=writer.trouble.hint,
            set_aside=self._session.set_aside,
            waiting=len(self._rows) + writer.in_hand,
            spilled=self._spill.rows,
            dropped=self._dropped + writer.dropped + self._spill.corrupt,
            written=writer.written,
        ).as_dict()
