"""`claude-gatewayd`: read the configuration, take the lock, listen, and run; or continue for an earlier version."""

import argparse
import asyncio
import faulthandler
import os
import signal
import socket
import sys

import claude_gatewayd
from claude_gatewayd import paths, printable
from claude_gatewayd.config import loading as config
from claude_gatewayd.errors import ConfigInvalid, GatewayError, of_file
from claude_gatewayd.ipc.place import Place
from claude_gatewayd.problem import Problem
from claude_gatewayd.service import environment, starts
from claude_gatewayd.supervisor import listener as listening
from claude_gatewayd.supervisor import reexec
from claude_gatewayd.supervisor.listener import Listener
from claude_gatewayd.supervisor.reexec import SupervisorState
from claude_gatewayd.supervisor.supervisor import Resources, Supervisor
from claude_gatewayd.supervisor.workers.generations import Generations
from claude_gatewayd.system.output import log, streams

EX_CONFIG = 78


def main(argv: list[str] | None = None) -> int:
    """Run the daemon in the foreground. Returns the exit status: 1 for a failure, 2 for usage, 78 for configuration."""
    parser = argparse.ArgumentParser(
        prog="claude-gatewayd",
        description="Keep Claude Code working: serve on 127.0.0.1:47000, in the foreground.",
        epilog="Signals: HUP reloads, TERM finishes what is under way and ends. claude-gatewayctl controls it.",
    )
    parser.add_argument(
        "what", nargs="?", choices=["run", "check"], default="run",
        help="run: the same as no argument; check: say whether this installation could serve, and end",
    )  # fmt: skip
    parser.add_argument("--state", action="store_true", help=argparse.SUPPRESS)  # read from standard input
    parser.add_argument("--version", action="version", version=f"claude-gatewayd {claude_gatewayd.__version__}")
    given = parser.parse_args(argv)
    streams.protect()
    faulthandler.enable()  # the service manager's watchdog sends SIGABRT
    log.configure("info", "supervisor", os.environ)
    sys.stdout, sys.stderr = printable.guarded(sys.stdout), printable.guarded(sys.stderr)
    try:
        if given.what == "check":
            return _check_state(sys.stdin.read()) if given.state else _check()
        before = reexec.inherited_state(os.environ)
        return _resume(before) if before is not None else _run()
    except ConfigInvalid as invalid:
        _print_problems(list(invalid.problems))
        return EX_CONFIG
    except GatewayError as error:
        print(error.for_people(), file=sys.stderr)
        return 1
    except OSError as error:  # such as a home that may not be read or written
        if error.filename is None:
            raise
        print(of_file(error).for_people(), file=sys.stderr)
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
        # The first generation will report what is wrong; until that is fixed, we answer 503.
        address = config.listen_address_or_default(os.environ)
    url = listener.url if listener is not None else "http://{}:{}".format(*address)
    with Place.take(os.environ, url) as place:
        listener = listener or _bind(*address)
        place.listen(os.environ)
        return _serve(Resources(listener, place, managed), None)


def _bind(host: str, port: int) -> Listener:
    """Bind the port. Raises GatewayError, which a person is also notified of where a service manager starts us."""
    try:
        listener = listening.bind(host, port)
    except GatewayError as error:
        starts.notify("The gateway for Claude Code cannot start", f"{error.message}. Run: {error.hint}", os.environ)
        raise
    if starts.was_without_socket(os.environ):
        # systemd tried to bind the port before the script waited: the next start gets it from there, and at once
        listener.socket.close()
        starts.succeeded(os.environ)
        raise GatewayError(f"cannot use {host}:{port} yet: it is free again, and systemd is to hold it. Starting anew")
    return listener


def _resume(before: SupervisorState) -> int:
    """Continue in this process for the version that it ran before."""
    log.configure(before.log_level, "supervisor", os.environ)
    for descriptor in (before.listener, before.lock, before.control):
        os.set_inheritable(descriptor, False)
    listener = Listener(socket.socket(fileno=before.listener), before.bound)
    lock, control = os.fdopen(before.lock, "a+"), socket.socket(fileno=before.control)
    with Place(lock, listener.url, control) as place:
        return _serve(Resources(listener, place, before.managed), before)


def _serve(resources: Resources, before: SupervisorState | None) -> int:
    problems = asyncio.run(_supervise(resources, before))
    if not problems:
        return 0
    _print_problems(problems)
    return EX_CONFIG if any(problem.kind == "configuration" for problem in problems) else 1


async def _supervise(resources: Resources, before: SupervisorState | None) -> list[Problem]:
    return await Supervisor(resources, before).run()


def _check() -> int:
    """Start a generation that ends before it would serve, to see whether all that a start needs is there."""

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
        SupervisorState.of(text)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _print_problems(problems: list[Problem]) -> None:
    print("Cannot start:", file=sys.stderr)
    for problem in problems:
        print(f"  {problem}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
