"""How many requests each key has made within the last minute: here, and at others as far as they have let us know."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from claude_gatewayd.worker.sharing.facts import KeyRequests

_WINDOW: Final = 60  # seconds
_SHARED_EVERY: Final = 0.5  # seconds
_MOST_NAMES: Final = 200  # in a fact: a line between processes is short
_MOST_WORKERS: Final = 200


class _Counts:
    """Requests by second. They are added up, so that a thousand a second take no more room than one."""

    def __init__(self) -> None:
        self.total = 0  # of all time
        self.recent = 0
        self._seconds: deque[tuple[int, int]] = deque()

    def add(self, count: int, now: float) -> None:
        """Add requests."""
        self.total += count
        self.recent += count
        second = int(now)
        if self._seconds and self._seconds[-1][0] == second:
            count += self._seconds.pop()[1]
        self._seconds.append((second, count))

    def forget(self, now: float) -> None:
        """Forget what is over a minute old."""
        while self._seconds and self._seconds[0][0] <= now - _WINDOW:
            self.recent -= self._seconds.popleft()[1]

    def room_in(self, limit: int, now: float) -> int:
        """Return in how many seconds fewer than *limit* are left."""
        left = self.recent
        for second, count in self._seconds:
            left -= count
            if left < limit:
                return min(_WINDOW, max(1, int(second + _WINDOW - now) + 1))  # Claude Code waits for no longer
        return _WINDOW


class KeyRates:
    """Count the requests of each name. *worker* tells this process from others, which are let know by *publish*."""

    def __init__(
        self, worker: str, publish: Callable[[KeyRequests], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._worker = worker
        self._publish = publish
        self._clock = clock
        self._own: dict[str, _Counts] = {}
        self._all: dict[str, _Counts] = {}
        self._heard: dict[str, dict[str, int]] = {}  # how many in all, of each worker and name
        self._sent: dict[str, int] = {}
        self._shared_at = 0.0

    def take_one(self, name: str, limit: int) -> int:
        """Count a request, unless there are *limit* already: then return in how many seconds there is room, else 0."""
        now = self._clock()
        counts = self._all.setdefault(name, _Counts())
        counts.forget(now)
        if counts.recent >= limit:
            return counts.room_in(limit, now)
        counts.add(1, now)
        self._own.setdefault(name, _Counts()).add(1, now)
        return 0

    def share(self) -> None:
        """Let others know what is new. Called again and again while requests come."""
        now = self._clock()
        if not self._own or now - self._shared_at < _SHARED_EVERY:
            return
        self._shared_at = now
        new = {name: counts for name, counts in self._own.items() if self._sent.get(name) != counts.total}
        for some in _pieces(new):
            for counts in some.values():
                counts.forget(now)
            self._publish(KeyRequests(self._worker, {name: [of.total, of.recent] for name, of in some.items()}))
            self._sent |= {name: of.total for name, of in some.items()}

    def share_again(self) -> None:
        """Let a worker that begins know what this one has counted."""
        self._sent.clear()
        self._shared_at = 0.0

    def take(self, fact: KeyRequests) -> None:
        """Count what another worker has: totals are told, so that one which is lost is made up for by the next."""
        if fact.worker not in self._heard and len(self._heard) >= _MOST_WORKERS:
            del self._heard[next(iter(self._heard))]
        heard = self._heard.setdefault(fact.worker, {})
        now = self._clock()
        for name, numbers in fact.counts.items():
            if len(numbers) != 2:  # of another version
                continue
            total, recent = numbers
            more = total - heard[name] if name in heard else recent  # what it had counted before that is long ago
            heard[name] = total
            if more > 0:
                counts = self._all.setdefault(name, _Counts())
                counts.forget(now)
                counts.add(more, now)


def _pieces(counts: Mapping[str, _Counts]) -> list[dict[str, _Counts]]:
    names = list(counts)
    return [
        {name: counts[name] for name in names[start : start + _MOST_NAMES]}
        for start in range(0, len(names), _MOST_NAMES)
    ]
