"""Make a usage record of each request that has ended, and hand it on."""

import logging
import time
from collections.abc import Callable
from itertools import count

from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.gateway.recording.record import Cost, Recording, usage_record

logger = logging.getLogger(__name__)


class UsageRecorder:
    """Hand a record of each request to every one of *takers*.

    *gateway* names this daemon among those that share a database, *worker* this process: 8 characters of each id.
    """

    def __init__(self, gateway: str, worker: str, cost: Cost, *takers: Callable[[UsageRecord], None]) -> None:
        self._gateway = gateway
        self._worker = worker
        self._cost = cost
        self._takers = takers
        self._number = count()
        self._has_faulted = False

    def begin(self) -> Recording:
        """Return what will be known of a request that begins now."""
        return Recording(time.time(), time.monotonic())

    def ended(self, recording: Recording, exchange: Exchange, status: int) -> None:
        """Record a request that has ended. Never raises: its client has its answer."""
        try:
            ended, number = time.monotonic(), self._next_id(recording.started_at)
            record = usage_record(number, self._gateway, recording, exchange, status, ended, self._cost)
            for take in self._takers:
                take(record)
        except Exception:
            if not self._has_faulted:  # the first only: it would come again with each request
                self._has_faulted = True
                logger.exception("cannot record a request: this is a fault of the gateway")

    def malformed(self, status: int) -> None:
        """Record bytes that are no request."""
        now = time.time()
        record = UsageRecord(
            id=self._next_id(now), started_at=now, gateway=self._gateway, kind="other", status=status, cost=0.0
        )
        for take in self._takers:
            take(record)

    def _next_id(self, now: float) -> str:
        """Return an id that sorts by time, and that no other worker, here or elsewhere, gives to a request."""
        return f"{int(now * 1000):011x}{self._worker}{next(self._number):06x}"
