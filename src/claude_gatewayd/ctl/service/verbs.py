"""The verbs that speak to the service manager, and `stop`, which also ends a daemon that it does not know."""

import argparse
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from shlex import quote
from typing import Any

from claude_gatewayd import paths
from claude_gatewayd.ctl import identity
from claude_gatewayd.ctl.terminal import text
from claude_gatewayd.ctl.terminal.output import DONE, NO
from claude_gatewayd.ctl.terminal.progress import Progress
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client
from claude_gatewayd.ipc.lock import is_alive, lock_is_held
from claude_gatewayd.service import manager
from claude_gatewayd.service.manager import Manager, NoManager, ServiceState
from claude_gatewayd.service.platform import choose

_SERVES_WITHIN = 60.0
_LOOK_EVERY = 0.05
_ASK_EVERY = 10
_LINES = 50


def stop_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `stop` takes."""
    parser.add_argument("--now", action="store_true", help="stop at once and cut off the requests in progress")


def logs_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `logs` takes."""
    parser.add_argument("-f", "--follow", action="store_true", help="keep printing as more is logged")
    parser.add_argument("-n", "--lines", type=_count, metavar="N", help=f"number of lines to show (default {_LINES})")
    parser.add_argument("--since", default="", metavar="T", help="show entries since this time: 09:30, '1h ago', today")


def start(_arguments: argparse.Namespace) -> int:
    """Start the service and wait until it is serving."""
    begun = time.monotonic()
    ours, found = _startable("start")
    if found.active and found.listening and (status := running()) and status["pid"] == found.pid:
        return report_start(status, f"Already running, pid {status['pid']}")
    refuse_foreign(found, "start the service")
    with Progress("Starting"):
        ours.act("start", os.environ)
        status = wait_serving(ours)
    return report_start(status, f"Started in {time.monotonic() - begun:.1f} s")


def restart(_arguments: argparse.Namespace) -> int:
    """Restart the program and wait until it is serving; no connection is refused meanwhile."""
    begun = time.monotonic()
    ours, found = _startable("restart")
    refuse_foreign(found, "restart the service")
    with Progress("Restarting; no connection is refused"):
        ours.act("restart" if found.listening else "start", os.environ)
        status = wait_serving(ours, instead_of=found.pid)
    return report_start(status, f"Restarted in {time.monotonic() - begun:.1f} s")


def stop(arguments: argparse.Namespace) -> int:
    """Finish the requests in progress, then stop; --now stops at once."""
    begun = time.monotonic()
    ours = choose()
    try:
        ours.check(os.environ)
        found = ours.state(os.environ)
        stopped = not found.active and not found.listening and running() is None
        left = arguments.now and stopped and ours.cut(os.environ)
    except NoManager:
        found, left = ServiceState(), False  # what runs was started by hand
    if left:
        print("Cut off the requests that an earlier stop had left to finish")
        return DONE
    if not found.active and not found.listening:
        return _stop_by_hand(begun, now=arguments.now)
    try:
        status = running()
    except GatewayError:
        status = None  # it hangs, and the service manager ends it all the same
    if status is not None and status["pid"] == found.pid:
        _announce_stop(status, now=arguments.now)
    with Progress("Stopping"):
        if arguments.now:
            _cut(ours, status)
        else:
            ours.act("stop", os.environ)
    finishes = status is not None and status["under_way"] and any(is_alive(one["pid"]) for one in status["generations"])
    print(
        f"Stopped after {time.monotonic() - begun:.1f} s, the port is closed"
        f"{'; requests in progress will finish' if finishes else ''} (claude-gatewayctl start reopens it)"
    )
    return DONE


def enable(_arguments: argparse.Namespace) -> int:
    """Start the service whenever you log in."""
    return _switch("enable", is_on=True, effect="it starts when you log in")


def disable(_arguments: argparse.Namespace) -> int:
    """Do not start the service when you log in; a running service keeps running."""
    return _switch(
        "disable", is_on=False, effect="it no longer starts when you log in; a running service keeps running"
    )


def logs(arguments: argparse.Namespace) -> int:
    """Show the log: the systemd journal, or a file on macOS."""
    lines = arguments.lines if arguments.lines is not None or arguments.since else _LINES
    try:
        ours, _found = _installed("show the log of")
    except GatewayError as error:
        log = paths.background_log(os.environ)
        if paths.is_installed(os.environ) or not log.exists():
            raise
        raise GatewayError(error.message, f"tail -n {lines or _LINES} {quote(str(log))}") from None
    ours.logs(lines, arguments.since, os.environ, follow=arguments.follow)
    return DONE


# -- for `install` too


def running() -> dict[str, Any] | None:
    """Return the status of the daemon that runs, however it was started."""
    try:
        return client.ask("status")
    except client.NotRunning:
        return None


def wait_serving(ours: Manager, instead_of: int = 0) -> dict[str, Any]:
    """Return the status of a daemon that answers, be it to refuse. *instead_of* is a process that does not count."""
    looks = 0
    deadline = time.monotonic() + _SERVES_WITHIN
    while time.monotonic() < deadline:
        status = running()
        if status is not None and status["pid"] != instead_of and status["state"] != "starting":
            return status
        looks += 1
        if looks % _ASK_EVERY == 0 and (found := ours.state(os.environ)).trouble:
            raise GatewayError(f"cannot start the service: {found.trouble}", found.hint)
        time.sleep(_LOOK_EVERY)
    raise GatewayError(
        f"cannot confirm that the service is serving: no answer within {_SERVES_WITHIN:g} s",
        "claude-gatewayctl logs -n 20",
    )


def report_start(status: dict[str, Any], how: str) -> int:
    """Print how it went; return the exit status."""
    if status["problems"]:
        print(f"{how}, but it cannot serve:", file=sys.stderr)
        print(text.problems(status["problems"]), file=sys.stderr)
        return NO
    print(f"{how}, serving on {status['address']}")
    asked = identity.ask(status["address"], runs=True)
    if not identity.is_acceptable(asked.who, status):  # it runs all the same: what is led there is refused elsewhere
        print(f"WARNING: {identity.describe(asked, status)}\n  {identity.mend(asked, status)}", file=sys.stderr)
    return DONE


def refuse_foreign(found: ServiceState, what: str, hint: str = "claude-gatewayctl stop") -> None:
    """Raise GatewayError where a daemon runs that the service manager did not start."""
    if found.active or found.listening:
        return  # and it is not asked: it may hang, and the service manager ends it all the same
    status = running()
    if status is not None:
        found_at = f"pid {status['pid']}, {status['address']}"
        raise GatewayError(f"cannot {what}: claude-gatewayd is already running, started by hand ({found_at})", hint)


def end_at_once() -> None:
    """Tell the daemon twice to stop: then it waits for nothing."""
    for _ in range(2):
        try:
            client.ask("stop")
        except GatewayError:
            return  # it has ended


# -- parts


def _installed(verb: str) -> tuple[Manager, ServiceState]:
    """Return the service manager and how our service is with it. Raises GatewayError where there is none."""
    ours = choose()
    ours.check(os.environ)
    found = ours.state(os.environ)
    if found.file is None:
        raise GatewayError(f"cannot {verb} the service: {found.trouble or 'it is not installed'}", found.hint)
    return ours, found


def _startable(verb: str) -> tuple[Manager, ServiceState]:
    """Return the same, where there is something to start; say so where it is another installation's."""
    ours, found = _installed(verb)
    mine = os.path.join(os.path.dirname(sys.executable), "claude-gatewayd")
    if found.program and not os.path.exists(found.program):
        raise GatewayError(
            f"cannot {verb} the service: it starts {found.program}, which no longer exists",
            "claude-gatewayctl install",
        )
    if paths.is_upgraded(found.program, os.environ):
        return ours, found  # as `upgrade` has left it, which speaks of the other claude-gatewayctl
    if found.program and os.path.exists(mine) and not os.path.samefile(found.program, mine):
        there = os.path.realpath(found.program)
        print(f"The service starts {there}, which is another installation (claude-gatewayctl install)", file=sys.stderr)
    return ours, found


def _switch(verb: manager.Verb, *, is_on: bool, effect: str) -> int:
    begun = time.monotonic()
    ours, found = _startable(verb) if is_on else _installed(verb)
    if found.enabled == is_on:
        print(f"Already {verb}d: {effect}")
        return DONE
    ours.act(verb, os.environ)
    print(f"{verb.capitalize()}d in {time.monotonic() - begun:.1f} s: {effect}")
    return DONE


def _cut(ours: Manager, status: dict[str, Any] | None) -> None:
    """Stop the service, and whatever it would wait for or leave behind to finish its streams."""
    with ThreadPoolExecutor(1) as other:
        stopping = other.submit(ours.act, "stop", os.environ)
        end_at_once()  # of one that says that it is stopping, systemd waits for the end and tells it nothing more
        stopping.result()
    for generation in status["generations"] if status else ():
        try:
            os.kill(generation["pid"], signal.SIGKILL)
        except OSError:
            continue  # it has ended
    ours.cut(os.environ)


def _stop_by_hand(begun: float, *, now: bool) -> int:
    status = client.ask("stop")
    if now:
        try:
            client.ask("stop")
        except GatewayError:
            pass  # it has ended meanwhile
    _announce_stop(status, now=now)
    with Progress("Stopping"):
        while is_alive(status["pid"]) and lock_is_held():
            time.sleep(_LOOK_EVERY)
    print(f"Stopped after {time.monotonic() - begun:.1f} s")
    return DONE


def _announce_stop(status: dict[str, Any], *, now: bool) -> None:
    if status["under_way"] and not now:
        under_way = text.counted(status["under_way"], "request")
        print(f"Stopping: {under_way} in progress (claude-gatewayctl stop --now cuts off the rest)", flush=True)


def _count(given: str) -> int:
    if not given.isdecimal():
        raise argparse.ArgumentTypeError(f"{given!r} is not a number of lines")
    return int(given)
