"""Report to the supervisor that this process is alive: often while it works, and when asked while it is at rest."""

import asyncio
from collections.abc import Callable

BEAT = 0.25  # seconds
_BEATS_A_SECOND = round(1 / BEAT)
_REST_AFTER = 4  # beats without work


class Beats:
    """Beat four times a second while *is_busy*, and for a second after that; then rest until `wake`.

    *report* sends a beat; *each_second* is called once a second, and before each answer to a probe; *late* is called
    with the seconds by which the loop was late for a beat; *rest* is called when a rest begins. A supervisor that sends
    no probes may be of a version that takes rest for a hang: it gets beats for ever.
    """

    def __init__(
        self,
        report: Callable[[], None],
        is_busy: Callable[[], bool],
        each_second: Callable[[], None],
        late: Callable[[float], None],
        rest: Callable[[], None],
    ) -> None:
        self.at_rest = False
        self._report = report
        self._is_busy = is_busy
        self._each_second = each_second
        self._late = late
        self._rest = rest
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._beats = 0
        self._idle_beats = 0
        self._may_rest = False
        self._due = 0.0

    def start(self) -> None:
        """Begin."""
        self._each_second()
        self._arm()

    def close(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()

    def wake(self) -> None:
        """Beat again: there is work."""
        if self.at_rest:
            self.at_rest = False
            self._idle_beats = 0
            self._arm()
            self._report()

    def answer_probe(self) -> None:
        """Beat, for the supervisor asks. From now on there may be rest."""
        self._may_rest = True
        self._each_second()
        self._report()

    def rest_no_more(self) -> None:
        """Beat until the next probe: a supervisor of another version may come."""
        self._may_rest = False
        self.wake()

    def _beat(self) -> None:
        self._late(self._loop.time() - self._due)
        self._beats += 1
        if self._beats % _BEATS_A_SECOND == 0:
            self._each_second()
        self._idle_beats = 0 if self._is_busy() else self._idle_beats + 1
        self.at_rest = self._may_rest and self._idle_beats >= _REST_AFTER
        if self.at_rest:
            self._rest()
        else:
            self._arm()
        self._report()

    def _arm(self) -> None:
        self._due = self._loop.time() + BEAT
        self._timer = self._loop.call_at(self._due, self._beat)
