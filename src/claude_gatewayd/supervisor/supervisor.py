"""The daemon from start to end: run generations, reload, upgrade in place, hand the workers over, shut down.

    systemd, launchd --socket, signals--> supervisor --inherited socket, socket pair--> worker, generation N

The supervisor owns the listening socket, the control socket, the signals and the link to the service manager. A worker
is one generation: one configuration, one set of imports. A start, a reload, an upgrade and the recovery from a crash
are all the same: start a generation, wait until it serves, let the older one finish what it has in flight.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import claude_gatewayd
from claude_gatewayd import paths
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc.place import Place
from claude_gatewayd.problem import Problem
from claude_gatewayd.service.notify import Notifier
from claude_gatewayd.supervisor import SIGNALS, reexec, terminal
from claude_gatewayd.supervisor import status as status_report
from claude_gatewayd.supervisor.commands import Commands
from claude_gatewayd.supervisor.listener import Listener
from claude_gatewayd.supervisor.reexec import Program, SupervisorState
from claude_gatewayd.supervisor.rest import REST, Rest
from claude_gatewayd.supervisor.unavailable import Unavailable
from claude_gatewayd.supervisor.workers import departure, scope
from claude_gatewayd.supervisor.workers.generations import Generations
from claude_gatewayd.supervisor.workers.launch import Launched
from claude_gatewayd.supervisor.workers.predecessors import Predecessors
from claude_gatewayd.supervisor.workers.silence import TICK
from claude_gatewayd.supervisor.workers.snapshots import combined, together
from claude_gatewayd.supervisor.workers.worker_process import WorkerState
from claude_gatewayd.system import memory

logger = logging.getLogger(__name__)

_TICKS_A_SECOND = round(1 / TICK)
_LOGOUT_DRAIN = 15.0  # how long a log-out or a shutdown waits for streams
_AFTER_LEAVING = 2.0  # seconds: a balancer may open a connection, or take one it keeps, as the port closes
_START_EXTENSION = 10.0
_RENEW_INTERVAL = 30.0  # between reloads because of files that were replaced


@dataclass(frozen=True, slots=True)
class Resources:
    """What a supervisor keeps open for as long as it lives, also when it becomes another version of itself.

    *launched* is a worker that was started already.
    """

    listener: Listener
    place: Place
    managed: bool
    launched: Launched | None = None


class Supervisor:
    """Keep a generation serving until asked to stop. *before* is the state left by the version that we replaced."""

    def __init__(self, resources: Resources, before: SupervisorState | None) -> None:
        self._place = resources.place
        self._listener = resources.listener
        self._url = self._listener.url  # known also when the socket is closed
        self._managed = resources.managed
        self._before = before
        self._program = Program.own()
        self.program_path = self._program.path
        self._unit = scope.own_unit()
        self._loop = asyncio.get_running_loop()
        self._notifier = Notifier(os.environ)
        self._unavailable = Unavailable(self._listener.socket)
        self._predecessors = Predecessors(paths.predecessors_file(os.environ))
        self._problems: list[Problem] = []  # why no generation can serve
        self._rest = Rest(self._listener.socket)
        self.generations = Generations(
            self._listener.socket,
            self._listener.bound,
            self._refuse,
            self._predecessors,
            self._rest.disturb,
            resources.launched,
        )
        self._started_at = before.started_at if before else time.time()
        self._had_terminal = before.had_terminal if before else terminal.is_there()
        self._outlives_terminal = (  # nohup(1)
            before.outlives_terminal if before else signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        )
        self._stop_asked = asyncio.Event()
        self._end_asked = asyncio.Event()  # at once
        self._state = "starting"
        self._reload_asked: asyncio.Future[list[Problem]] | None = None
        self._forgets = False  # the reload that was asked for forgets what models at Bedrock have refused
        self._reloading: asyncio.Task[None] | None = None
        self._last_reload = before.last_reload if before else None
        self._renew_at = 0.0
        self._reexec_into = ""  # the interpreter of the version that takes over at the next idle moment

    async def run(self) -> list[Problem]:
        """Run until stopped. Returns the problems that kept it from starting."""
        self._handle_signals()
        await self._place.serve(Commands(self).by_name())
        ticks = self._loop.create_task(self._tick())
        try:
            if self._before is not None:
                self._resume(self._before)
            elif problems := await self._startup():
                return problems
            await self._stop_asked.wait()
            await self._shutdown()
            return []
        finally:
            ticks.cancel()
            self._place.leave()

    # -- startup, shutdown

    async def _startup(self) -> list[Problem]:
        """Start the first generation. Returns the problems if it failed and nothing would retry."""
        starting = self._loop.create_task(self.generations.replace())
        stopping = self._loop.create_task(self._stop_asked.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            self.generations.kill()
        problems = await starting
        if self._stop_asked.is_set():
            return []
        if problems and not self._managed:
            return problems
        if problems:
            self._refuse(problems)
            self.generations.recover(problems)
            for problem in problems:
                logger.error("cannot serve: %s", problem)
        self._state = "serving"
        self._notifier.ready(status_report.one_line(self.status(), time.time()))
        if not problems and not self._managed:
            terminal.greet(self._url)
        return []

    def _resume(self, before: SupervisorState) -> None:
        """Continue where the version before us stopped."""
        self.generations.resume(before.generations, before.past)
        self._state = "serving"
        self._notifier.ready(status_report.one_line(self.status(), time.time()))
        logger.info("claude-gatewayd %s goes on as pid %d", claude_gatewayd.__version__, os.getpid())

    def _refuse(self, problems: list[Problem]) -> None:
        """Answer with *problems* while no worker serves, not even a predecessor's; an empty list says that ours do."""
        self._problems = problems
        if not problems:
            self._predecessors.dismiss()
        self._unavailable.answer_with([] if self._predecessors else problems)

    async def _shutdown(self) -> None:
        self._state = "stopping"
        self._notifier.stopping()
        if paths.is_agent(os.environ) and not self._listener.bound:
            departure.leave_draining(self.generations, self._predecessors)
            logger.info("stopped")
            return
        job = await scope.job_of(self._unit) if self._unit else None
        # the next supervisor could not bind a port that a worker of ours still listens on
        stay = job != "stop" and not self._listener.bound
        if job in ("", "restart", "stop") and await departure.leave(
            self._unit, self.generations, self._predecessors, stay=stay
        ):
            logger.info("stopped")
            return
        linger = await self._leave()
        under_way = sum(g.snapshot.get("under_way", 0) for g in self.generations)
        self._predecessors.dismiss()
        self._unavailable.answer_with([])
        self._rest.close()
        self._listener.socket.close()
        logger.info("stopping: %d request%s under way (again to end at once)", under_way, "s"[under_way == 1 :])
        if job == "exit":
            self._loop.call_later(_LOGOUT_DRAIN, self.generations.kill)
        await self.generations.stop(linger)
        logger.info("stopped")

    async def _leave(self) -> float:
        """Serve on until load balancers have noticed, by `[listen] leave_after`; return the linger of the drain."""
        if seconds := self.generations.leave():
            logger.info("leaving: serving on for %g s, while /readyz says no (again to end at once)", seconds)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._end_asked.wait(), seconds)
        return _AFTER_LEAVING if seconds else 0.0

    # -- signals

    def _handle_signals(self) -> None:
        self._loop.add_signal_handler(signal.SIGCHLD, self.generations.reap)
        self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _on_hangup(self) -> None:
        """Reload; or stop, if the signal means that our terminal is gone and nohup(1) does not keep us."""
        if self._had_terminal and not terminal.is_there():
            terminal.leave()
            if not self._outlives_terminal:
                self.stop()
        else:
            self.reload()

    def stop(self) -> None:
        """End after what is under way; asked a second time, at once."""
        again = self._stop_asked.is_set()
        self._stop_asked.set()
        self._rest.disturb()
        if again:
            self._end_asked.set()
            self.generations.kill()
            logger.warning("ending at once")

    # -- reload

    def reload(self, *, forgets: bool = False) -> asyncio.Future[list[Problem]]:
        """Reload. Requests that come during a reload share the one that follows it. *forgets* is as in `LaunchSpec`."""
        self._forgets |= forgets
        if self._reload_asked is None:
            self._reload_asked = self._loop.create_future()
        if self._reloading is None:
            self._reloading = self._loop.create_task(self._reload_while_asked())
        return self._reload_asked

    async def _reload_while_asked(self) -> None:
        while self._reload_asked is not None:
            asked, self._reload_asked = self._reload_asked, None
            await self._place.look_after(os.environ)
            self._notifier.reloading()
            forgets, self._forgets = self._forgets, False
            problems = await self._reload_once(forgets=forgets)
            self._last_reload = {"at": time.time(), "applied": not problems, "problems": _dicts(problems)}
            asked.set_result(problems)
            for problem in problems:
                logger.error("not reloaded: %s", problem)
            if self._state == "stopping":
                continue
            current = self.generations.current
            if not problems and current is not None:
                logging.getLogger().setLevel(current.snapshot["log_level"].upper())
            if problems and current is None:
                self._refuse(problems)
            self._notifier.ready(status_report.one_line(self.status(), time.time()))
        self._reloading = None

    async def _reload_once(self, *, forgets: bool) -> list[Problem]:
        """Start a generation from what is installed now, and hand over to it. Returns why that failed."""
        try:
            program = Program.by_path()
        except GatewayError as error:
            return [Problem("installation", error.message, error.hint, "system")]
        if program != self._program and (problems := await self._check_successor(program.interpreter)):
            return problems
        if problems := await self.generations.replace(program.interpreter, forgets=forgets):
            self._reexec_into = ""
            return problems
        current = self.generations.current
        if program == self._program and current is not None and current.snapshot["code"] != self._program.code:
            # our interpreter imports the package from another place now, which we could not see change
            for problem in await self._check_successor(program.interpreter):
                logger.error("going on as claude-gatewayd %s: %s", claude_gatewayd.__version__, problem)
        return []

    async def _check_successor(self, interpreter: str) -> list[Problem]:
        """Arrange to be replaced by the version of *interpreter* if it can take over. Returns why it cannot."""
        problems = await reexec.check_successor(interpreter, self._as_state([]))
        self._reexec_into = "" if problems else interpreter
        self._rest.disturb()
        return problems

    # -- upgrade in place

    def _may_reexec(self) -> bool:
        """Return whether nothing is under way that the next version would not know of."""
        at_rest = self._state == "serving" and self._reloading is None and not self._stop_asked.is_set()
        return at_rest and self._place.is_at_rest and not (self.generations.busy or self._problems)

    def _reexec(self) -> None:
        interpreter, self._reexec_into = self._reexec_into, ""
        logger.info("going on with %s", interpreter)
        try:
            reexec.execute(interpreter, self._as_state(self.generations.hand_over()))
        except OSError as error:
            self.generations.undo_hand_over()
            logger.error("going on as we are, claude-gatewayd %s: %s", claude_gatewayd.__version__, error)

    def _as_state(self, generations: Sequence[WorkerState]) -> SupervisorState:
        return SupervisorState(
            listener=self._listener.socket.fileno(),
            bound=self._listener.bound,
            lock=self._place.lock.fileno(),
            control=self._place.fileno(),
            managed=self._managed,
            started_at=self._started_at,
            had_terminal=self._had_terminal,
            outlives_terminal=self._outlives_terminal,
            log_level=logging.getLevelName(logging.getLogger().level).lower(),
            last_reload=self._last_reload,
            past=self.generations.past,
            generations=tuple(generations),
        )

    # -- status

    def status(self) -> dict[str, Any]:
        """Return what `status --json` prints: docs/status-json.md."""
        generations = list(self.generations)
        seen = combined([self.generations.past, *(g.snapshot for g in generations)])
        current = self.generations.current
        problems = self._problems
        state = self._state
        if state == "serving" and current is None:
            state = ("refusing" if self._unavailable.problems else "waiting") if problems else "recovering"
        own = memory.resident()
        return {
            "state": state,
            "problems": _dicts(problems),
            "version": claude_gatewayd.__version__,
            "pid": os.getpid(),
            "uptime": round(time.time() - self._started_at, 1),
            "address": self._url,
            "proven": None,  # who asks finds out, at the address; without this, it is a daemon that cannot prove itself
            "inherited": not self._listener.bound,
            "config": {
                "path": current.snapshot.get("config") if current else None,
                "loaded_at": current.snapshot.get("config_loaded_at") if current else None,
            },
            **seen,
            **status_report.serving(together([worker.snapshot for worker in self.generations.serving])),
            "streams": sum(g.snapshot.get("streams", 0) for g in generations),
            "under_way": sum(g.snapshot.get("under_way", 0) for g in generations),
            "generations": status_report.generations(generations),
            "predecessors": self._predecessors.pids,
            "memory": {"supervisor": own, "workers": sum(g.snapshot.get("memory", 0) for g in generations)},
            "last_reload": self._last_reload,
        }

    async def _tick(self) -> None:
        """Look after everything, for ever. A fault of ours must not end that: hung workers would go unnoticed."""
        faulted = False
        while True:
            try:
                await self._look_after_all()
            except Exception:
                if not faulted:
                    faulted = True
                    logger.exception("cannot look after the workers: this is a fault of the daemon")
                await asyncio.sleep(TICK)

    async def _rests(self) -> bool:
        """Wait while everything is at rest, and probe the workers then. Return whether all is still so."""
        if not (self._may_reexec() and self.generations.at_rest) or self._reexec_into or self._predecessors:
            return False
        disturbed = await self._rest.until_disturbed(self._notifier.watchdog_interval(REST))
        return await self.generations.probed(TICK) and self.generations.current is not None and not disturbed

    async def _look_after_all(self) -> None:
        """Watch the workers, and feed the service manager's watchdog while the one that serves is alive."""
        if not await self._rests():
            for _ in range(_TICKS_A_SECOND):
                await asyncio.sleep(TICK)
                self.generations.tick()
                self._predecessors.tick()
                if self._reexec_into and self._may_reexec():
                    self._reexec()
        await self._place.look_after(os.environ)
        current = self.generations.current
        if current is None or current.silent_for * TICK <= 2:
            self._notifier.alive()
        if self._problems:
            self._refuse(self._problems)  # a predecessor may have ended
        is_outdated = any(worker.is_outdated for worker in self.generations.serving)
        if current is not None and is_outdated and self._loop.time() > self._renew_at:
            self._renew_at = self._loop.time() + _RENEW_INTERVAL
            self.reload()
            logger.warning("generation %d cannot load LiteLLM: the installation has changed", current.number)
        match self._state:
            case "starting":
                self._notifier.extend_timeout(_START_EXTENSION)
                if not self._predecessors:
                    self.generations.hurry()
            case "stopping":
                self._notifier.extend_timeout(5)
            case "serving" if self._reloading is None:
                self._notifier.status(status_report.one_line(self.status(), time.time()))


def _dicts(problems: list[Problem]) -> list[dict[str, str]]:
    return [problem.as_dict() for problem in problems]
