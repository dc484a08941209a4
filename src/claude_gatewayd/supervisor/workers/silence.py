"""Workers that have stopped beating: when to ask, when to raise an alarm, and when to end one."""

import asyncio
import logging
import signal

from claude_gatewayd.supervisor.workers.worker_process import WorkerProcess

logger = logging.getLogger(__name__)

TICK = 0.25
_PROBE = 2  # ticks of silence: a beat did not come
_ALARM = 4  # ticks of silence: three beats did not come
_TOO_LONG = 40  # ticks
_REMEMBERED = 30.0  # seconds


class SilenceWatch:
    """Watch the beats of workers. Ticks are counted, not time, so that a suspend is not taken for a hang."""

    def __init__(self) -> None:
        self._alarms: list[float] = []

    def is_alarming(self, worker: WorkerProcess) -> bool:
        """Note that a tick has passed without a beat of a worker's; return whether another one should stand in.

        One that has been silent for too long is ended.
        """
        if worker.at_rest:
            return False
        worker.silent_for += 1
        silent = worker.silent_for
        if silent == _PROBE:
            worker.probe()  # its beat may be lost, and it at rest
        if silent == _TOO_LONG:
            worker.kill(signal.SIGUSR1)  # faulthandler prints where it hangs; SIGABRT has macOS show a dialog
            logger.error("generation %d has been silent for %g s: ending it", worker.number, silent * TICK)
        elif silent > _TOO_LONG + 2 / TICK:
            worker.kill(signal.SIGKILL)
        return silent == self._alarm_after()

    def note_alarm(self) -> None:
        """Note that an alarm was raised: a machine with many of them is slow, and its workers do not hang."""
        self._alarms.append(asyncio.get_running_loop().time())

    def is_still_silent(self, worker: WorkerProcess) -> bool:
        """Whether a worker for which there was an alarm has not beaten since."""
        return worker.silent_for >= _ALARM

    def _alarm_after(self) -> int:
        """Return how many ticks of silence raise an alarm: more, the more alarms there have been lately."""
        now = asyncio.get_running_loop().time()
        self._alarms = [at for at in self._alarms if now - at < _REMEMBERED]
        return min(_ALARM << max(0, len(self._alarms) - 1), _TOO_LONG - 1)
