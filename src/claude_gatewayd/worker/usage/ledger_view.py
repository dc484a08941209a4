"""What the ledger has of this gateway's requests, read by the writer's thread between two batches.

Only there it is known which of this worker's own rows are in the database already, so that none counts twice, and none
is missed, however long rows wait: what all others have used is what is there, less what this worker has written.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.usage import periods, used
from claude_gatewayd.worker.usage.used import NOTHING, ByQuarter, Used

_OFTEN: Final = 5.0  # seconds, while an older generation may still be writing
_OFTEN_FOR: Final = 120.0
_SELDOM: Final = 60.0
_ALL_EVERY: Final = 3600.0  # rows that waited in a file for days may be of any day
_DAY: Final = 86400

# Returns `used.COLUMNS` of `quarters` by quarter: of a gateway, from a quarter on.
Query = Callable[[str, int], Iterable[Sequence[Any]]]


class LedgerView:
    """Read what all others have used, as *gateway*; *take* is called in this thread with it, and from which quarter on.

    *worker* is the part of its own records' ids.
    """

    def __init__(
        self,
        gateway: str,
        worker: str,
        take: Callable[[ByQuarter, int], None],
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._worker = worker
        self._take = take
        self._clock = clock
        self._elapsed = elapsed
        self._began = elapsed()
        self._written: dict[int, Used] = {}
        self._read_at: float | None = None
        self._read_all_at = 0.0

    def wrote(self, records: Iterable[UsageRecord]) -> None:
        """Take note of rows that are in the database now, each once."""
        used.add(self._written, (record for record in records if record.id[11:19] == self._worker))

    @property
    def is_due(self) -> bool:
        """Whether it is time to read."""
        if self._read_at is None:
            return True
        now = self._elapsed()
        return now - self._read_at >= (_OFTEN if now - self._began < _OFTEN_FOR else _SELDOM)

    def read(self, query: Query) -> None:
        """Read what there is, by *query*. Raises what that raises; then it is due still."""
        now, elapsed = self._clock(), self._elapsed()
        is_all = self._read_at is None or elapsed - self._read_all_at >= _ALL_EVERY
        # a day more than the month: its beginning may be another in another zone
        since = used.quarter_of((periods.month_of(now).start if is_all else now) - _DAY)
        others = {}
        for quarter, *sums in query(self._gateway, since):
            there = Used(*map(_number, sums, NOTHING))
            others[int(quarter)] = used.less(there, self._written.get(int(quarter), NOTHING))
        self._read_at = elapsed
        if is_all:
            self._read_all_at = elapsed
        self._take(others, since)


def _number(value: Any, like: float) -> Any:
    """Return a sum as a number of the kind of *like*: PostgreSQL has decimals for those of whole numbers."""
    return type(like)(value or 0)
