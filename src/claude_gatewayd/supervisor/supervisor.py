"""The daemon's life: serve by generations, take up what is installed, part from those who serve on, drain, end.

    systemd, launchd --socket, signals--> supervisor --inherited socket, socket pair--> worker, generation N

The supervisor owns the listening socket, the control socket, the signals and the talk with the service manager. A
worker is one generation: one configuration, one set of imports. To start, to reload, to upgrade and to recover from a
crash are the same act: start a generation, wait until it serves, let the older one finish what it has in flight.
"""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import claude_gatewayd
from claude_gatewayd import paths
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import control
from claude_gatewayd.problem import Problem
from claude_gatewayd.service.notify import Notifier
from claude_gatewayd.supervisor import reexec, terminal
from claude_gatewayd.supervisor import scope as parting
from claude_gatewayd.supervisor import status as telling
from claude_gatewayd.supervisor.commands import Commands
from claude_gatewayd.supervisor.generation import Record
from claude_gatewayd.supervisor.generations import LINGER, TICK, Generations
from claude_gatewayd.supervisor.listener import Listener
from claude_gatewayd.supervisor.predecessors import Predecessor, Predecessors
from claude_gatewayd.supervisor.reexec import Program, State
from claude_gatewayd.supervisor.unavailable import Apology
from claude_gatewayd.system import memory

logger = logging.getLogger(__name__)

_TICKS_A_SECOND = round(1 / TICK)
_MANAGER_ENDS = 15.0  # what a log-out or a shutdown waits for streams
_ROOM_TO_START = 10.0
_RENEW_AGAIN = 30.0


@dataclass(frozen=True, slots=True)
class Hold:
    """What a supervisor holds for as long as it lives, whatever program it is."""

    listener: Listener
    lock: IO[str]
    control: socket.socket
    managed: bool


class Supervisor:
    """Serve by generations until told to stop. *before* is what we were as another version of ourselves."""

    def __init__(self, hold: Hold, before: State | None) -> None:
        self._hold = hold
        self._listener = hold.listener
        self._url = self._listener.url  # known also when the socket is closed
        self._managed = hold.managed
        self._before = before
        self._program = Program.own()
        self.program_path = self._program.path
        self._unit = parting.own_unit()
        self._loop = asyncio.get_running_loop()
        self._notifier = Notifier(os.environ)
        self._apology = Apology(self._listener.socket)
        self._predecessors = Predecessors(paths.predecessors_file(os.environ))
        self._problems: list[Problem] = []  # why none of ours can serve
        self.generations = Generations(self._listener.socket, self._listener.bound, self._refuse, self._predecessors)
        self._started_at = before.started_at if before else time.time()
        self._had_terminal = before.had_terminal if before else terminal.is_there()
        # nohup(1)
        self._outlives_terminal = (
            before.outlives_terminal if before else signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        )
        self._conversations: set[asyncio.Task[None] | None] = set()
        self._stop_asked = asyncio.Event()
        self._state = "starting"
        self._reload_asked: asyncio.Future[list[Problem]] | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._last_reload = before.last_reload if before else None
        self._renew_at = 0.0
        self._becomes = ""  # the Python of the version that we are going to be

    async def run(self) -> list[Problem]:
        """Live. Returns why that could not begin, if so."""
        self._handle_signals()
        server = await control.serve(self._hold.control, Commands(self).by_name(), self._conversations)
        ticks = self._loop.create_task(self._tick())
        try:
            if self._before is not None:
                self._go_on(self._before)
            elif problems := await self._startup():
                return problems
            await self._stop_asked.wait()
            await self._shutdown()
            return []
        finally:
            ticks.cancel()
            server.close()
            paths.control_socket(os.environ).unlink(missing_ok=True)

    # -- startup, shutdown

    async def _startup(self) -> list[Problem]:
        """Start the first generation. Returns why there is none, if that is a reason to end."""
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
            for problem in problems:
                logger.error("cannot serve: %s", problem)
            self._refuse(problems)
            self.generations.recover(problems)
        self._state = "serving"
        self._notifier.ready(telling.one_line(self.status(), time.time()))
        if not problems and not self._managed:
            terminal.greet(self._url)
        return []

    def _go_on(self, before: State) -> None:
        """Go on where the program that we were has stopped."""
        self.generations.take_over(before.generations, before.past)
        self._state = "serving"
        self._notifier.ready(telling.one_line(self.status(), time.time()))
        logger.info("claude-gatewayd %s goes on as pid %d", claude_gatewayd.__version__, os.getpid())

    def _refuse(self, problems: list[Problem]) -> None:
        """Answer with *problems*, unless a worker of before us still serves; with none of them, ours serve."""
        self._problems = problems
        if not problems:
            self._predecessors.dismiss()
        self._apology.apologise([] if self._predecessors else problems)

    async def _shutdown(self) -> None:
        self._state = "stopping"
        self._notifier.stopping()
        job = await parting.job_of(self._unit) if self._unit else None
        # a port that we have bound ourselves the next supervisor could not bind while a worker listens on it
        stay = job != "stop" and not self._listener.bound
        if job in ("", "restart", "stop") and await self._part(stay=stay):
            logger.info("stopped")
            return
        under_way = sum(g.snapshot.get("under_way", 0) for g in self.generations)
        logger.info("stopping: %d request%s under way (again to end at once)", under_way, "s"[under_way == 1 :])
        self._predecessors.dismiss()
        self._apology.apologise([])
        self._listener.socket.close()
        if job == "exit":
            self._loop.call_later(_MANAGER_ENDS, self.generations.kill)
        await self.generations.stop()
        logger.info("stopped")

    async def _part(self, *, stay: bool) -> bool:
        """Leave the workers to themselves, in a scope of their own; they serve on, if they are to *stay*.

        Return whether they are there.
        """
        self.generations.leave_off()
        living = [g for g in self.generations if g.state in ("serving", "draining")]
        if not living:
            return stay  # and what is to be ended of before us, is ended otherwise
        drain = max(generation.longest_drain(LINGER) for generation in living)
        pids = [generation.pid for generation in living]
        longest = parting.LONGEST_STAY if stay else drain
        scope = await parting.move(self._unit, pids, longest=longest, drain=drain)
        if not scope:
            return False
        for generation in living:
            if not stay:
                generation.drain(LINGER)
            generation.outlive(LINGER)
        if stay:
            left = [Predecessor(one.pid, scope, one.has_engine, one.longest_drain(LINGER)) for one in living]
            self._predecessors.leave(left)
        else:
            self._predecessors.dismiss()
        logger.info("workers %s %s in %s", pids, "serve on" if stay else "finish what is under way", scope)
        return True

    # -- signals

    def _handle_signals(self) -> None:
        self._loop.add_signal_handler(signal.SIGCHLD, self.generations.reap)
        self._loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, reexec.SIGNALS)

    def _hang_up(self) -> None:
        """Reload; but a terminal that is gone wants us to be gone too, unless nohup was to keep us."""
        if self._had_terminal and not terminal.is_there():
            terminal.leave()
            if not self._outlives_terminal:
                self.stop()
        else:
            self.reload()

    def stop(self) -> None:
        """End after what is under way; asked a second time, at once."""
        if self._stop_asked.is_set():
            logger.warning("ending at once")
            self.generations.kill()
        self._stop_asked.set()

    # -- reload

    def reload(self) -> asyncio.Future[list[Problem]]:
        """Reload. One that comes while another runs is carried out after it, for all who asked meanwhile."""
        if self._reload_asked is None:
            self._reload_asked = self._loop.create_future()
        if self._reloading is None:
            self._reloading = self._loop.create_task(self._reload_while_asked())
        return self._reload_asked

    async def _reload_while_asked(self) -> None:
        while self._reload_asked is not None:
            asked, self._reload_asked = self._reload_asked, None
            self._notifier.reloading()
            problems = await self._take_up()
            for problem in problems:
                logger.error("not reloaded: %s", problem)
            self._last_reload = {"at": time.time(), "applied": not problems, "problems": _dicts(problems)}
            asked.set_result(problems)
            if self._state == "stopping":
                continue
            current = self.generations.current
            if not problems and current is not None:
                logging.getLogger().setLevel(current.snapshot["log_level"].upper())
            if problems and current is None:
                self._refuse(problems)
            self._notifier.ready(telling.one_line(self.status(), time.time()))
        self._reloading = None

    async def _take_up(self) -> list[Problem]:
        """Start a generation of what is installed now, and hand over to it. Return why that could not be."""
        try:
            program = Program.by_path()
        except GatewayError as error:
            return [Problem("installation", error.message, error.hint)]
        if program != self._program and (problems := await self._ask_successor(program.interpreter)):
            return problems
        if problems := await self.generations.replace(program.interpreter):
            self._becomes = ""
            return problems
        current = self.generations.current
        if program == self._program and current is not None and current.snapshot["code"] != self._program.code:
            # what our Python imports is elsewhere now, where we could not see it change
            for problem in await self._ask_successor(program.interpreter):
                logger.error("going on as claude-gatewayd %s: %s", claude_gatewayd.__version__, problem)
        return []

    async def _ask_successor(self, interpreter: str) -> list[Problem]:
        """Become what that Python runs, at the next rest, if it can take over. Return why it could not."""
        problems = await reexec.can_be_taken_over(interpreter, self._as_state([]))
        self._becomes = "" if problems else interpreter
        return problems

    # -- to be another version of ourselves

    def _may_become(self) -> bool:
        """Say whether nothing is under way that only this program knows of."""
        at_rest = self._state == "serving" and self._reloading is None and not self._stop_asked.is_set()
        return at_rest and not (self._conversations or self.generations.busy or self._problems)

    def _become(self) -> None:
        interpreter, self._becomes = self._becomes, ""
        logger.info("going on with %s", interpreter)
        try:
            reexec.become(interpreter, self._as_state(self.generations.handed_over()))
        except OSError as error:
            logger.error("going on as we are, claude-gatewayd %s: %s", claude_gatewayd.__version__, error)
            self.generations.kept()

    def _as_state(self, generations: Sequence[Record]) -> State:
        return State(
            listener=self._listener.socket.fileno(),
            bound=self._listener.bound,
            lock=self._hold.lock.fileno(),
            control=self._hold.control.fileno(),
            managed=self._managed,
            started_at=self._started_at,
            had_terminal=self._had_terminal,
            outlives_terminal=self._outlives_terminal,
            log_level=logging.getLevelName(logging.getLogger().level).lower(),
            last_reload=self._last_reload,
            past=self.generations.past,
            generations=tuple(generations),
        )

    # -- what we are

    def status(self) -> dict[str, Any]:
        """Return what `status --json` prints: docs/status-json.md."""
        generations = list(self.generations)
        seen = telling.together([self.generations.past, *(g.snapshot for g in generations)])
        current = self.generations.current
        problems = self._problems
        state = self._state
        if state == "serving" and current is None:
            state = ("refusing" if self._apology.problems else "waiting") if problems else "recovering"
        own = memory.resident()
        return {
            "state": state,
            "problems": _dicts(problems),
            "version": claude_gatewayd.__version__,
            "pid": os.getpid(),
            "uptime": round(time.time() - self._started_at, 1),
            "address": self._url,
            "inherited": not self._listener.bound,
            "config": {
                "path": current.snapshot.get("config") if current else None,
                "loaded_at": current.snapshot.get("config_loaded_at") if current else None,
            },
            **seen,
            **telling.serving(current.snapshot if current else {}),
            "streams": sum(g.snapshot.get("streams", 0) for g in generations),
            "under_way": sum(g.snapshot.get("under_way", 0) for g in generations),
            "generations": [telling.generation(g) for g in generations],
            "predecessors": self._predecessors.pids,
            "memory": {"supervisor": own, "workers": sum(g.snapshot.get("memory", 0) for g in generations)},
            "last_reload": self._last_reload,
        }

    async def _tick(self) -> None:
        """Watch the workers' loops, and feed the service manager's watchdog from them, through ours."""
        while True:
            for _ in range(_TICKS_A_SECOND):
                await asyncio.sleep(TICK)
                self.generations.tick()
                self._predecessors.tick()
                if self._becomes and self._may_become():
                    self._become()
            current = self.generations.current
            if current is None or current.silent_for * TICK <= 2:
                self._notifier.alive()
            if self._problems:
                self._refuse(self._problems)  # those of before us may have ended
            if current is not None and current.is_outdated and self._loop.time() > self._renew_at:
                self._renew_at = self._loop.time() + _RENEW_AGAIN
                logger.warning("generation %d cannot load LiteLLM: the installation has changed", current.number)
                self.reload()
            match self._state:
                case "starting":
                    self._notifier.extend_timeout(_ROOM_TO_START)
                    if not self._predecessors:
                        self.generations.hurry()
                case "stopping":
                    self._notifier.extend_timeout(5)
                case "serving" if self._reloading is None:
                    self._notifier.status(telling.one_line(self.status(), time.time()))


def _dicts(problems: list[Problem]) -> list[dict[str, str]]:
    return [problem.as_dict() for problem in problems]
