"""How late the event loop wakes timers."""

from bisect import bisect_left
from typing import Final

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class LoopLag:
    """A histogram of the lag, in seconds; the last bin is for more than the bounds have."""

    def __init__(self) -> None:
        self.bins = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def note(self, seconds: float) -> None:
        """Count a timer that was to fire *seconds* ago."""
        lag = max(0.0, seconds)
        self.bins[bisect_left(BOUNDS, lag)] += 1
        self.sum += lag
