"""What the ledger has of this gateway's requests, read by the writer's thread between two batches.

Only there it is known which of this worker's own rows are in the database already, so that none counts twice, and none
is missed, however long rows wait: what all others have used is what is there, less what this worker has written.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from claude_gatewayd.ledger.sums import quarter_of
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.usage import periods, used
from claude_gatewayd.worker.usage.siblings import ALONE, ByWorker, Siblings
from claude_gatewayd.worker.usage.used import NOTHING, ByQuarter, Used

_WITH_SIBLINGS: Final = 2.0  # seconds, while they write
_OFTEN: Final = 5.0
_OFTEN_FOR: Final = 120.0
_SELDOM: Final = 60.0
_ALL_EVERY: Final = 3600.0  # rows that waited in a file for days may be of any day
_DAY: Final = 86400


class LedgerSource(Protocol):
    """A connection to the database."""

    def used(self, gateway: str, since: int) -> Iterable[Sequence[Any]]:
        """Return `used.COLUMNS` by quarter of an hour: a gateway's, from one on."""

    def own(self, worker: str, since: float) -> Iterable[UsageRecord]:
        """Return a worker's rows, by its part of their ids."""


class LedgerView:
    """Read what all others have used, as *gateway*; *take* is called in this thread with it, and from which quarter on.

    *worker* is the part of its own records' ids. *succeeds*: an older generation may still be writing. Without one
    there are only other daemons, and a daemon at rest is not to be woken for them. *siblings* are other workers of this
    one: what they have written is read soon.
    """

    def __init__(
        self,
        gateway: str,
        worker: str,
        take: Callable[[ByQuarter, int, ByWorker], None],
        *,
        succeeds: bool,
        siblings: Siblings = ALONE,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._worker = worker
        self._take = take
        self._siblings = siblings
        self._read_at = 0.0
        self._clock = clock
        self._elapsed = elapsed
        self._began = elapsed()
        self._often_until = self._began + (_OFTEN_FOR if succeeds else 0.0)
        self._written: dict[int, Used] = {}
        self._is_unsure = False
        self._is_wanted = False
        self._started_at = clock()
        self._due_at = self._all_due_at = self._began

    def wrote(self, records: Sequence[UsageRecord], new: int) -> None:
        """Take note of rows that are in the database now; if not all are *new*, which of them were there is unknown."""
        if new == len(records):
            used.add(self._written, (record for record in records if record.id[11:19] == self._worker))
        else:
            self._is_unsure = True

    @property
    def is_due(self) -> bool:
        """Whether it is time to read."""
        elapsed = self._elapsed()
        return (
            self._is_wanted
            or elapsed >= self._due_at
            or (self._siblings.has_written and elapsed >= self._read_at + _WITH_SIBLINGS)
        )

    def read_all_soon(self) -> None:
        """Have all read again at the next occasion. Called on the event loop."""
        self._is_wanted = True

    @property
    def written(self) -> ByQuarter:
        """What this worker has written, and knows to be there."""
        return self._written

    def read(self, source: LedgerSource) -> None:
        """Read what there is. Raises what *source* raises; then it is due again as usual."""
        now, elapsed = self._clock(), self._elapsed()
        self._read_at = elapsed
        is_all = elapsed >= self._all_due_at or self._is_wanted
        self._is_wanted = False
        noted = self._siblings.note()  # before: what they write meanwhile counts twice for once, and never not at all
        self._due_at = elapsed + (_OFTEN if elapsed < self._often_until else _SELDOM)
        if self._is_unsure:
            own: dict[int, Used] = {}
            used.add(own, source.own(self._worker, self._started_at - _DAY))
            self._written, self._is_unsure = own, False
        # a day more than the month: its beginning may be another in another zone
        since = quarter_of((periods.month_of(now).start if is_all else now) - _DAY)
        others = {}
        for quarter, *sums in source.used(self._gateway, since):
            there = Used(*map(_number, sums, NOTHING))
            others[int(quarter)] = used.less(there, self._written.get(int(quarter), NOTHING))
        if is_all:
            self._all_due_at = elapsed + _ALL_EVERY
        self._take(others, since, noted)


def _number(value: Any, like: float) -> Any:
    """Return a sum as a number of the kind of *like*: PostgreSQL has decimals for those of whole numbers."""
    return type(like)(value or 0)
