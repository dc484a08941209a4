"""The ledger, as the rest of the worker knows it: something that takes a row for each request, and costs nothing."""

from collections import deque
from typing import Any

from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.ledger.state import LedgerSnapshot

_MOST_WAITING = 10_000


class Ledger:
    """Take rows on the event loop; a thread writes them."""

    def __init__(self) -> None:
        self._rows: deque[UsageRecord] = deque()
        self._dropped = 0

    def record(self, record: UsageRecord) -> None:
        """Take a row. Never blocks and never raises: on the path of every request."""
        if len(self._rows) < _MOST_WAITING:
            self._rows.append(record)
        else:
            self._dropped += 1

    async def start(self) -> None:
        """Begin to write."""

    async def close(self) -> None:
        """Write what waits, for a limited time, and spill the rest."""

    def snapshot(self) -> dict[str, Any]:
        """Return how it is, for the status."""
        return LedgerSnapshot("off", dropped=self._dropped).as_dict()
