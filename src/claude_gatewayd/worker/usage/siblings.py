"""What other workers have used, of this daemon or of other gateways, and is not in the ledger yet as far as we know.

Each publishes what it has used, by quarter of an hour, and how much of that is in the database. Whoever reads the
database notes first what was there of each: what they have used beyond that is added to what was read. So nothing is
missed; what was written between the note and the reading counts twice until the next reading, a few seconds later.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from claude_gatewayd.worker.sharing.facts import UsageShared
from claude_gatewayd.worker.usage import used
from claude_gatewayd.worker.usage.used import NOTHING, ByQuarter, Used

_MOST_WORKERS: Final = 200
_MOST_QUARTERS: Final = 8  # in a message: the present, and what waits for a database that was away
_KEPT: Final = 400  # quarters of a worker: four days

_SHARED_AGAIN_AFTER: Final = 20.0  # seconds, what is not written
_GONE_AFTER: Final = 60.0  # without a word: what a killed worker had not written is lost, or in the ledger by now

ByWorker = Mapping[str, ByQuarter]


class Siblings:
    """The usage of others, and ours for them. *publish* is None for a worker that has none."""

    def __init__(
        self,
        worker: str = "",
        publish: Callable[[UsageShared], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._worker = worker
        self._publish = publish
        self._clock = clock
        self._shared_at = 0.0
        self._heard_at: dict[str, float] = {}
        self._sent: dict[int, tuple[Used, Used]] = {}
        self._used: dict[str, dict[int, Used]] = {}
        self._written: dict[str, dict[int, Used]] = {}
        self._noted: dict[str, dict[int, Used]] = {}  # what was in the database of each before it was read
        self._gone: set[str] = set()  # until the database is read: it has what they have written last, or nobody has
        self._gone_before_reading: frozenset[str] = frozenset()
        self.unwritten: ByQuarter = {}

    def share(self, own: ByQuarter, written: ByQuarter) -> None:
        """Let others know what is new: what this worker has used, and how much of it is *written*."""
        if self._publish is None:
            return
        now = self._clock()
        for name, at in self._heard_at.items():
            if now - at > _GONE_AFTER and self._used.get(name, {}) != self._noted.get(name, {}):
                self._gone.add(name)
        if now - self._shared_at > _SHARED_AGAIN_AFTER:
            self._shared_at = now
            self.share_again()
        found = {at: (sums, written.get(at, NOTHING)) for at, sums in list(own.items())[-_KEPT:]}
        new = {at: both for at, both in found.items() if self._sent.get(at) != both}
        if new:
            latest = dict(sorted(new.items())[-_MOST_QUARTERS:])
            self._sent = {at: both for at, both in self._sent.items() if at in found} | latest
            self._publish(
                UsageShared(self._worker, [[at, list(one), list(there)] for at, (one, there) in latest.items()])
            )

    def share_again(self) -> None:
        """Let a worker that begins know what is not written."""
        self._sent = {at: both for at, both in self._sent.items() if both[0] == both[1]}

    def share_all(self) -> None:
        """Let all others know everything: they have missed something, perhaps that it was written."""
        self._sent = {}

    def take(self, fact: UsageShared) -> None:
        """Take what another worker has used."""
        try:
            found = {int(at): (_sums(sums), _sums(there)) for at, sums, there in fact.quarters[:_MOST_QUARTERS]}
        except (TypeError, ValueError):  # of another version
            return
        if fact.worker not in self._used and len(self._used) >= _MOST_WORKERS:
            self._forget(next(iter(self._used)))
        self._heard_at[fact.worker] = self._clock()
        self._gone.discard(fact.worker)
        mine, there, noted = (
            by.setdefault(fact.worker, {}) for by in (self._used, self._written, self._noted)
        )  # fmt: skip
        for at, (sums, written) in found.items():
            if at not in mine:
                noted[at] = written
            mine[at], there[at] = sums, written
        for at in sorted(mine)[:-_KEPT]:
            del mine[at], there[at]
            noted.pop(at, None)
        self._sum_up()

    @property
    def has_written(self) -> bool:
        """Whether more of what they have used may be in the database than was when it was last read."""
        return bool(self._gone) or self._written != self._noted

    def note(self) -> ByWorker:
        """Return what is in the database of each. Called in another thread, before it reads."""
        self._gone_before_reading = frozenset(self._gone)
        return {worker: dict(there) for worker, there in list(self._written.items())}

    def was_read(self, noted: ByWorker) -> None:
        """Take what was noted before the database was read."""
        for name in self._gone_before_reading & self._gone:
            self._forget(name)
        self._noted = {worker: dict(there) for worker, there in noted.items() if worker in self._used}
        self._sum_up()

    def _forget(self, worker: str) -> None:
        for by in (self._used, self._written, self._noted):
            by.pop(worker, None)
        self._heard_at.pop(worker, None)
        self._gone.discard(worker)

    def _sum_up(self) -> None:
        total: dict[int, Used] = {}
        for worker, mine in self._used.items():
            noted: Mapping[int, Any] = self._noted.get(worker, {})
            for at, sums in mine.items():
                if (more := used.less(sums, noted.get(at, NOTHING))) != NOTHING:
                    total[at] = used.added(total.get(at, NOTHING), more)
        self.unwritten = total


def _sums(found: Sequence[Any]) -> Used:
    """Return sums that came as JSON. Raises TypeError, ValueError."""
    return Used._make(type(like)(one) for one, like in zip(found, NOTHING, strict=True))


ALONE: Final = Siblings()
