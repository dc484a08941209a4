"""How bytes flow between the two sides: pushed into a sink, which pauses their source while it is full."""

from typing import Protocol

Bytes = bytes | memoryview


class Source(Protocol):
    """What can be paused."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Sink(Protocol):
    """Where a body goes: raw bytes as they came. *source* is paused while they cannot be passed on."""

    source: Source | None

    def write(self, data: Bytes) -> None:
        """Take the next raw bytes."""
        ...


class OverBudget(Exception):
    """All requests together hold too many bytes."""


class Budget:
    """Bound the bytes that all requests of a generation hold together."""

    __slots__ = ("left",)

    def __init__(self, size: int) -> None:
        self.left = size
