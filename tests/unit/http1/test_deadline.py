import asyncio
import time
from collections.abc import Callable

import uvloop

from claude_gatewayd.http1.deadline import Deadline, clock_without_sleep


class Clocks:
    """A loop's clock that counts sleep, and one that does not; timers fire when `pass_by` comes to them."""

    def __init__(self) -> None:
        self.now, self.asleep = 100.0, 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def awake(self) -> float:
        return self.now - self.asleep - 50.0

    def call_at(self, at: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        self.timers.append((at, callback))
        return asyncio.TimerHandle(at, callback, (), self)  # type: ignore[arg-type]

    def get_debug(self) -> bool:
        return False

    def pass_by(self, seconds: float, *, asleep: bool = False) -> None:
        self.now += seconds
        self.asleep += seconds if asleep else 0.0
        due = [callback for at, callback in self.timers if at <= self.now]
        self.timers = [(at, callback) for at, callback in self.timers if at > self.now]
        for callback in due:
            callback()


def scene(seconds: float = 90.0) -> tuple[Clocks, Deadline, list[str]]:
    clocks, expired = Clocks(), list[str]()
    deadline = Deadline(clocks, lambda: expired.append("x"), clocks.awake)  # type: ignore[arg-type]
    deadline.set(seconds)
    return clocks, deadline, expired


def test_it_passes() -> None:
    clocks, _, expired = scene()
    clocks.pass_by(89.0)
    assert expired == []
    clocks.pass_by(1.0)
    assert expired == ["x"]


def test_it_is_moved() -> None:
    clocks, deadline, expired = scene()
    clocks.pass_by(80.0)
    deadline.set(90.0)
    clocks.pass_by(80.0)
    assert expired == []
    clocks.pass_by(10.0)
    assert expired == ["x"]


def test_a_closed_lid_is_no_wait() -> None:
    """As macOS measures: at the wake the loop's timers are due, though nobody has waited."""
    clocks, _, expired = scene()
    clocks.pass_by(10.0)
    clocks.pass_by(3600.0, asleep=True)
    assert expired == []
    clocks.pass_by(89.0)
    assert expired == []
    clocks.pass_by(1.0)
    assert expired == ["x"]


def test_what_began_after_the_wake_waits_once_more_at_most() -> None:
    clocks, deadline, expired = scene()
    clocks.pass_by(60.0, asleep=True)
    deadline.set(90.0)
    clocks.pass_by(90.0)
    clocks.pass_by(90.0)
    assert expired == ["x"]


def test_where_the_loops_clock_counts_sleep() -> None:
    for loop, platform, expected in (
        (uvloop.new_event_loop(), "darwin", time.monotonic),
        (uvloop.new_event_loop(), "linux", None),
        (asyncio.new_event_loop(), "darwin", None),
    ):
        try:
            assert clock_without_sleep(loop, platform) is expected
        finally:
            loop.close()
