"""How much work something is, in figures that are the same on a slow machine and on a busy one.

A limit in seconds of CPU time is none: CI's machine takes thrice what ours does, and beside other tests each takes more
than alone. What is bounded is therefore a ratio of two times of the same run.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

Work = Callable[[], object]


@dataclass(slots=True)
class Effort:
    """What a block took, in yardsticks: once it has ended."""

    amount: float = 0.0


def _seconds(work: Work) -> float:
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


def yardstick() -> float:
    """Return the seconds of CPU time that a fixed piece of work takes now: 10 ms where the limits were set."""
    return min(_seconds(lambda: [str(n) for n in range(110_000)]) for _ in range(3))


@contextmanager
def effort() -> Iterator[Effort]:
    """Measure this thread's work in the block, in yardsticks of right before and after it."""
    found = Effort()
    before, begun = yardstick(), time.thread_time()
    yield found
    took = time.thread_time() - begun
    found.amount = took / max(before, yardstick())


def growth(prepare: Callable[[int], Work], size: int, *, runs: int = 4) -> float:
    """Return how many times as long the work takes that is prepared for four times *size*.

    Linear work says 4, work that looks at everything once for each thing 16: 8 is the limit between both. The sizes
    take turns, so that a busy second is seen by both; that of *size* should take a millisecond at least.
    """
    small, large = prepare(size), prepare(4 * size)
    pairs = [(_seconds(small), _seconds(large)) for _ in range(runs)]
    return min(large for _, large in pairs) / min(small for small, _ in pairs)
