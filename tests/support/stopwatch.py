"""How long something took, and how slow the machine was meanwhile: CI's is slower than ours, and busy with other tests.

    with Stopwatch() as watch:
        ...
    assert watch.elapsed < 1.5 + 0.5 * watch.pace, watch

Of these 2 s, 1.5 are waited for a timer, which takes as long anywhere, and in 0.5 something is done. What one process
works is measured by a ratio of CPU times: tests/support/effort.py. This is for what a person waits for.
"""

import subprocess
import sys
import time
from types import TracebackType
from typing import Final, Self

USUAL: Final = 0.010  # seconds that the piece of work takes at rest where the limits were set
_PACER: Final = """
import select, sys, time
took = []
while True:
    begun = time.perf_counter()
    [str(n) for n in range(110_000)]
    took.append(time.perf_counter() - begun)
    if len(took) == 1:
        print(flush=True)
    if select.select([sys.stdin], [], [], 0.1)[0]:
        break
print(sum(took) / len(took))
"""


class Stopwatch:
    """Measure a block, and beside it how much longer than usual a piece of work takes, in a process of its own.

    *elapsed* are the seconds of the block; *pace* is 1 on a machine at rest and more on one that is slow or busy. Both
    are there once it has ended.
    """

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.pace = 1.0
        self._begun = 0.0
        self._pacer: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._pacer = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PACER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._pacer.stdout is not None
        self._pacer.stdout.readline()
        self._begun = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.elapsed = time.monotonic() - self._begun
        assert self._pacer is not None
        with self._pacer as pacer:
            took, _ = pacer.communicate()
        self.pace = max(1.0, float(took) / USUAL)

    def __str__(self) -> str:
        return f"{self.elapsed:.2f} s, where work takes {self.pace:.1f} times as long as usual"
