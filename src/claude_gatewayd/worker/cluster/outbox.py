"""Facts that wait to be sent. The event loop puts them in, and never waits; the thread of the link takes them out."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from claude_gatewayd.worker.sharing.facts import Fact
from claude_gatewayd.worker.sharing.travels import aged, subject_of

_MOST_PASSING: Final = 500
_MOST_LASTING: Final = 2000
_AT_ONCE: Final = 100


class Waiting(NamedTuple):
    """A fact, what it is about ("" if it only passes by), and when it was put in."""

    fact: Fact
    subject: str
    at: float


class FactOutbox:
    """Keep facts in their order. Of those about the same subject, the last one counts, however long it waits."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._lasting: OrderedDict[str, Waiting] = OrderedDict()
        self._passing: deque[Waiting] = deque()
        self._has_lost = False

    def put(self, fact: Fact) -> None:
        """Put a fact in. Where there is no room, the oldest goes."""
        waiting = Waiting(fact, subject_of(fact), self._clock())
        with self._lock:
            if waiting.subject:
                self._lasting.pop(waiting.subject, None)
                self._lasting[waiting.subject] = waiting
                if len(self._lasting) > _MOST_LASTING:
                    self._lasting.popitem(last=False)
            else:
                self._passing.append(waiting)
                if len(self._passing) > _MOST_PASSING:
                    self._passing.popleft()
                    self._has_lost = True

    def take(self) -> list[Waiting]:
        """Take some facts out, as they hold now."""
        with self._lock:
            found = [self._lasting.popitem(last=False)[1] for _ in range(min(len(self._lasting), _AT_ONCE))]
            found += [self._passing.popleft() for _ in range(min(len(self._passing), _AT_ONCE))]
        now = self._clock()
        return [one._replace(fact=_later(one, now), at=now) for one in found]

    def put_back(self, some: Sequence[Waiting]) -> None:
        """Put back what could not be sent, unless there is something newer. What only passes by is lost."""
        with self._lock:
            for one in reversed(some):
                if one.subject and one.subject not in self._lasting:
                    self._lasting[one.subject] = one
                    self._lasting.move_to_end(one.subject, last=False)
            self._passing.clear()

    def subjects(self) -> frozenset[str]:
        """Return what the facts that wait are about."""
        with self._lock:
            return frozenset(self._lasting)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._lasting and not self._passing

    def has_lost(self) -> bool:
        """Return whether there was no room for some that pass by, since this was last asked."""
        with self._lock:
            lost, self._has_lost = self._has_lost, False
        return lost


def _later(one: Waiting, now: float) -> Fact:
    waited = now - one.at
    return aged(one.fact, waited) if waited > 1.0 else one.fact
