"""Wrong gateway keys, counted by who sends them: a program that tries keys is slowed down, and the log names it."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

_MOST: Final = 30  # in a window, from one address
_WINDOW: Final = 60.0  # seconds
_MOST_ADDRESSES: Final = 4096  # beyond it the oldest is forgotten: 0.6 MB


class WrongKeys:
    """Count wrong keys. *monotonic* is the clock, in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()  # by address: its beginning, how many

    def count(self, address: str) -> float:
        """Count one from *address*; return for how many seconds it has to wait, 0 while it has sent few."""
        now = self._monotonic()
        began, many = self._windows.pop(address, (now, 0))
        if now - began >= _WINDOW:
            began, many = now, 0
        many += 1
        self._windows[address] = began, many
        while len(self._windows) > _MOST_ADDRESSES:
            self._windows.popitem(last=False)
        if many <= _MOST:
            return 0.0
        if many == _MOST + 1:
            logger.warning("%s has sent %d requests with a wrong key within a minute", address or "somebody", many)
        return began + _WINDOW - now
