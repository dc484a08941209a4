"""Make a usage record of each request that has ended, and hand it on.

Some at a time: between two requests all that it takes has left the processor's caches, and one by one, records take
twice as long. Nobody waits for them, for the worker's beats, four times a second while there is work, ask for what is
left (`UsageTotals`).
"""

import logging
import time
from collections.abc import Callable
from itertools import count
from typing import Final

from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.gateway.recording.record import Cost, Ended, Recording, facts, usage_record

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 16  # 0.1 ms, in which no request is served
_LARGE: Final = 64 * 1024  # bytes of an answer: its meter may hold as much


class UsageRecorder:
    """Make records by what *cost* says of tokens.

    *gateway* names this daemon among those that share a database, *worker* this process: 8 characters of each id.
    """

    def __init__(self, gateway: str, worker: str, cost: Cost) -> None:
        self._gateway = gateway
        self._worker = worker
        self._cost = cost
        self._takers: tuple[Callable[[UsageRecord], None], ...] = ()
        self._ended: list[Ended] = []  # not recorded yet
        self._number = count()
        self._has_faulted = False

    def hand_to(self, *takers: Callable[[UsageRecord], None]) -> None:
        """Hand records to these."""
        self._takers = takers

    def also_hand_to(self, taker: Callable[[UsageRecord], None]) -> None:
        """Hand records to this one as well, from now on."""
        self._takers += (taker,)

    def begin(self) -> Recording:
        """Return what will be known of a request that begins now."""
        return Recording(time.time(), time.monotonic())

    def ended(self, recording: Recording, exchange: Exchange, status: int) -> None:
        """Record a request that has ended, soon. Never raises: its client has its answer."""
        try:
            ended = self._ended
            ended.append(facts(recording, exchange, status, time.monotonic()))
        except Exception as error:
            self._report_fault(error)
        else:
            if len(ended) >= _AT_ONCE or exchange.sent > _LARGE:
                self.settle()

    def settle(self) -> None:
        """Record all that has ended until now."""
        if not self._ended:
            return
        all_ended, self._ended = self._ended, []
        for ended in all_ended:
            try:
                number = self._next_id(ended.started_at)
                record = usage_record(number, self._gateway, ended, self._cost)
                for take in self._takers:
                    take(record)
            except Exception as error:
                self._report_fault(error)

    def malformed(self, status: int) -> None:
        """Record bytes that are no request."""
        now = time.time()
        record = UsageRecord(
            id=self._next_id(now), started_at=now, gateway=self._gateway, kind="other", status=status, cost=0.0
        )
        for take in self._takers:
            take(record)

    def _report_fault(self, error: Exception) -> None:
        if not self._has_faulted:  # the first only: it would come again with each request
            self._has_faulted = True
            logger.error("cannot record a request: this is a fault of the gateway", exc_info=error)

    def _next_id(self, now: float) -> str:
        """Return an id that sorts by time, and that no other worker, here or elsewhere, gives to a request."""
        return "%011x%s%06x" % (int(now * 1000), self._worker, next(self._number))  # noqa: UP031 - in half the time
