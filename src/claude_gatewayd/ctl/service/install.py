"""Install the service of systemd or launchd, and take it away again: said line by line, and nothing done twice."""

import argparse
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from claude_gatewayd import paths
from claude_gatewayd.config import loading as config
from claude_gatewayd.ctl import identity
from claude_gatewayd.ctl.claude_code import clients, edit_settings
from claude_gatewayd.ctl.claude_code.remote import gateway
from claude_gatewayd.ctl.claude_code.verbs import describe_removal
from claude_gatewayd.ctl.service import completion, install_plan
from claude_gatewayd.ctl.service.install_plan import PROGRAMS
from claude_gatewayd.ctl.service.verbs import end_at_once, refuse_foreign, report_start, running, wait_serving
from claude_gatewayd.ctl.terminal.output import DONE, NO, row
from claude_gatewayd.ctl.terminal.progress import Progress
from claude_gatewayd.errors import GatewayError, not_changed
from claude_gatewayd.ipc.lock import lock_is_held
from claude_gatewayd.ledger.database import SCHEMA, database_of
from claude_gatewayd.ledger.failures import as_administrator
from claude_gatewayd.service import environment
from claude_gatewayd.service.files import FileWrite, Symlink, remove, remove_if_empty
from claude_gatewayd.service.manager import Manager, ManagerElsewhere, NoManager, ServiceState, Verb
from claude_gatewayd.service.platform import choose

_ENDS_WITHIN = 15.0
_DOING: dict[Verb, str] = {
    "load": "Telling the service manager", "enable": "Enabling", "disable": "Disabling",
    "start": "Starting", "restart": "Restarting", "stop": "Stopping",
}  # fmt: skip


def install_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `install` takes."""
    parser.add_argument("--now", action="store_true", help="stop a daemon that was started by hand and take its place")
    parser.add_argument("--linger", action="store_true", help="keep running while you are logged out (systemd)")
    parser.add_argument(
        "--sandbox", action="store_true", help="give the service access only to what it needs (systemd)"
    )
    parser.add_argument("--port", type=port_number, metavar="N", help="port to listen on (default: 47000)")
    parser.add_argument("--dry-run", action="store_true", help="print the files and commands and change nothing")


def uninstall_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `uninstall` takes."""
    parser.add_argument(
        "--purge", action="store_true", help="also remove configuration, gateway key, usage ledger, records and logs"
    )


@dataclass(frozen=True, slots=True)
class Options:
    """What `install` is asked for. With *now* a daemon that was started by hand is ended; *port* None is as it is."""

    now: bool = False
    linger: bool = False
    sandbox: bool = False
    port: int | None = None
    dry_run: bool = False


def install(arguments: argparse.Namespace) -> int:
    """Install the systemd or launchd service, start it, and wait until it is serving."""
    given = Options(arguments.now, arguments.linger, arguments.sandbox, arguments.port, arguments.dry_run)
    code, address = install_service(given)
    if address:
        print("\n".join(_next(choose(), address)))
    return code


def install_service(given: Options) -> tuple[int, str]:
    """Do what `install` does; return its exit status, and the address if anything was done."""
    begun = time.monotonic()
    ours = install_plan.service_manager(linger=given.linger, sandbox=given.sandbox)
    found = ours.state(os.environ)
    if found.masked:
        raise GatewayError(f"cannot install the service: {found.trouble}", found.hint)
    variables = install_plan.variables(given.port)
    if given.sandbox:
        install_plan.refuse_sandbox({**os.environ, **variables.values})
    steps = install_plan.steps(ours, variables, sandbox=given.sandbox)
    pending = [step for step in steps if not step.is_done]
    status = running()
    url = install_plan.address(variables)
    if not found.listening and (status is None or status["address"] != url):
        identity.require_free(url, "install")
    late = install_plan.unread(steps, time.time() - status["uptime"]) if status and status["pid"] == found.pid else []
    verbs = install_plan.verbs(found, [*pending, *late])
    lingers = not given.linger or ours.lingers(os.environ)
    if given.dry_run:
        _print_plan(ours, steps, verbs, linger=not lingers)
        return DONE, ""
    if not pending and not verbs and lingers and status:
        completed = _printed(completion.install(os.environ))
        return report_start(
            status, "Already running" if completed else "Nothing to do: already installed and running"
        ), ""
    _report_takeover(found, steps)
    for step in pending:
        print(row(step.do(), f"{step.path}"), *variables.changes(step.path), sep=f"\n{'':12}", flush=True)
    for step in late:
        print(row("unread", f"{step.path}: changed since the daemon started"))
    if variables.left_out:
        why = "temporary keys, or values that the file cannot hold"
        print(row("left out", f"{', '.join(variables.left_out)}: {why}"))
    for verb in verbs:
        if verb in ("start", "restart"):
            _stop_manual_daemon(found, now=given.now)
        with Progress(_DOING[verb]):
            ours.act(verb, os.environ)
        if verb == "enable":
            print(row("enabled", "it starts when you log in"), flush=True)
    with Progress("Starting"):
        status = wait_serving(ours, instead_of=found.pid if {"start", "restart"} & set(verbs) else 0)
    how = "restarted" if found.active else "started"
    code = report_start(status, row(how, f"in {time.monotonic() - begun:.1f} s"))
    if not lingers:
        ours.linger(os.environ)
        print(row("lingers", "it starts at boot and keeps running while you are logged out"))
    _printed(completion.install(os.environ))
    return code, status["address"]


def uninstall(arguments: argparse.Namespace) -> int:
    """Stop the service and remove what install created; --purge removes all data as well."""
    ours = choose()
    found: ServiceState | None = None
    try:
        ours.check(os.environ)
        found = ours.state(os.environ)
    except ManagerElsewhere:
        raise
    except NoManager as error:
        print(row("skipped", f"the service: {error.message}"))  # there is none to stop, but there may be files
    done, code = False, DONE
    in_postgresql = list(_left_in_postgresql()) if arguments.purge else []  # while there is a configuration
    try:
        done = _undo_claude_code()  # at first: it would go on asking where nobody is going to answer
    except GatewayError as error:
        print(error.for_people(), file=sys.stderr)
        code = NO
    if found is not None and (found.active or found.listening):
        with Progress("Stopping"):
            ours.act("stop", os.environ)
        print(row("stopped", "the port is closed"))
        done = True
    elif lock_is_held() and not arguments.purge:
        print(row("running", "the daemon was started by hand; to end it: claude-gatewayctl stop"))
    if found is not None and ours.forget(os.environ):
        print(row("disabled", "it no longer starts when you log in"))
    link, file = paths.installation_link(os.environ), paths.environment_file(os.environ)
    # by the link a shell may find this very program: then it goes with the installations alone
    found_by_shell = bool(_links()) and not arguments.purge
    links = () if found_by_shell else (link, paths.previous_link(os.environ))
    script = (paths.start_script(os.environ), paths.failed_starts_file(os.environ))
    units = ours.installed(os.environ) if found is not None else ours.leftovers(os.environ)
    for path in (*units, *links, *script, file):
        if remove(path):
            if path.parent.name.startswith(paths.APP):
                remove_if_empty(path.parent)
            print(row("removed", path))
            done = True
    if done and found is not None:
        ours.act("load", os.environ)
    done = _printed(completion.uninstall(os.environ)) or done
    kept = [path for path in _own_directories() if path.is_dir() and any(path.iterdir())]
    if arguments.purge:
        if lock_is_held():
            raise GatewayError("cannot purge: claude-gatewayd is running, started by hand", "claude-gatewayctl stop")
        if in_postgresql:
            print("\n".join(in_postgresql))
        for path in [link for link in _links() if remove(link)]:
            print(row("removed", path))
        for path in kept:
            _remove_tree(path)
            print(row("removed", path))
    elif kept:
        ctl = PROGRAMS[1] if shutil.which(PROGRAMS[1]) else str(Path(sys.executable).with_name(PROGRAMS[1]))
        print(row("kept", f"{', '.join(map(str, kept))} ({ctl} uninstall --purge removes that too)"))
    if not done and not (arguments.purge and kept):
        print("Nothing to do: it is not installed")
    return code


# -- what is said


def _printed(lines: Iterator[str]) -> bool:
    """Print lines; say whether there were any."""
    found = list(lines)
    if found:
        print("\n".join(found), flush=True)
    return bool(found)


def _print_plan(ours: Manager, steps: list[FileWrite | Symlink], verbs: list[Verb], *, linger: bool) -> None:
    for step in steps:
        if step.is_done:
            print(f"# {step.path}: already there, unchanged\n")
        elif isinstance(step, Symlink):
            print(f"ln -sfn {shlex.quote(str(step.target))} {shlex.quote(str(step.path))}\n")
        else:
            print(f"# {step.path}, mode {step.mode:04o}\n{step.shown or step.text.rstrip()}\n")
    for shell, one in completion.files(os.environ).items():
        if not one.is_done:
            print(f"claude-gatewayctl completion {shell} > {shlex.quote(str(one.path))}\n")
    commands = [command for verb in verbs for command in ours.commands(verb, os.environ)]
    if linger:
        commands.append("loginctl enable-linger")
    print("\n".join([*dict.fromkeys(commands), "# Nothing was changed." if commands else "# Nothing to do."]))


def _report_takeover(found: ServiceState, steps: list[FileWrite | Symlink]) -> None:
    """Say so where the service is that of another installation: from now on it is ours."""
    links = {step.path: step for step in steps if isinstance(step, Symlink)}
    ours = str(links[paths.installation_link(os.environ)].target / "bin" / PROGRAMS[0])
    there = os.path.realpath(found.program)
    if found.file is not None and there != os.path.realpath(ours):
        gone = "" if os.path.exists(there) else ", which no longer exists"
        print(row("was", f"{there}{gone}; from now on the service starts {ours}"))
        if paths.previous_link(os.environ) in links:
            print(row("", "(to go back: claude-gatewayctl upgrade --rollback)"))


def path_hint() -> str:
    """Return what a shell needs so that it finds our programs, "" where it does."""
    return "" if shutil.which(PROGRAMS[1]) else f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"


def _next(ours: Manager, address: str) -> Iterator[str]:
    yield "\nNext:"
    ctl = PROGRAMS[1]
    if needed := path_hint():
        yield f"  {needed}"
    yield f"  {ctl} configure-claude    # point Claude Code at {address}"
    yield f"  {ctl} status"
    if not ours.lingers(os.environ):
        yield f"  {ctl} install --linger    # to keep it running while you are logged out"
    if not ours.moves_streams(os.environ):
        yield "  sudo apt-get install dbus-user-session    # without it a restart waits for open streams"


# -- what is in the way, and what is left


def _undo_claude_code() -> bool:
    """Take our address out of Claude Code's settings. Returns whether it was there."""
    environ = {**os.environ, **environment.stored(os.environ)}
    if (remote := gateway.in_settings(environ)) is not None:
        print(row("left", f"Claude Code uses another gateway, {remote.url}: claude-gatewayctl remove-claude"))
        return False
    outcome = edit_settings.remove(os.environ, edit_settings.here(environ))
    if outcome.changes:
        print(describe_removal(outcome, clients.running(outcome.file)))
    return bool(outcome.changes)


def _stop_manual_daemon(found: ServiceState, *, now: bool) -> None:
    """End a daemon that was started by hand, at once, if that is wished; else raise GatewayError where there is one."""
    status = running()
    if not now or status is None or found.active or found.listening:
        refuse_foreign(found, "start the service", "claude-gatewayctl install --now")
        return
    end_at_once()
    deadline = time.monotonic() + _ENDS_WITHIN
    while lock_is_held():
        if time.monotonic() > deadline:
            raise GatewayError(
                f"cannot stop the running daemon: pid {status['pid']} does not exit", f"kill {status['pid']}"
            )
        time.sleep(0.05)
    print(row("ended", f"the daemon that was started by hand, pid {status['pid']}"))


def _left_in_postgresql() -> Iterator[str]:
    """Yield what to do about a ledger that is in no file of ours."""
    environ = environment.of_daemon(os.environ)
    try:
        database = database_of(config.load_with_defaults(environ).ledger, environ)
    except GatewayError:
        return
    if database.is_postgres:
        yield row("kept", f"the ledger's tables in {database.shown}; to remove them:")
        yield row("", as_administrator(database, f"DROP SCHEMA {SCHEMA} CASCADE"))


def _own_directories() -> list[Path]:
    environ = os.environ
    found = [paths.config_path({**environ, "CLAUDE_GATEWAY_CONFIG": ""}).parent, paths.state_dir(environ)]
    found += [paths.data_dir(environ), paths.log_file(environ).parent]
    return list(dict.fromkeys(found))


def _links() -> list[Path]:
    """Return the links to installations of ours, which go with these, where a shell finds programs."""
    links = [paths.home(os.environ) / ".local/bin" / name for name in PROGRAMS]
    ours = paths.data_dir(os.environ)
    return [link for link in links if link.is_symlink() and link.readlink().is_relative_to(ours)]


def _remove_tree(path: Path) -> None:
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise not_changed("remove", path, error) from None


def port_number(given: str) -> int:
    """Return a port that was given on the command line."""
    if not given.isdecimal() or not 1 <= int(given) <= 65535:
        raise argparse.ArgumentTypeError(f"{given!r} is not a port, a number from 1 to 65535")
    return int(given)
