"""What each key has cost the AWS account this month: what the ledger has, and what is not in it yet.

As `usage.siblings` has it for all together: whoever reads the database notes first what of each worker was in it; what
a worker has spent beyond that is added. So nothing is missed, and what was written meanwhile counts twice for once.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from claude_gatewayd.ledger.sums import KINDS
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.sharing.facts import KeySpent
from claude_gatewayd.worker.usage import periods
from claude_gatewayd.worker.usage.periods import Period

_SHARED_AGAIN_AFTER: Final = 20.0  # seconds
_GONE_AFTER: Final = 60.0  # without a word: what a killed worker had not written is lost, or in the ledger
_MOST_NAMES: Final = 100  # in a fact
_MOST_WORKERS: Final = 200
_CENTS: Final = 1e-9  # below it, a difference is one of rounding


class Spent(NamedTuple):
    """What the ledger had of a month, by name, and what of each worker was in it, this one among them."""

    month: str
    in_ledger: Mapping[str, float]
    written: Mapping[str, Mapping[str, float]]


class KeySpending:
    """Sums on the event loop; `wrote` and `note` are for the ledger's thread.

    *settle* has all that has ended until now recorded here; it is called before anybody is answered.
    """

    def __init__(
        self,
        worker: str,
        publish: Callable[[KeySpent], None],
        settle: Callable[[], None],
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._worker = worker
        self._publish = publish
        self._settle = settle
        self._clock = clock
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._month = periods.month_of(clock())
        self._own: dict[str, float] = {}
        self._written: dict[str, float] = {}
        self._others: dict[str, dict[str, tuple[float, float]]] = {}  # of each worker: spent, and written of that
        self._heard_at: dict[str, float] = {}
        self._known = Spent("", {}, {})
        self._sent: dict[str, tuple[float, float]] = {}
        self._shared_at = 0.0
        self.wants_reading = False  # somebody is heard of for the first time

    @property
    def month(self) -> Period:
        """The month that counts. Any thread may ask."""
        return self._month

    def record(self, record: UsageRecord) -> None:
        """Add a request."""
        if record.key_name and record.billing == "aws" and record.cost and record.kind in KINDS:
            self._keep_up()
            if self._month.has(record.started_at):
                self._own[record.key_name] = self._own.get(record.key_name, 0.0) + record.cost

    def of(self, name: str) -> float:
        """Return what a key has cost this month, in USD."""
        self._settle()
        self._keep_up()
        known = self._known
        total, mine = known.in_ledger.get(name, 0.0), known.written.get(self._worker, {})
        total += _beyond(self._own.get(name, 0.0), mine.get(name, 0.0))
        for worker, by_name in self._others.items():
            if name in by_name:
                total += _beyond(by_name[name][0], known.written.get(worker, {}).get(name, 0.0))
        return total

    def wrote(self, records: Iterable[UsageRecord], *, is_sure: bool) -> bool:
        """Take note of rows that are in the database now; False if they have to be looked for there."""
        mine = [one for one in records if one.key_name and one.billing == "aws" and one.cost]
        if not mine:
            return True
        with self._lock:
            for one in mine:
                if one.id[11:19] == self._worker and one.kind in KINDS and self._month.has(one.started_at):
                    self._written[one.key_name] = self._written.get(one.key_name, 0.0) + (one.cost or 0.0)
        return is_sure

    def note(self, found: Mapping[str, float] | None = None) -> Mapping[str, Mapping[str, float]]:
        """Return what is in the database of each worker, before it is read; *found* is what was found of this one."""
        self.wants_reading = False
        with self._lock:
            if found is not None:
                self._written = dict(found)
            mine = dict(self._written)
        others = {worker: {name: there for name, (_, there) in by.items()} for worker, by in list(self._others.items())}
        return others | {self._worker: mine}

    def was_read(self, spent: Spent) -> None:
        """Take what the ledger has."""
        self._keep_up()
        if spent.month != self._month.name:
            return
        self._known = spent
        now = self._elapsed()
        for gone in [worker for worker, at in self._heard_at.items() if now - at > _GONE_AFTER]:
            del self._heard_at[gone], self._others[gone]

    def share(self) -> None:
        """Let others know what is new."""
        if not self._own:
            return
        now = self._elapsed()
        if now - self._shared_at > _SHARED_AGAIN_AFTER:
            self._shared_at = now
            self._sent.clear()
        found = {name: (spent, self._written.get(name, 0.0)) for name, spent in self._own.items()}
        new = [(name, both) for name, both in found.items() if self._sent.get(name) != both]
        for start in range(0, len(new), _MOST_NAMES):
            some = dict(new[start : start + _MOST_NAMES])
            self._publish(KeySpent(self._worker, self._month.name, {name: list(both) for name, both in some.items()}))
            self._sent |= some

    def share_again(self) -> None:
        """Let a worker that begins know what this one has spent."""
        self._sent.clear()

    def take(self, fact: KeySpent) -> None:
        """Take what another worker has spent."""
        self._keep_up()
        if fact.month != self._month.name or fact.worker == self._worker:
            return
        if fact.worker not in self._others and len(self._others) >= _MOST_WORKERS:
            gone = next(iter(self._others))
            del self._heard_at[gone], self._others[gone]
        self._heard_at[fact.worker] = self._elapsed()
        before = self._others.get(fact.worker)
        there = dict(before or {})
        for name, numbers in fact.spent.items():
            if len(numbers) == 2:
                there[name] = numbers[0], numbers[1]
        self._others[fact.worker] = there
        if fact.worker not in self._known.written:  # what it had written by then was read, or will be at once
            self.wants_reading = True
            new = {name: written for name, (_, written) in there.items()}
            self._known = self._known._replace(written={**self._known.written, fact.worker: new})

    def _keep_up(self) -> None:
        """Notice a new month."""
        now = self._clock()
        if not self._month.has(now):
            with self._lock:
                self._month = periods.month_of(now)
                self._written = {}
            self._own, self._others, self._heard_at, self._sent = {}, {}, {}, {}
            self._known = Spent(self._month.name, {}, {})


def _beyond(spent: float, written: float) -> float:
    more = spent - written
    return more if more > _CENTS else 0.0
