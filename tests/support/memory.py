"""How much memory something keeps."""

import tracemalloc
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def kept_by(work: Callable[[], T]) -> float:
    """Return how many MB of a million bytes *work* leaves behind, what it returns included."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        result = work()
        after, _ = tracemalloc.get_traced_memory()
        del result
        return (after - before) / 1e6
    finally:
        tracemalloc.stop()
