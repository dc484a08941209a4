"""All generations: one serves, older ones drain. Start, reload, upgrade and recovery are all `replace`."""

import asyncio
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from claude_gatewayd.ipc import wire
from claude_gatewayd.problem import Problem
from claude_gatewayd.supervisor.workers.generation import Generation, GenerationState
from claude_gatewayd.supervisor.workers.launch import FIRST, Launched, LaunchSpec
from claude_gatewayd.supervisor.workers.predecessors import Predecessors
from claude_gatewayd.supervisor.workers.snapshots import combined

logger = logging.getLogger(__name__)

TICK = 0.25
LINGER = 6.0  # longer than a client waits between two requests of one task (measured with Claude Code)
_START_WITHIN = 90.0
_PROBE = 2  # ticks of silence: a beat did not come
_ALARM = 4  # ticks of silence: three beats did not come
_SILENT_TOO_LONG = 40  # ticks
_BACK_OFF = 0.2
_MOST_BACK_OFF = 30.0
_STABLE_AFTER = 30.0


class Generations:
    """Keep one generation serving on *listener*.

    *refuse* is called with the problems when no generation can serve, and with an empty list when one does again.
    *before* are workers of an earlier supervisor, which serve until one of ours does. *on_work* is called when a
    generation that was at rest gets work, or when one begins or ends. *launched* is the first generation's process,
    where it runs already.
    """

    def __init__(
        self,
        listener: socket.socket,
        bound: str,
        refuse: Callable[[list[Problem]], None],
        before: Predecessors | None = None,
        on_work: Callable[[], None] = lambda: None,
        launched: Launched | None = None,
    ) -> None:
        self.current: Generation | None = None
        self.past: dict[str, Any] = {}  # the combined snapshots of all that have ended
        self._interpreter = sys.executable
        self._listener = listener
        self._bound = bound
        self._refuse = refuse
        self._before = before
        self._on_work = on_work
        self._launched = launched
        self._draining: list[Generation] = []
        self._starting: Generation | None = None
        self._number = FIRST - 1
        self._back_off = _BACK_OFF
        self._alarms: list[float] = []
        self._alarm: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._recovery: asyncio.Task[None] | None = None
        self._stopping = False
        self._is_leaving = False

    def __iter__(self) -> Iterator[Generation]:
        yield from (g for g in (self.current, self._starting) if g is not None)
        yield from self._draining

    async def replace(self, interpreter: str = "", *, forgets: bool = False) -> list[Problem]:
        """Start a generation, wait until it serves, drain the older one. On failure the older one stays; returns why.

        *interpreter* runs it, by default that of the generation before. *forgets* is as in `LaunchSpec`.
        """
        async with self._one_at_a_time:
            return await self._replace(interpreter or self._interpreter, forgets=forgets)

    async def _replace(self, interpreter: str, *, forgets: bool = False) -> list[Problem]:
        if self._stopping:
            return [_system("daemon", "it is stopping")]
        succeeds = self.current is not None or bool(self._before)
        new, problems = await self._start(interpreter, succeeds=succeeds, forgets=forgets)
        if new is None:
            return [_system("daemon", "it is stopping")] if self._stopping else problems
        self._interpreter = interpreter
        self._hand_over(new)
        return []

    async def _start(
        self, interpreter: str, *, succeeds: bool, forgets: bool = False
    ) -> tuple[Generation | None, list[Problem]]:
        """Start a generation. A failure does not affect the one that serves."""
        older = self.current
        with_engine = older.has_engine if older is not None else self._before is not None and self._before.have_engine
        spec = LaunchSpec(interpreter, self._listener, self._bound, succeeds, with_engine, forgets=forgets)
        return await self._begin(spec)

    async def probe(self) -> list[Problem]:
        """Start a generation that ends where it would begin to serve. Returns why it would not get there."""
        spec = LaunchSpec(self._interpreter, self._listener, self._bound, probe=True)
        one, problems = await self._begin(spec)
        if one is not None:
            self._draining.append(one)
        if one is not None and (status := await asyncio.shield(one.ended)):
            problems = [_system("worker", f"ended with {_describe_exit(status)}", "look at the log: it printed why")]
        return problems

    async def _begin(self, spec: LaunchSpec) -> tuple[Generation | None, list[Problem]]:
        self._number += 1
        launched, self._launched = self._launched, None
        begun = launched.at if launched else time.monotonic()
        try:
            new = Generation.launched(self._number, launched) if launched else Generation.start(self._number, spec)
        except OSError as error:
            why = f"cannot be started by {spec.interpreter}: {error.strerror or error}"
            return None, [_system("worker", why, "make install, in the checkout of claude-gatewayd")]
        self._on_work()
        new.on_work, new.on_fact = self._on_work, self._pass_on
        self._starting = new
        if launched:
            self.reap()  # its SIGCHLD may have come before anybody handled it
        if self.current is not None and not spec.probe:
            self.current.lend_keys(new)
        try:
            async with asyncio.timeout(_START_WITHIN):
                await asyncio.shield(new.settled)
        except TimeoutError:
            new.kill(signal.SIGKILL)
            await new.ended
            return None, [_system("worker", f"did not serve within {_START_WITHIN:g} s and was ended")]
        finally:
            self._starting = None
        if new.state == "serving":
            logger.info("generation %d (pid %d) serves after %.2f s", new.number, new.pid, time.monotonic() - begun)
            return new, []
        if new.problems:
            return None, new.problems
        status = await new.ended
        return None, [
            _system("worker", f"ended with status {status} before it served", "look at the log: it printed why")
        ]

    def _hand_over(self, new: Generation) -> None:
        """Make *new* the current generation and drain the other. Cannot fail: what can fail belongs in `_start`."""
        old, self.current = self.current, new
        new.probe()  # from then on it may rest
        if self._is_leaving:
            new.leave()
        self._refuse([])
        if old is not None:
            old.drain(LINGER)
            self._draining.append(old)
            logger.info("generation %d drains", old.number)

    def _pass_on(self, source: Generation, fact: wire.Message) -> None:
        """Let all other workers know what one has found out. What it is, only they understand."""
        for generation in self:
            if generation is not source:
                generation.take_fact(fact)

    def reap(self) -> None:
        """Handle workers that have ended. Called on SIGCHLD."""
        self._on_work()
        for generation in list(self):
            generation.reap()
            if generation.state != "ended":
                continue
            self.past = combined([self.past, generation.snapshot])
            if generation in self._draining:
                self._draining.remove(generation)
                if status := generation.ended.result():
                    logger.error("generation %d died while it drained: %s", generation.number, _describe_exit(status))
                else:
                    logger.info("generation %d has ended", generation.number)
            elif generation is self.current:
                self.current = None
                self._crashed(generation)

    def _crashed(self, generation: Generation) -> None:
        if self._stopping:
            return
        status = generation.ended.result()
        served = time.time() - (generation.serving_since or time.time())
        if served > _STABLE_AFTER:
            self._back_off = _BACK_OFF
        self.hurry()
        self.recover([])
        logger.error("generation %d (pid %d) died: %s", generation.number, generation.pid, _describe_exit(status))

    def hurry(self) -> None:
        """Order a starting generation to serve as soon as it can: no other does."""
        if self._starting is not None:
            self._starting.hurry()

    def recover(self, known: list[Problem]) -> None:
        """Start generations until one serves. *known* problems have been logged already."""
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
                problems = await self._replace(self._interpreter)
            if problems and not self._stopping:
                self._refuse(problems)
                if problems != known:
                    for problem in problems:
                        logger.error("cannot serve: %s", problem)
                known = problems

    # -- hung workers

    @property
    def at_rest(self) -> bool:
        """Return whether there is one generation only, and nobody asks anything of it."""
        current = self.current
        return current is not None and current.at_rest and list(self) == [current] and not self.busy

    async def refresh(self, seconds: float) -> None:
        """Have a generation that is at rest send a fresh snapshot, within *seconds*."""
        if self.current is not None and self.current.at_rest:
            await self.current.probed(seconds)

    def tick(self) -> None:
        """Check the heartbeats, every TICK. Ticks are counted, not time, so that a suspend is not taken for a hang."""
        for generation in self:
            generation.end_overdue()
            if generation.state in ("serving", "draining") and generation.beats:
                self._watch(generation)

    def _watch(self, generation: Generation) -> None:
        if generation.at_rest:
            return
        generation.silent_for += 1
        silent = generation.silent_for
        if silent == _PROBE:
            generation.probe()  # its beat may be lost, and it at rest
        if generation is self.current and silent == self._alarm_after():
            self._alarm = asyncio.create_task(self._stand_in(generation))
        if silent == _SILENT_TOO_LONG:
            generation.kill(signal.SIGUSR1)  # faulthandler prints where it hangs; SIGABRT has macOS show a dialog
            logger.error("generation %d has been silent for %g s: ending it", generation.number, silent * TICK)
        elif silent > _SILENT_TOO_LONG + 2 / TICK:
            generation.kill(signal.SIGKILL)

    def _alarm_after(self) -> int:
        """Return how many ticks of silence raise an alarm: more, the more alarms there have been lately."""
        now = asyncio.get_running_loop().time()
        self._alarms = [at for at in self._alarms if now - at < _STABLE_AFTER]
        return min(_ALARM << max(0, len(self._alarms) - 1), _SILENT_TOO_LONG - 1)

    async def _stand_in(self, silent: Generation) -> None:
        """Start a generation in place of one that seems to hang, and give that one time to recover."""
        self._alarms.append(asyncio.get_running_loop().time())
        logger.warning("generation %d is silent: another one stands in", silent.number)
        if self._starting is not None:
            self.hurry()
            return
        async with self._one_at_a_time:
            if self.current is not silent or self._stopping:
                return
            new, problems = await self._start(self._interpreter, succeeds=False)
            if new is not None and silent.silent_for >= _ALARM:
                self._hand_over(new)
            elif new is not None:  # a false alarm: the older one has LiteLLM and keys, so it stays
                new.drain(LINGER)
                self._draining.append(new)
                logger.info("generation %d speaks again, generation %d drains", silent.number, new.number)
        for problem in problems:
            logger.error("no other generation can stand in: %s", problem)

    # -- shutdown and hand-over to the next version

    def leave(self) -> float:
        """Have load balancers told that the daemon ends. Return for how many seconds it is to serve on."""
        self._is_leaving = True
        for generation in self:
            generation.leave()
        return float(self.current.snapshot.get("leave_after", 0.0)) if self.current is not None else 0.0

    async def stop(self, linger: float = 0.0) -> None:
        """Drain all generations, and return when they have ended."""
        self._stopping = True  # ends a recovery; cancelling it could orphan a worker that it has just started
        everyone = list(self)
        for generation in everyone:
            generation.drain(linger)
        await asyncio.gather(*(asyncio.shield(generation.ended) for generation in everyone))

    def start_no_more(self) -> None:
        """Start no more generations, and kill one that does not serve yet."""
        self._stopping = True
        if self._starting is not None:
            self._starting.kill(signal.SIGKILL)

    def kill(self) -> None:
        """Kill all generations."""
        self._stopping = True
        for generation in self:
            generation.kill(signal.SIGKILL)

    @property
    def busy(self) -> bool:
        """Return whether a generation is being started."""
        return self._one_at_a_time.locked()

    def hand_over(self) -> list[GenerationState]:
        """Return what `resume` needs in the next version."""
        return [generation.hand_over() for generation in self]

    def undo_hand_over(self) -> None:
        """Take all generations back: the hand-over failed."""
        for generation in self:
            generation.undo_hand_over()

    def resume(self, states: Sequence[GenerationState], past: dict[str, Any]) -> None:
        """Continue with the generations that the version before us has handed over."""
        self.past = past
        for state in states:
            self._number = max(self._number, state.number)
            generation = Generation.resumed(state)
            generation.on_work, generation.on_fact = self._on_work, self._pass_on
            if generation.state == "serving":
                self.current = generation
                generation.probe()
            else:
                self._draining.append(generation)
        self.reap()  # a SIGCHLD during the exec is lost


def _system(where: str, message: str, hint: str = "") -> Problem:
    return Problem(where, message, hint, "system")


def _describe_exit(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
