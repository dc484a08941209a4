"""The numbers of the other workers of a generation: asked for by a fact, and kept when a worker has gone.

A counter must not fall while a generation lives: Prometheus would take that for a new beginning, and count all there is
once more. So each worker keeps what it last heard of each other, also if that dies; and one that has taken a dead one's
place is told of it by the next one in the ring of their names.
"""

import asyncio
import secrets
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from claude_gatewayd.worker.metrics import numbers
from claude_gatewayd.worker.metrics.numbers import Numbers
from claude_gatewayd.worker.sharing.facts import Fact, MetricsCounted, MetricsWanted

_WITHIN: Final = 1.0  # seconds
_MOST_WORKERS: Final = 200  # with those that have gone
_MOST_PIECES: Final = 64


class Gathered(NamedTuple):
    """The numbers of the others that *answered*, of those that have *gone*, and how many are *missing*."""

    answered: Sequence[Numbers] = ()
    gone: Sequence[Numbers] = ()
    missing: int = 0


class Gathering:
    """Ask *others*, so many, for their numbers, and answer when they ask. *name* tells this worker from them."""

    def __init__(self, name: str, others: int, publish: Callable[[Fact], None], within: float = _WITHIN) -> None:
        self._name = name
        self._others = others
        self._publish = publish
        self._within = within
        self._generation = 0
        self._own: Callable[[], Numbers] | None = None
        self._known: dict[str, tuple[int, Numbers]] = {}  # and how many requests it had counted
        self._round = 0  # of questions that were asked here or heard
        self._heard: dict[str, int] = {}  # of a worker itself, in which round
        self._coming: dict[str, tuple[str, list[Mapping[str, Any]]]] = {}
        self._asked = ""
        self._answered: set[str] = set()
        self._complete = asyncio.Event()

    def describe_by(self, own: Callable[[], Numbers], generation: int) -> None:
        """Have *own* called for this worker's numbers. Workers of another *generation* are not asked."""
        self._own, self._generation = own, generation

    async def ask(self, own: Numbers) -> Gathered:
        """Return the numbers of all others, within a second. *own* are sent to them, so that they outlive us."""
        if not self._others:
            return Gathered()
        self._round += 1
        self._asked = secrets.token_hex(4)
        self._answered.clear()
        self._complete.clear()
        self._publish(MetricsWanted(self._generation, self._asked, self._name, tuple(sorted(self._known))))
        self._send("", self._name, own)
        try:
            async with asyncio.timeout(self._within):
                await self._complete.wait()
        except TimeoutError:
            pass
        known = {name: one for name, (_, one) in self._known.items()}
        answered = [one for name, one in known.items() if name in self._answered]
        gone = [one for name, one in known.items() if name not in self._answered]
        return Gathered(answered, gone, max(0, self._others - len(answered)))

    def take_wish(self, wish: MetricsWanted) -> None:
        """Answer another worker."""
        if wish.generation != self._generation or self._own is None:
            return
        for before in self._neighbours(wish.asker):  # first: with the last of our own, who asks may have heard enough
            if before not in wish.knows:
                self._send("", before, self._known[before][1])
        self._round += 1
        self._send(wish.asked, self._name, self._own())

    def take(self, counted: MetricsCounted) -> None:
        """Take a piece of another worker's numbers."""
        name = counted.worker
        if counted.generation != self._generation or name == self._name or not 0 < counted.pieces <= _MOST_PIECES:
            return
        asked, found = self._coming.get(name, ("", []))
        if counted.piece == 0:
            found = []
        elif asked != counted.asked or len(found) != counted.piece:
            self._coming.pop(name, None)  # one was lost
            return
        found = [*found, counted.numbers]
        if len(found) < counted.pieces:
            self._coming[name] = counted.asked, found
            if len(self._coming) > _MOST_WORKERS:
                del self._coming[next(iter(self._coming))]
            return
        self._coming.pop(name, None)
        try:
            self._keep(name, numbers.from_pieces(found))
        except ValueError:  # of another version: it is missing
            return
        if counted.asked:
            self._heard[name] = self._round
        if counted.asked and counted.asked == self._asked:
            self._answered.add(name)
            if len(self._answered) >= self._others:
                self._complete.set()

    def _keep(self, name: str, found: Numbers) -> None:
        """Keep numbers, unless they are older than those that are known: what a neighbour has may be."""
        requests = sum(sums.requests for sums in found.counts.values())
        before, _ = self._known.get(name, (-1, None))
        if requests >= before:
            self._known[name] = requests, found
        while len(self._known) > _MOST_WORKERS:
            self._heard.pop(gone := next(iter(self._known)), None)
            del self._known[gone]

    def _neighbours(self, asker: str) -> Iterator[str]:
        """Yield who comes before us in the ring of all who are known, up to two who were there the last time.

        One of them may have died since.
        """
        others = sorted(name for name in self._known if name != asker)
        here = bisect_left(others, self._name)
        living = 0
        for name in (*reversed(others[:here]), *reversed(others[here:])):
            yield name
            living += self._heard.get(name, 0) >= self._round
            if living == 2:
                return

    def _send(self, asked: str, name: str, found: Numbers) -> None:
        pieces = list(numbers.pieces(found))[:_MOST_PIECES]
        for number, piece in enumerate(pieces):
            self._publish(MetricsCounted(self._generation, asked, name, number, len(pieces), piece))
