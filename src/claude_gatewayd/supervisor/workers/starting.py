"""The start of one worker: until it serves, or has said why it cannot."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable

from claude_gatewayd.ipc import wire
from claude_gatewayd.problem import Problem
from claude_gatewayd.supervisor.workers.launch import Launched, LaunchSpec
from claude_gatewayd.supervisor.workers.worker_process import WorkerProcess

logger = logging.getLogger(__name__)

_START_WITHIN = 90.0


class Starter:
    """Start workers; *under_way* are those that do not serve yet.

    *on_work* and *on_fact* are given to each of them. *reap* looks for processes that have ended.
    """

    def __init__(
        self,
        on_work: Callable[[], None],
        on_fact: Callable[[WorkerProcess, wire.Message], None],
        reap: Callable[[], None],
    ) -> None:
        self.under_way: list[WorkerProcess] = []
        self._on_work = on_work
        self._on_fact = on_fact
        self._reap = reap

    async def start(
        self, number: int, spec: LaunchSpec, lender: WorkerProcess | None, launched: Launched | None = None
    ) -> tuple[WorkerProcess | None, list[Problem]]:
        """Start a worker of generation *number*, and return it when it serves; or None, and why it does not.

        *lender* lends it its AWS keys. *launched* is its process, where that runs already.
        """
        begun = launched.at if launched else time.monotonic()
        try:
            new = WorkerProcess.launched(number, launched) if launched else WorkerProcess.start(number, spec)
        except OSError as error:
            why = f"cannot be started by {spec.interpreter}: {error.strerror or error}"
            return None, [system_problem("worker", why, "make install, in the checkout of claude-gatewayd")]
        self._on_work()
        self.adopt(new)
        self.under_way.append(new)
        if launched:
            self._reap()  # its SIGCHLD may have come before anybody handled it
        if lender is not None:
            lender.lend_keys(new)
        try:
            async with asyncio.timeout(_START_WITHIN):
                await asyncio.shield(new.settled)
        except TimeoutError:
            new.kill(signal.SIGKILL)
            await new.ended
            return None, [system_problem("worker", f"did not serve within {_START_WITHIN:g} s and was ended")]
        finally:
            self.under_way.remove(new)
        if new.state == "serving":
            logger.info("generation %d (pid %d) serves after %.2f s", number, new.pid, time.monotonic() - begun)
            return new, []
        if new.problems:
            return None, new.problems
        status = await new.ended
        why = f"ended with status {status} before it served"
        return None, [system_problem("worker", why, "look at the log: it printed why")]

    def adopt(self, worker: WorkerProcess) -> None:
        """Have a worker report to us, also one that was started by the version before us."""
        worker.on_work, worker.on_fact = self._on_work, self._on_fact

    def hurry(self) -> None:
        """Order those that are starting to serve as soon as they can."""
        for worker in self.under_way:
            worker.hurry()

    def kill(self) -> None:
        """Kill those that do not serve yet."""
        for worker in self.under_way:
            worker.kill(signal.SIGKILL)


def system_problem(where: str, message: str, hint: str = "") -> Problem:
    """Return a problem that is not one of the configuration."""
    return Problem(where, message, hint, "system")
