"""Another version, built beside the running one, tried, and put into its place; and the way back.

    ~/.local/share/claude-gateway/current   -> versions/20261125-081500     what the service starts from
                                  previous  -> what it was before

A version that could not serve is never put there, and the one that serves goes on.
"""

import argparse
import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import claude_gatewayd
from claude_gatewayd import paths, wire
from claude_gatewayd.ctl import client, text
from claude_gatewayd.ctl.answer import DONE, NO, USAGE
from claude_gatewayd.errors import GatewayError

_BUILT_WITHIN = 1800.0  # LiteLLM brings a hundred packages
_TRIED_WITHIN = 120.0
_RELOADED_WITHIN = 180.0
_GOES_ON_WITHIN = 15.0
_LAST_LINES = 3
_VERSION = re.compile(r"\d[\w.!+-]*", re.ASCII)


def upgrade_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `upgrade` takes."""
    parser.add_argument(
        "what", nargs="?", metavar="VERSION|WHEEL", help="a version, or a wheel's file; else the newest"
    )
    parser.add_argument("--rollback", action="store_true", help="back to the version before")


def upgrade(arguments: argparse.Namespace) -> int:
    """Put another version into the place of the running one, if it can serve; exit 1 and say why if it cannot."""
    if arguments.rollback and arguments.what:
        print(
            "claude-gatewayctl upgrade: --rollback goes back to the version before, and takes no other", file=sys.stderr
        )
        return USAGE
    begun = time.monotonic()
    link = paths.installation_link(os.environ)
    before = link.with_name("previous")
    _refuse_without(link)
    running = _running(link)
    with _alone(link):
        old = link.resolve()
        if arguments.rollback:
            new = _before(before, old)
            version = _try(new)
        else:
            requirement = _requirement(arguments.what)
            new = paths.versions_dir(os.environ) / time.strftime("%Y%m%d-%H%M%S")
            try:
                _build(new, requirement)
                version = _try(new)
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
        _point(link, new)
        problems = _reload() if running else []
        if problems:
            _point(link, old)
            if not arguments.rollback:
                shutil.rmtree(new, ignore_errors=True)
            print(f"Not upgraded: {version} could not serve, {running} serves on:", file=sys.stderr)
            print(text.problems(problems), file=sys.stderr)
            return NO
        _point(before, old)
        _remove_all_but(new, old)
    if running and not _goes_on_as(version):
        print(f"The generation of {version} serves; its supervisor did not take over, see the log", file=sys.stderr)
    seconds = time.monotonic() - begun
    was = f" from {running}" if running else ""
    print(f"{'Back' if arguments.rollback else 'Upgraded'}{was} to {version} in {seconds:.1f} s")
    if not running:
        print("The daemon does not run: it starts with the next connection, or by: claude-gatewayctl start")
    if not arguments.rollback:
        print("If it is worse: claude-gatewayctl upgrade --rollback")
    _say_which_ctl(link)
    return DONE


# -- what there is


def _refuse_without(link: Path) -> None:
    """Raise GatewayError, with what else to do, where no service starts from *link*."""
    if link.is_symlink():
        return
    package = Path(claude_gatewayd.__file__).parent
    editable = not package.is_relative_to(Path(sys.prefix).resolve()) and not package.is_relative_to(sys.prefix)
    raise GatewayError(
        f"cannot upgrade beside the running version: no service starts from {link}",
        f"claude-gatewayctl install, and then again; or in place: {in_place(sys.prefix, editable=editable)}",
    )


def in_place(prefix: str, *, editable: bool) -> str:
    """Return the command that upgrades an installation where it is, and hands over to it."""
    if editable:
        how = "git pull"
    elif "/pipx/" in prefix:
        how = "pipx upgrade claude-gatewayd"
    elif "/uv/tools/" in prefix:
        how = "uv tool upgrade claude-gatewayd"
    else:
        how = f"{shlex.quote(prefix)}/bin/python -m pip install --upgrade claude-gatewayd"
    return f"{how} && claude-gatewayctl reload"


def _running(link: Path) -> str:
    """Return the version that runs, or an empty text. Raises GatewayError for one that does not start from *link*."""
    try:
        said = client.ask("version")
    except client.NotRunning:
        return ""
    program = said.get("program", "")
    if not Path(program).is_relative_to(link):
        raise GatewayError(
            f"cannot upgrade: the daemon that runs was started by {program or 'hand'}, not from {link}",
            "claude-gatewayctl stop, then: claude-gatewayctl start",
        )
    return str(said["version"])


@contextmanager
def _alone(link: Path) -> Iterator[None]:
    """Hold the lock of upgrades. Raises GatewayError where another has it."""
    try:
        directory = paths.versions_dir(os.environ)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (directory / ".lock").open("w")
    except OSError as error:
        raise GatewayError(f"cannot write to {link.parent}: {error.strerror}", f"ls -ld {link.parent}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise GatewayError("cannot upgrade: another upgrade is under way") from None
        yield


def _before(before: Path, now: Path) -> Path:
    found = before.resolve()
    if not before.is_symlink() or found == now:
        raise GatewayError("cannot go back: there was no version before this one", "claude-gatewayctl upgrade VERSION")
    if not (found / "bin/claude-gatewayd").exists():
        raise GatewayError(f"cannot go back: {found} is not there any more", "claude-gatewayctl upgrade VERSION")
    return found


# -- another version


def _requirement(what: str | None) -> str:
    """Return what pip is to install. Raises GatewayError for what is neither a version nor a wheel."""
    if what is None:
        return "claude-gatewayd"
    if what.endswith(".whl"):
        wheel = Path(what).absolute()
        if not wheel.is_file():
            raise GatewayError(f"cannot upgrade to {what}: there is no such file", f"ls -l {shlex.quote(what)}")
        return str(wheel)
    if not _VERSION.fullmatch(what):
        raise GatewayError(
            f"cannot upgrade to {what}: it is neither a version nor a wheel", "pip index versions claude-gatewayd"
        )
    return f"claude-gatewayd=={what}"


def _build(directory: Path, requirement: str) -> None:
    """Make a virtual environment with that version. Raises GatewayError with what pip said last."""
    _progress(f"Building {directory} ...")
    python = str(directory / "bin/python")
    _run([sys.executable, "-m", "venv", str(directory)], "make a virtual environment", _BUILT_WITHIN)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    _run([*pip, requirement], f"install {requirement}", _BUILT_WITHIN)


def _try(directory: Path) -> str:
    """Start a generation of that version which serves nobody, by its own supervisor. Return its version."""
    daemon = str(directory / "bin/claude-gatewayd")
    version = _run([daemon, "--version"], f"start {daemon}", _TRIED_WITHIN).strip().rpartition(" ")[2]
    _progress(f"Trying {version} ...")
    _run([daemon, "check"], f"use {version}, which could not serve", _TRIED_WITHIN)
    return version


def _run(command: list[str], purpose: str, seconds: float) -> str:
    """Run to the end and return what was printed. Raises GatewayError with the last of it."""
    lines = []
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    except OSError as error:
        raise GatewayError(f"cannot {purpose}: {command[0]}: {error.strerror}") from None
    limit = threading.Timer(seconds, process.kill)
    limit.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            _say_where_we_are(lines[-1])
        status = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        limit.cancel()
        _say_where_we_are("")
    if status:
        raise GatewayError(f"cannot {purpose}: {reason(lines) or f'exit status {status}'}", shlex.join(command))
    return "\n".join(lines)


def reason(lines: list[str]) -> str:
    """Return what a program that failed has printed to say why: pip's errors, or what stands last."""
    said = [line for line in lines if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")]
    if not errors and any(line.startswith("Traceback ") for line in said):
        errors = said[-1:]
    return "\n  ".join((errors or said)[-_LAST_LINES:])


# -- its place


def _point(link: Path, to: Path) -> None:
    """Let *link* lead to *to*, in one step. Raises GatewayError."""
    fresh = link.with_name(f"{link.name}.{os.getpid()}")
    try:
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(to)
        fresh.replace(link)
    except OSError as error:
        raise GatewayError(f"cannot let {link} lead to {to}: {error.strerror}", f"ls -ld {link.parent}") from None


def _reload() -> list[dict[str, str]]:
    """Hand over to what the link leads to. Return why that could not be."""
    _progress("Reloading ...")
    try:
        said = client.ask("reload", _RELOADED_WITHIN)
    except client.NotRunning:
        return []  # ended meanwhile: the next start is one of the new version
    except GatewayError as error:
        return [{"where": "daemon", "message": error.message, "hint": error.hint}]
    problems: list[dict[str, str]] = said["problems"]
    return problems


def _goes_on_as(version: str) -> bool:
    """Wait until the supervisor is of that version, too."""
    deadline = time.monotonic() + _GOES_ON_WITHIN
    while time.monotonic() < deadline:
        try:
            if client.ask("version")["version"] == version:
                return True
        except (GatewayError, wire.NotAMessage):
            pass  # it is changing at this very moment
        time.sleep(0.1)
    return False


def _remove_all_but(*kept: Path) -> None:
    """Remove the versions that nobody can come back to."""
    for directory in paths.versions_dir(os.environ).iterdir():
        if directory.is_dir() and directory.resolve() not in kept:
            shutil.rmtree(directory, ignore_errors=True)


# -- what is said


def _say_which_ctl(link: Path) -> None:
    mine = shutil.which("claude-gatewayctl")
    if mine is not None and not Path(mine).resolve().is_relative_to(link.resolve()):
        print(f"claude-gatewayctl is still the one of before: ln -sf {link}/bin/claude-gatewayctl {shlex.quote(mine)}")


def _progress(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _say_where_we_are(line: str) -> None:
    """Show the latest line of what runs, where a person looks on; with none, clear it away."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 3
        print(f"\r\033[K{'  ' if line else ''}{line[:width]}", end="", file=sys.stderr, flush=True)
