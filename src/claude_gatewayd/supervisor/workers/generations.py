"""All generations: one serves, older ones drain. Start, reload, upgrade and recovery are all `replace`."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from claude_gatewayd.ipc import wire
from claude_gatewayd.problem import Problem
from claude_gatewayd.supervisor.workers.back_off import BackOff
from claude_gatewayd.supervisor.workers.launch import FIRST, Launched, LaunchSpec
from claude_gatewayd.supervisor.workers.predecessors import Predecessors
from claude_gatewayd.supervisor.workers.silence import SilenceWatch
from claude_gatewayd.supervisor.workers.snapshots import combined
from claude_gatewayd.supervisor.workers.starting import Starter, system_problem
from claude_gatewayd.supervisor.workers.worker_process import WorkerProcess, WorkerState

logger = logging.getLogger(__name__)

LINGER = 6.0  # longer than a client waits between two requests of one task (measured with Claude Code)


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
        self.current: WorkerProcess | None = None
        self.past: dict[str, Any] = {}  # the combined snapshots of all that have ended
        self._interpreter = sys.executable
        self._listener = listener
        self._bound = bound
        self._refuse = refuse
        self._before = before
        self._on_work = on_work
        self._launched = launched
        self._starter = Starter(on_work, self._pass_on, self.reap)
        self._siblings: list[WorkerProcess] = []  # of the current one, where a generation has several workers
        self._gathering: list[WorkerProcess] = []  # serves, and waits for the others of its generation
        self._draining: list[WorkerProcess] = []
        self._number = FIRST - 1
        self._back_off = BackOff()
        self._silence = SilenceWatch()
        self._alarm: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._recovery: asyncio.Task[None] | None = None
        self._filling: asyncio.Task[None] | None = None
        self._stopping = False
        self._is_leaving = False

    def __iter__(self) -> Iterator[WorkerProcess]:
        yield from self.serving
        yield from self._gathering
        yield from self._starter.under_way
        yield from self._draining

    @property
    def serving(self) -> list[WorkerProcess]:
        """The workers of the current generation, the first of them first."""
        return [] if self.current is None else [self.current, *self._siblings]

    async def replace(self, interpreter: str = "", *, forgets: bool = False) -> list[Problem]:
        """Start a generation, wait until it serves, drain the older one. On failure the older one stays; returns why.

        *interpreter* runs it, by default that of the generation before. *forgets* is as in `LaunchSpec`.
        """
        async with self._one_at_a_time:
            return await self._replace(interpreter or self._interpreter, forgets=forgets)

    async def _replace(self, interpreter: str, *, forgets: bool = False) -> list[Problem]:
        if self._stopping:
            return [system_problem("daemon", "it is stopping")]
        succeeds = self.current is not None or bool(self._before)
        new, problems = await self._start(interpreter, succeeds=succeeds, forgets=forgets)
        if new is None:
            return [system_problem("daemon", "it is stopping")] if self._stopping else problems
        before, self._interpreter = self._interpreter, interpreter
        if not self.serving and not self._before:  # nobody serves: the others follow
            self._hand_over(new)
            self._fill_soon(waits=False)
            return []
        if problems := await self._hand_over_to_all(new, forgets=forgets):
            self._interpreter = before
        return problems

    async def _hand_over_to_all(self, first: WorkerProcess, *, forgets: bool) -> list[Problem]:
        """Start the other workers of a generation, and hand over when all of them serve."""
        self._gathering = [first]
        try:
            starts = [self._start_sibling(first, forgets=forgets) for _ in range(first.siblings_wanted)]
            outcomes = await asyncio.gather(*starts)
        finally:
            gathered, self._gathering = self._gathering, []
        siblings = [worker for worker, _ in outcomes if worker is not None]
        problems = [problem for _, problems in outcomes for problem in problems][:1]
        if not gathered:
            problems = [system_problem("worker", "ended before the others of its generation served")]
        if problems:
            for worker in (*gathered, *siblings):
                self._retire(worker)
        else:
            self._hand_over(first, siblings)
        return problems

    async def _start(
        self, interpreter: str, *, succeeds: bool, forgets: bool = False
    ) -> tuple[WorkerProcess | None, list[Problem]]:
        """Start a generation. A failure does not affect the one that serves."""
        older, before = self.serving, self._before
        with_engine = any(one.has_engine for one in older) or (not older and before is not None and before.have_engine)
        spec = LaunchSpec(interpreter, self._listener, self._bound, succeeds, with_engine, forgets=forgets)
        return await self._begin(spec, self.current)

    async def probe(self) -> list[Problem]:
        """Start a generation that ends where it would begin to serve. Returns why it would not get there."""
        spec = LaunchSpec(self._interpreter, self._listener, self._bound, probe=True)
        one, problems = await self._begin(spec, None)
        if one is not None:
            self._draining.append(one)
        if one is not None and await asyncio.shield(one.ended) != 0:
            problems = [system_problem("worker", f"ended with {one.how_it_ended}", "look at the log: it printed why")]
        return problems

    async def _begin(
        self, spec: LaunchSpec, lender: WorkerProcess | None
    ) -> tuple[WorkerProcess | None, list[Problem]]:
        """Start the first worker of a new generation."""
        self._number += 1
        launched, self._launched = self._launched, None
        return await self._starter.start(self._number, spec, lender, launched)

    async def _start_sibling(
        self, first: WorkerProcess, *, forgets: bool = False
    ) -> tuple[WorkerProcess | None, list[Problem]]:
        """Start another worker of the generation of *first*, which serves already."""
        engine = first.has_engine
        spec = LaunchSpec(self._interpreter, self._listener, self._bound, True, engine, forgets=forgets)
        return await self._starter.start(first.number, spec, first)

    def _hand_over(self, new: WorkerProcess, siblings: Sequence[WorkerProcess] = ()) -> None:
        """Make *new* the current generation and drain the other. Cannot fail: what can fail belongs in `_start`."""
        older = self.serving
        self.current, self._siblings = new, list(siblings)
        for worker in self.serving:
            self._serves(worker)
        self._refuse([])
        for worker in older:
            self._retire(worker)
        if older:
            logger.info("generation %d drains", older[0].number)

    def _serves(self, worker: WorkerProcess) -> None:
        """Have a worker know how things are, from now on."""
        worker.probe()  # from then on it may rest
        if self._is_leaving:
            worker.leave()

    def _retire(self, worker: WorkerProcess) -> None:
        worker.drain(LINGER)
        self._draining.append(worker)

    def _pass_on(self, source: WorkerProcess, fact: wire.Message) -> None:
        """Let all other workers know what one has found out. What it is, only they understand."""
        line = WorkerProcess.fact_line(fact)  # once: a generation may have 64 workers
        for generation in self:
            if generation is not source:
                generation.take_fact(line)

    def tell_all(self, fact: wire.Message) -> None:
        """Let all workers know what is known here."""
        line = WorkerProcess.fact_line(fact)
        for generation in self:
            generation.take_fact(line)

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
                if generation.ended.result():
                    logger.error("generation %d died while it drained: %s", generation.number, generation.how_it_ended)
                else:
                    logger.info("generation %d has ended", generation.number)
            elif generation is self.current and not self._siblings:
                self.current = None
                self._crashed(generation)
            elif generation in self._gathering:
                self._gathering.remove(generation)
            elif generation in self.serving:
                self._siblings = [worker for worker in self.serving if worker is not generation]
                self.current = self._siblings.pop(0)
                self._died_among_others(generation)

    def _crashed(self, generation: WorkerProcess) -> None:
        if self._stopping:
            return
        self._back_off.note_end(generation)
        self.hurry()
        self.recover([])
        logger.error("generation %d (pid %d) died: %s", generation.number, generation.pid, generation.how_it_ended)

    def _died_among_others(self, worker: WorkerProcess) -> None:
        if self._stopping:
            return
        self._back_off.note_end(worker)
        self._fill_soon(waits=True)
        how = worker.how_it_ended
        logger.error("a worker of generation %d (pid %d) died: %s; others serve", worker.number, worker.pid, how)

    def _fill_soon(self, *, waits: bool) -> None:
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._fill_up(waits=waits))

    async def _fill_up(self, *, waits: bool) -> None:
        """Start workers in place of those that have died. With another configuration, it is another generation."""
        if waits:
            await self._back_off.wait()
        while (first := self.current) is not None and not self._stopping:
            if len(self._siblings) >= first.siblings_wanted:
                return
            async with self._one_at_a_time:
                if self.current is not first or self._stopping:
                    continue
                new, problems = await self._start_sibling(first)
                if new is not None and new.mark != first.mark:
                    self._retire(new)
                    problems = await self._replace(self._interpreter)
                elif new is not None:
                    self._siblings.append(new)
                    self._serves(new)
            for problem in problems:
                logger.error("cannot start another worker of generation %d: %s", first.number, problem)
            if problems:
                await self._back_off.wait()

    def hurry(self) -> None:
        """Order a starting generation to serve as soon as it can: no other does."""
        self._starter.hurry()

    def recover(self, known: list[Problem]) -> None:
        """Start generations until one serves. *known* problems have been logged already."""
        if self._recovery is None or self._recovery.done():
            self._recovery = asyncio.create_task(self._recover(known))

    async def _recover(self, known: list[Problem]) -> None:
        # The first wait is short: connections queue in the kernel meanwhile.
        while self.current is None and not self._stopping:
            await self._back_off.wait()
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
        serving = self.serving
        return bool(serving) and all(g.at_rest for g in serving) and list(self) == serving and not self.busy

    async def probed(self, seconds: float) -> bool:
        """Have all that serve send a beat, and return whether they did so within *seconds*."""
        return all(await asyncio.gather(*(worker.probed(seconds) for worker in self.serving)))

    async def refresh(self, seconds: float) -> None:
        """Have a generation that is at rest send a fresh snapshot, within *seconds*."""
        await asyncio.gather(*(worker.probed(seconds) for worker in self.serving if worker.at_rest))

    def tick(self) -> None:
        """Check the heartbeats, every TICK."""
        for worker in self:
            worker.end_overdue()
            if not (worker.state in ("serving", "draining") and worker.beats):
                continue
            if self._silence.is_alarming(worker) and worker in self.serving:
                self._alarm = asyncio.create_task(self._stand_in(worker))

    async def _stand_in(self, silent: WorkerProcess) -> None:
        """Start a generation in place of one that seems to hang, and give that one time to recover."""
        self._silence.note_alarm()
        logger.warning("generation %d is silent: another one stands in", silent.number)
        if self._starter.under_way:
            self.hurry()
            return
        async with self._one_at_a_time:
            if silent not in self.serving or self._stopping or self.current is None:
                return
            if self._siblings:
                new, problems = await self._start_sibling(self.current)
            else:
                new, problems = await self._start(self._interpreter, succeeds=False)
            if new is not None:
                self._stands_in(new, silent)
        for problem in problems:
            logger.error("no other generation can stand in: %s", problem)

    def _stands_in(self, new: WorkerProcess, silent: WorkerProcess) -> None:
        """Put a worker that serves in the place of a silent one, unless that speaks again."""
        if not self._silence.is_still_silent(silent):  # a false alarm: the older one has LiteLLM and keys, so it stays
            self._retire(new)
            logger.info("generation %d speaks again, generation %d drains", silent.number, new.number)
        elif self._siblings:
            self._siblings = [worker for worker in (*self.serving, new) if worker is not silent]
            self.current = self._siblings.pop(0)
            self._serves(new)
            self._retire(silent)
        else:
            self._hand_over(new)

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
        self._starter.kill()

    def kill(self) -> None:
        """Kill all generations."""
        self._stopping = True
        for generation in self:
            generation.kill(signal.SIGKILL)

    @property
    def busy(self) -> bool:
        """Return whether a generation is being started."""
        return self._one_at_a_time.locked()

    def hand_over(self) -> list[WorkerState]:
        """Return what `resume` needs in the next version."""
        return [generation.hand_over() for generation in self]

    def undo_hand_over(self) -> None:
        """Take all generations back: the hand-over failed."""
        for generation in self:
            generation.undo_hand_over()

    def resume(self, states: Sequence[WorkerState], past: dict[str, Any]) -> None:
        """Continue with the generations that the version before us has handed over."""
        self.past = past
        for state in states:
            self._number = max(self._number, state.number)
            generation = WorkerProcess.resumed(state)
            self._starter.adopt(generation)
            if generation.state == "serving":
                if self.current is None:
                    self.current = generation
                else:
                    self._siblings.append(generation)
                generation.probe()
            else:
                self._draining.append(generation)
        self._fill_soon(waits=False)
        self.reap()  # a SIGCHLD during the exec is lost
