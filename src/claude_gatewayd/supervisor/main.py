"""`claude-gatewayd`: read the configuration, take the lock, listen, and run; or continue for an earlier version.

What is imported here delays the first answer. So the first worker is started before the rest of the supervisor loads,
in `running`: both load side by side.
"""

import faulthandler
import gc
import os
import signal
import sys

from claude_gatewayd import paths, printable
from claude_gatewayd.config import loading as config
from claude_gatewayd.errors import ConfigInvalid, GatewayError, of_file
from claude_gatewayd.ipc.place import Place
from claude_gatewayd.problem import Problem
from claude_gatewayd.service import starts
from claude_gatewayd.supervisor import SIGNALS, STATE_VARIABLE
from claude_gatewayd.supervisor import listener as listening
from claude_gatewayd.supervisor.listener import Listener
from claude_gatewayd.supervisor.workers.launch import FIRST, Launched, LaunchSpec, launch
from claude_gatewayd.system.output import log, streams

EX_CONFIG = 78


def main(argv: list[str] | None = None) -> int:
    """Run the daemon in the foreground. Returns the exit status: 1 for a failure, 2 for usage, 78 for configuration."""
    gc.disable()  # nothing of what is imported is garbage
    words = sys.argv[1:] if argv is None else argv
    what, state = _parse(words) if words else ("run", False)
    if os.getpid() == 1:  # in a container: the kernel drops a signal that the first process neither handles nor blocks
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    streams.protect()
    faulthandler.enable()  # the service manager's watchdog sends SIGABRT
    log.configure("info", "supervisor", os.environ)
    sys.stdout, sys.stderr = printable.guarded(sys.stdout), printable.guarded(sys.stderr)
    try:
        if what == "check":
            return _check(sys.stdin.read() if state else None)
        problems = _resume() if STATE_VARIABLE in os.environ else None
        return _exit_status(_run() if problems is None else problems)
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


def _parse(words: list[str]) -> tuple[str, bool]:
    """Return what to do, and whether a state is to be checked. Raises SystemExit for usage."""
    import argparse

    import claude_gatewayd

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
    given = parser.parse_args(words)
    return given.what, given.state


def _run() -> list[Problem]:
    if paths.is_agent(os.environ):
        from claude_gatewayd.service import environment  # here, for it is launchd's alone

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
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        launched = _launch(listener)
        from claude_gatewayd.supervisor import running

        return running.run(listener, place, launched, managed=managed)


def _launch(listener: Listener) -> Launched | None:
    """Start the first worker, unless workers of an earlier supervisor serve: it would have to know of them."""
    if paths.predecessors_file(os.environ).exists():
        return None
    try:
        return launch(FIRST, LaunchSpec(sys.executable, listener.socket, listener.bound))
    except OSError:
        return None  # the supervisor tries again, and reports why that fails


def _resume() -> list[Problem] | None:
    """Continue for the version before us, if it is one that became this process."""
    from claude_gatewayd.supervisor import running

    return running.resume()


def _check(state: str | None) -> int:
    """Say whether this installation could serve, or take over a supervisor's *state*."""
    from claude_gatewayd.supervisor import running

    if state is not None:
        return running.check_state(state)
    problems = running.check()
    if problems:
        _print_problems(problems)
    return 1 if problems else 0


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


def _exit_status(problems: list[Problem]) -> int:
    """Print why it could not start, if it could not."""
    if not problems:
        return 0
    _print_problems(problems)
    return EX_CONFIG if any(problem.kind == "configuration" for problem in problems) else 1


def _print_problems(problems: list[Problem]) -> None:
    print("Cannot start:", file=sys.stderr)
    for problem in problems:
        print(f"  {problem}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
