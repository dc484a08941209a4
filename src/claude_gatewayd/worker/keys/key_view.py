"""The named keys in the ledger's database, read by its thread between two batches; and when they were used."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from claude_gatewayd.ledger.keys.named_key import KeyLimits, NamedKey
from claude_gatewayd.ledger.sums import quarter_of
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.keys.spending import KeySpending, Spent

_WITHOUT_KEYS: Final = 60.0  # seconds, where nobody is asked for one: as seldom as the usage of others is read
_SPENT_EVERY: Final = 60.0
_SPENT_SOON: Final = 2.0
_USES_EVERY: Final = 60.0
_AHEAD_BY: Final = 2.0  # seconds, from which on a clock that was set matters


class NamedKeySource(Protocol):
    """A connection to the database."""

    def now(self) -> float:
        """Return the time by the database's clock."""

    def named_keys(self) -> Iterable[Sequence[Any]]:
        """Return all keys: digest, name, until when, revoked when, and limits."""

    def spent(self, first: int, last: int) -> Iterable[Sequence[Any]]:
        """Return what each key has cost the AWS account in some quarters."""

    def own_spent(self, worker: str, since: float, until: float) -> Iterable[Sequence[Any]]:
        """Return the same of a worker's own requests."""

    def note_uses(self, uses: Sequence[tuple[str, float]]) -> None:
        """Note when keys were used last."""


class KeysRead(NamedTuple):
    """What was read. *number* is that of the wish which it answers; *keys* are None where they are as before."""

    number: int
    keys: tuple[NamedKey, ...] | None
    spent: Spent | None


class KeyView:
    """Read keys where it is time; *take* is called in this thread. *every* is how often, once there are any.

    *keep* has them kept in a file, and returns them with those that the database has lost. *used* returns which keys
    were used how long ago, and forgets it.
    """

    def __init__(
        self,
        worker: str,
        spending: KeySpending,
        take: Callable[[KeysRead], None],
        keep: Callable[[tuple[NamedKey, ...]], tuple[NamedKey, ...]],
        used: Callable[[], list[tuple[str, float]]],
        *,
        is_asked_for: bool,
        every: float,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._worker = worker
        self._spending = spending
        self._take = take
        self._keep = keep
        self._used = used
        self._is_asked_for = is_asked_for
        self._every = every
        self._clock = clock
        self._elapsed = elapsed
        self._rows: list[tuple[Any, ...]] | None = None
        self._ahead = 0.0  # the database's clock, of ours: times in its rows are by that
        self._due_at = self._uses_at = elapsed()
        self._spent_at = self._due_at - _SPENT_EVERY
        self._is_unsure = False
        self._answered = 0
        self.wanted = 0  # a wish to read again has the next number
        self.has_uses = False

    @property
    def is_due(self) -> bool:
        """Whether it is time to read."""
        now = self._elapsed()
        return self.wanted != self._answered or now >= self._due_at or self._spent_is_due(now) or self._notes_uses(now)

    def wrote(self, records: Sequence[UsageRecord], new: int) -> None:
        """Take note of rows that are in the database now; if not all are *new*, which of them were there is unknown."""
        if self._rows and not self._spending.wrote(records, is_sure=new == len(records)):
            self._is_unsure = True

    def read(self, source: NamedKeySource) -> None:
        """Read what there is. Raises what *source* raises; then it is due again soon."""
        now, number = self._elapsed(), self.wanted
        rows, ahead = [tuple(row) for row in source.named_keys()], source.now() - self._clock()
        changed = None
        if rows != self._rows or (rows and abs(ahead - self._ahead) > _AHEAD_BY):
            changed = tuple(_key(row, ahead) for row in rows)
        self._rows, self._ahead = rows, ahead if changed is not None else self._ahead
        spent = self._read_spent(source, now) if self._spent_is_due(now) else None
        if rows and self._notes_uses(now):
            self._note_uses(source, now)
        self._due_at = now + (self._every if rows or self._is_asked_for else _WITHOUT_KEYS)
        if changed is not None:
            changed = self._keep(changed)
        if changed is not None or spent is not None or number != self._answered:
            self._answered = number
            self._take(KeysRead(number, changed, spent))

    def _spent_is_due(self, now: float) -> bool:
        soon = _SPENT_SOON if self._spending.wants_reading else _SPENT_EVERY
        return bool(self._rows) and now >= self._spent_at + soon

    def _notes_uses(self, now: float) -> bool:
        return self.has_uses and now >= self._uses_at

    def _read_spent(self, source: NamedKeySource, now: float) -> Spent:
        month = self._spending.month
        found = None
        if self._is_unsure:
            own = source.own_spent(self._worker, month.start, month.end)
            found = {name: float(cost) for name, cost in own}
            self._is_unsure = False
        noted = self._spending.note(found)
        first, last = quarter_of(month.start), quarter_of(month.end - 1) + 1
        self._spent_at = now
        return Spent(month.name, {name: float(cost) for name, cost in source.spent(first, last)}, noted)

    def _note_uses(self, source: NamedKeySource, now: float) -> None:
        self.has_uses = False
        self._uses_at = now + _USES_EVERY
        at = source.now()
        source.note_uses([(digest, at - age) for digest, age in self._used()])


def _key(row: tuple[Any, ...], ahead: float) -> NamedKey:
    digest, name, expires_at, revoked_at, bedrock, budget, rate = row
    return NamedKey(
        digest,
        name,
        None if expires_at is None else expires_at - ahead,
        revoked_at is not None,
        KeyLimits(None if bedrock is None else bool(bedrock), budget, rate),
    )
