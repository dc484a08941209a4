"""The daemon's life: read the configuration, take the lock, listen, serve by generations, drain, end.

    systemd, launchd --socket, signals--> supervisor --inherited socket, socket pair--> worker, generation N

The supervisor owns the listening socket, the control socket, the signals and the talk with the service manager. A
worker is one generation: one configuration, one set of imports. To start, to reload, to upgrade and to recover from a
crash are the same act: start a generation, wait until it serves, let the older one finish what it has in flight.
"""

import argparse
import asyncio
import faulthandler
import fcntl
import logging
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import claude_gatewayd
from claude_gatewayd import config, control, log, memory, paths, wire
from claude_gatewayd.errors import ConfigInvalid, GatewayError
from claude_gatewayd.model import Problem
from claude_gatewayd.service import environment
from claude_gatewayd.service.notify import Notifier
from claude_gatewayd.supervisor import listener as listening
from claude_gatewayd.supervisor import parting, takeover
from claude_gatewayd.supervisor import status as telling
from claude_gatewayd.supervisor.apology import Apology
from claude_gatewayd.supervisor.generation import Record
from claude_gatewayd.supervisor.generations import LINGER, TICK, Generations
from claude_gatewayd.supervisor.listener import Listener
from claude_gatewayd.supervisor.parting import Predecessor
from claude_gatewayd.supervisor.takeover import Program, State

logger = logging.getLogger(__name__)

EX_CONFIG = 78
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
        self._unit = parting.own_unit()
        self._loop = asyncio.get_running_loop()
        self._notifier = Notifier(os.environ)
        self._apology = Apology(self._listener.socket)
        self._predecessors = parting.Predecessors(paths.predecessors_file(os.environ))
        self._problems: list[Problem] = []  # why none of ours can serve
        self._generations = Generations(self._listener.socket, self._listener.bound, self._refuse, self._predecessors)
        self._started_at = before.started_at if before else time.time()
        self._had_terminal = before.had_terminal if before else _has_terminal()
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

    async def run(self) -> int:
        """Live. Returns the exit status."""
        self._handle_signals()
        server = await control.serve(self._hold.control, self._commands(), self._conversations)
        ticks = self._loop.create_task(self._tick())
        try:
            if self._before is not None:
                self._go_on(self._before)
            elif problems := await self._startup():
                return self._explain(problems)
            await self._stop_asked.wait()
            await self._shutdown()
            return 0
        finally:
            ticks.cancel()
            server.close()
            paths.control_socket(os.environ).unlink(missing_ok=True)

    # -- startup, shutdown

    async def _startup(self) -> list[Problem]:
        """Start the first generation. Returns why there is none, if that is a reason to end."""
        starting = self._loop.create_task(self._generations.replace())
        stopping = self._loop.create_task(self._stop_asked.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            self._generations.kill()
        problems = await starting
        if self._stop_asked.is_set():
            return []
        if problems and not self._managed:
            return problems
        if problems:
            for problem in problems:
                logger.error("cannot serve: %s", problem)
            self._refuse(problems)
            self._generations.recover(problems)
        self._state = "serving"
        self._notifier.ready(telling.one_line(self._status()))
        if not problems and not self._managed:
            _greet(self._url)
        return []

    def _go_on(self, before: State) -> None:
        """Go on where the program that we were has stopped."""
        self._generations.take_over(before.generations, before.past)
        self._state = "serving"
        self._notifier.ready(telling.one_line(self._status()))
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
        if job in ("", "restart", "stop") and await self._part(stay=job != "stop"):
            logger.info("stopped")
            return
        under_way = sum(g.snapshot.get("under_way", 0) for g in self._generations)
        logger.info("stopping: %d request%s under way (again to end at once)", under_way, "s"[under_way == 1 :])
        self._predecessors.dismiss()
        self._apology.apologise([])
        self._listener.socket.close()
        if job == "exit":
            self._loop.call_later(_MANAGER_ENDS, self._generations.kill)
        await self._generations.stop()
        logger.info("stopped")

    async def _part(self, *, stay: bool) -> bool:
        """Leave the workers to themselves, in a scope of their own; they serve on, if they are to *stay*.

        Return whether they are there.
        """
        self._generations.leave_off()
        living = [g for g in self._generations if g.state in ("serving", "draining")]
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
            self._predecessors.leave([Predecessor(one.pid, scope, one.has_engine) for one in living])
        else:
            self._predecessors.dismiss()
        logger.info("workers %s %s in %s", pids, "serve on" if stay else "finish what is under way", scope)
        return True

    def _explain(self, problems: list[Problem]) -> int:
        _print_problems(problems)
        return EX_CONFIG if any(problem.where not in ("worker", "state") for problem in problems) else 1

    # -- signals

    def _handle_signals(self) -> None:
        self._loop.add_signal_handler(signal.SIGCHLD, self._generations.reap)
        self._loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, takeover.SIGNALS)

    def _hang_up(self) -> None:
        """Reload; but a terminal that is gone wants us to be gone too, unless nohup was to keep us."""
        if self._had_terminal and not _has_terminal():
            _leave_terminal()
            if not self._outlives_terminal:
                self._stop()
        else:
            self._reload()

    def _stop(self) -> None:
        if self._stop_asked.is_set():
            logger.warning("ending at once")
            self._generations.kill()
        self._stop_asked.set()

    # -- reload

    def _reload(self) -> asyncio.Future[list[Problem]]:
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
            current = self._generations.current
            if not problems and current is not None:
                logging.getLogger().setLevel(current.snapshot["log_level"].upper())
            if problems and current is None:
                self._refuse(problems)
            self._notifier.ready(telling.one_line(self._status()))
        self._reloading = None

    async def _take_up(self) -> list[Problem]:
        """Start a generation of what is installed now, and hand over to it. Return why that could not be."""
        try:
            program = Program.by_path()
        except GatewayError as error:
            return [Problem("installation", error.message, error.hint)]
        if program != self._program and (problems := await self._ask_successor(program.interpreter)):
            return problems
        if problems := await self._generations.replace(program.interpreter):
            self._becomes = ""
            return problems
        current = self._generations.current
        if program == self._program and current is not None and current.snapshot["code"] != self._program.code:
            # what our Python imports is elsewhere now, where we could not see it change
            for problem in await self._ask_successor(program.interpreter):
                logger.error("going on as claude-gatewayd %s: %s", claude_gatewayd.__version__, problem)
        return []

    async def _ask_successor(self, interpreter: str) -> list[Problem]:
        """Become what that Python runs, at the next rest, if it can take over. Return why it could not."""
        problems = await takeover.can_be_taken_over(interpreter, self._as_state([]))
        self._becomes = "" if problems else interpreter
        return problems

    # -- to be another version of ourselves

    def _may_become(self) -> bool:
        """Say whether nothing is under way that only this program knows of."""
        at_rest = self._state == "serving" and self._reloading is None and not self._stop_asked.is_set()
        return at_rest and not (self._conversations or self._generations.busy or self._problems)

    def _become(self) -> None:
        interpreter, self._becomes = self._becomes, ""
        logger.info("going on with %s", interpreter)
        try:
            takeover.become(interpreter, self._as_state(self._generations.handed_over()))
        except OSError as error:
            logger.error("going on as we are, claude-gatewayd %s: %s", claude_gatewayd.__version__, error)
            self._generations.kept()

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
            past=self._generations.past,
            generations=tuple(generations),
        )

    # -- control

    def _commands(self) -> dict[str, control.Command]:
        return {
            "status": self._command_status,
            "health": self._command_health,
            "reload": self._command_reload,
            "stop": self._command_stop,
            "version": self._command_version,
        }

    async def _command_status(self) -> wire.Message:
        return self._status()

    async def _command_health(self) -> wire.Message:
        return telling.health(self._status())

    async def _command_reload(self) -> wire.Message:
        begun = time.monotonic()
        problems = await asyncio.shield(self._reload())
        current = self._generations.current
        return {
            "applied": not problems,
            "problems": _dicts(problems),
            "seconds": round(time.monotonic() - begun, 3),
            "generation": current.number if current is not None else None,
        }

    async def _command_stop(self) -> wire.Message:
        self._loop.call_soon(self._stop)
        return {"stopping": True, "pid": os.getpid(), "under_way": self._status()["under_way"]}

    async def _command_version(self) -> wire.Message:
        return {"version": claude_gatewayd.__version__, "program": self._program.path}

    def _status(self) -> dict[str, Any]:
        generations = list(self._generations)
        seen = telling.together([self._generations.past, *(g.snapshot for g in generations)])
        current = self._generations.current
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
                self._generations.tick()
                if self._becomes and self._may_become():
                    self._become()
            current = self._generations.current
            if current is None or current.silent_for * TICK <= 2:
                self._notifier.alive()
            if self._problems:
                self._refuse(self._problems)  # those of before us may have ended
            if current is not None and current.is_outdated and self._loop.time() > self._renew_at:
                self._renew_at = self._loop.time() + _RENEW_AGAIN
                logger.warning("generation %d cannot load LiteLLM: the installation has changed", current.number)
                self._reload()
            match self._state:
                case "starting":
                    self._notifier.extend_timeout(_ROOM_TO_START)
                    if not self._predecessors:
                        self._generations.hurry()
                case "stopping":
                    self._notifier.extend_timeout(5)
                case "serving" if self._reloading is None:
                    self._notifier.status(telling.one_line(self._status()))


def main(argv: list[str] | None = None) -> int:
    """Be the daemon, in the foreground. Returns the exit status: 1 cannot, 2 usage, 78 configuration."""
    parser = argparse.ArgumentParser(
        prog="claude-gatewayd",
        description="Keep Claude Code working: serve on 127.0.0.1:47000, in the foreground.",
        epilog="Signals: HUP reloads, TERM finishes what is under way and ends. claude-gatewayctl is your hand on it.",
    )
    parser.add_argument(
        "what", nargs="?", choices=["run", "check"], default="run",
        help="run: the same as no argument; check: say whether this installation could serve, and end",
    )  # fmt: skip
    parser.add_argument("--state", action="store_true", help=argparse.SUPPRESS)  # check what stands on standard input
    parser.add_argument("--version", action="version", version=f"claude-gatewayd {claude_gatewayd.__version__}")
    given = parser.parse_args(argv)
    faulthandler.enable()  # the service manager's watchdog sends SIGABRT
    log.configure("info", "supervisor", os.environ)
    try:
        if given.what == "check":
            return _check_state(sys.stdin.read()) if given.state else _check()
        before = takeover.received(os.environ)
        return _go_on(before) if before is not None else _run()
    except ConfigInvalid as invalid:
        _print_problems(list(invalid.problems))
        return EX_CONFIG
    except GatewayError as error:
        print(_capital(error.message), file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        return 1


def _run() -> int:
    if paths.is_agent(os.environ):
        environment.adopt(os.environ)
    listener = listening.inherited(os.environ)
    managed = listener is not None or "NOTIFY_SOCKET" in os.environ
    try:
        settings = config.load(os.environ)
        log.configure(settings.log.level, "supervisor", os.environ)
        address = (settings.listen.host, settings.listen.port)
    except ConfigInvalid:
        if not managed:
            raise
        # The first generation is going to say what is wrong; until it is mended, we answer 503.
        address = config.listen_address_or_default(os.environ)
    paths.make_private(paths.runtime_dir(os.environ))
    url = listener.url if listener is not None else "http://{}:{}".format(*address)
    with _lock(paths.lock_file(os.environ), url) as lock:
        listener = listener or listening.bind(*address)
        hold = Hold(listener, lock, control.listen(paths.control_socket(os.environ)), managed)
        return asyncio.run(_supervise(hold, None))


def _go_on(before: State) -> int:
    """Be what another version of us was, in this very process."""
    log.configure(before.log_level, "supervisor", os.environ)
    for descriptor in (before.listener, before.lock, before.control):
        os.set_inheritable(descriptor, False)
    listener = Listener(socket.socket(fileno=before.listener), before.bound)
    with os.fdopen(before.lock, "a+") as lock:
        hold = Hold(listener, lock, socket.socket(fileno=before.control), before.managed)
        return asyncio.run(_supervise(hold, before))


async def _supervise(hold: Hold, before: State | None) -> int:
    return await Supervisor(hold, before).run()


def _check() -> int:
    """Start a generation that ends before it would serve: whether supervisor, worker and configuration are good."""

    async def probe() -> list[Problem]:
        with listening.bind("127.0.0.1", 0).socket as sock:
            generations = Generations(sock, "", lambda _: None)
            asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, generations.reap)
            return await generations.probe()

    log.configure("warning", "check", os.environ)
    config.load(os.environ)
    problems = asyncio.run(probe())
    if problems:
        _print_problems(problems)
        return 1
    print(f"claude-gatewayd {claude_gatewayd.__version__} can serve")
    return 0


def _check_state(text: str) -> int:
    try:
        State.of(text)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _lock(path: Path, url: str) -> IO[str]:
    """Take the lock and write down who has it. Raises GatewayError with the one who has it already.

    The lock ends with the file, however we end.
    """
    try:
        lock = path.open("a+")
    except OSError as error:
        raise GatewayError(f"cannot use {path}: {error.strerror}", f"ls -ld {path.parent} {path}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip() or "by another process"
        lock.close()
        raise GatewayError(
            f"cannot start: claude-gatewayd is running already, {holder}", "claude-gatewayctl status"
        ) from None
    lock.truncate(0)
    lock.write(f"pid {os.getpid()}, {url}\n")
    lock.flush()
    return lock


def _has_terminal() -> bool:
    """Say whether there is a controlling terminal. After a hang-up it cannot be opened any more."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _leave_terminal() -> None:
    """Write to nowhere what would go to a terminal that is gone: it fails, at the end with exit status 120."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):
            os.dup2(nowhere, stream.fileno())


def _greet(url: str) -> None:
    text = (
        f"claude-gatewayd {claude_gatewayd.__version__} serves on {url}. Point Claude Code at it:\n\n"
        f"    export ANTHROPIC_BASE_URL={url}\n"
        "    export NO_PROXY=127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}\n"
    )
    try:
        print(text, flush=True)
    except OSError:  # nobody reads it: no reason to end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_problems(problems: list[Problem]) -> None:
    print("Cannot start:", file=sys.stderr)
    for problem in problems:
        print(f"  {problem}", file=sys.stderr)


def _dicts(problems: list[Problem]) -> list[dict[str, str]]:
    return [problem.as_dict() for problem in problems]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


if __name__ == "__main__":
    sys.exit(main())
