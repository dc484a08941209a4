"""The thread that writes to the database: it may hang in a connection or a lock, and nobody else hangs with it."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import NamedTuple

from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.ledger.drivers.connection import Unwritable
from claude_gatewayd.worker.ledger.drivers.once import Written
from claude_gatewayd.worker.ledger.session import Session

_ENDS_WITHIN = 0.5


class Outcome(NamedTuple):
    """What came of an attempt to write: either of both, and the CPU time that it took, in seconds."""

    written: Written | None
    failure: Unwritable | None
    cpu: float


class Hand:
    """Make one attempt at a time."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._orders: SimpleQueue[tuple[Sequence[UsageRecord], Future[Outcome]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ledger-database", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def begin(self, records: Sequence[UsageRecord]) -> Future[Outcome]:
        """Write rows, none to find out whether it could."""
        outcome: Future[Outcome] = Future()
        self._orders.put((records, outcome))
        return outcome

    def abort(self) -> None:
        """End what the attempt waits for."""
        self._session.abort()

    def end(self) -> None:
        """Close the connection and end the thread. One that hangs ends with the process."""
        self._orders.put(None)
        self._thread.join(_ENDS_WITHIN)

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            records, outcome = order
            outcome.set_result(self._attempt(records))
        self._session.close()

    def _attempt(self, records: Sequence[UsageRecord]) -> Outcome:
        begun = time.thread_time()
        written = failure = None
        try:
            written = self._session.write(records)
        except Unwritable as error:
            failure = error
        except Exception as error:  # a driver's own: the thread has to live
            failure = Unwritable(f"its driver fails with {type(error).__name__}", is_odd=True)
            with suppress(Exception):
                self._session.close()
        return Outcome(written, failure, time.thread_time() - begun)
