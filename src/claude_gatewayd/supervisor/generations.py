"""All generations: one serves, older ones drain. Start, reload, upgrade and recovery are the same act, `replace`."""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from claude_gatewayd.model import Problem
from claude_gatewayd.supervisor import status as telling
from claude_gatewayd.supervisor.generation import Generation

logger = logging.getLogger(__name__)

LINGER = 6.0  # longer than a client waits between two requests of one task (measured with Claude Code)
_START_WITHIN = 90.0
_SILENT_TOO_LONG = 10  # ticks of a second
_BACK_OFF = 0.2
_MOST_BACK_OFF = 30.0
_STABLE_AFTER = 30.0


class Generations:
    """Keep one generation serving on *listener*.

    *refuse* is called with problems when none can serve, and with none when one does again.
    """

    def __init__(self, listener: socket.socket, bound: str, refuse: Callable[[list[Problem]], None]) -> None:
        self.current: Generation | None = None
        self.past: dict[str, Any] = {}  # what all that have ended saw
        self._listener = listener
        self._bound = bound
        self._refuse = refuse
        self._draining: list[Generation] = []
        self._starting: Generation | None = None
        self._number = 0
        self._back_off = _BACK_OFF
        self._one_at_a_time = asyncio.Lock()
        self._recovery: asyncio.Task[None] | None = None
        self._stopping = False

    def __iter__(self) -> Iterator[Generation]:
        yield from (g for g in (self.current, self._starting) if g is not None)
        yield from self._draining

    async def replace(self) -> list[Problem]:
        """Start a generation, wait until it serves, let the older one drain. Return why it could not; then it stays."""
        async with self._one_at_a_time:
            return await self._replace()

    async def _replace(self) -> list[Problem]:
        if self._stopping:
            return [Problem("daemon", "it is stopping")]
        new, problems = await self._start()
        if new is None:
            return [Problem("daemon", "it is stopping")] if self._stopping else problems
        self._hand_over(new)
        return []

    async def _start(self) -> tuple[Generation | None, list[Problem]]:
        """Start a generation. It may fail, and touches nothing that serves."""
        self._number += 1
        begun = time.monotonic()
        try:
            new = Generation(self._number, self._listener, self._bound, self.current)
        except OSError as error:
            return None, [Problem("worker", f"cannot be started: {error.strerror or error}")]
        self._starting = new
        try:
            async with asyncio.timeout(_START_WITHIN):
                await asyncio.shield(new.settled)
        except TimeoutError:
            new.kill(signal.SIGKILL)
            await new.ended
            return None, [Problem("worker", f"did not serve within {_START_WITHIN:g} s and was ended")]
        finally:
            self._starting = None
        if new.state == "serving":
            logger.info("generation %d (pid %d) serves after %.2f s", new.number, new.pid, time.monotonic() - begun)
            return new, []
        if new.problems:
            return None, new.problems
        status = await new.ended
        return None, [
            Problem("worker", f"ended with status {status} before it served", "look at the log: it printed why")
        ]

    def _hand_over(self, new: Generation) -> None:
        """Make *new* the one that serves and drain the others. Cannot fail: what can fail belongs into `_start`."""
        old, self.current = self.current, new
        self._refuse([])
        if old is not None:
            logger.info("generation %d drains", old.number)
            old.drain(LINGER)
            self._draining.append(old)

    def reap(self) -> None:
        """Look which workers have ended. Called whenever a child has."""
        for generation in list(self):
            generation.reap()
            if generation.state != "ended":
                continue
            self.past = telling.together([self.past, generation.snapshot])
            if generation in self._draining:
                self._draining.remove(generation)
                logger.info("generation %d has ended", generation.number)
            elif generation is self.current:
                self.current = None
                self._crashed(generation)

    def _crashed(self, generation: Generation) -> None:
        if self._stopping:
            return
        status = generation.ended.result()
        logger.error("generation %d (pid %d) died: %s", generation.number, generation.pid, _death(status))
        served = time.time() - (generation.serving_since or time.time())
        if served > _STABLE_AFTER:
            self._back_off = _BACK_OFF
        self.recover([])

    def recover(self, known: list[Problem]) -> None:
        """Start generations until one serves. *known* problems are not logged again."""
        if self._recovery is None or self._recovery.done():
            self._recovery = asyncio.create_task(self._recover(known))

    async def _recover(self, known: list[Problem]) -> None:
        # The first wait is short: connections queue in the kernel meanwhile.
        while self.current is None and not self._stopping:
            await asyncio.sleep(self._back_off)
            self._back_off = min(self._back_off * 2, _MOST_BACK_OFF)
            async with self._one_at_a_time:
                if self.current is not None:  # a reload was faster
                    return
                problems = await self._replace()
            if problems and not self._stopping:
                if problems != known:
                    for problem in problems:
                        logger.error("cannot serve: %s", problem)
                known = problems
                self._refuse(problems)

    def tick(self) -> None:
        """Once a second: end a worker whose loop hangs. Ticks are counted, not time, so that a sleep is no hang."""
        for generation in self:
            if asyncio.get_running_loop().time() > generation.overdue_at:
                logger.error("generation %d does not end: ending it", generation.number)
                generation.kill(signal.SIGKILL)
        current = self.current
        if current is None or current.state != "serving":
            return
        current.silent_for += 1
        if current.silent_for == _SILENT_TOO_LONG:
            logger.error("generation %d has been silent for %d s: ending it", current.number, _SILENT_TOO_LONG)
            current.kill(signal.SIGABRT)  # faulthandler prints where it hangs
        elif current.silent_for > _SILENT_TOO_LONG + 2:
            current.kill(signal.SIGKILL)

    async def stop(self) -> None:
        """Let all finish what they are doing, and return when they have."""
        self._stopping = True  # a recovery sees it; cancelled, it would forget the worker that it has just started
        everyone = list(self)
        for generation in everyone:
            generation.drain(0.0)
        await asyncio.gather(*(asyncio.shield(generation.ended) for generation in everyone))

    def kill(self) -> None:
        """End all at once."""
        self._stopping = True
        for generation in self:
            generation.kill(signal.SIGKILL)


def _death(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
