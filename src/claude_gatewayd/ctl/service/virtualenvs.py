"""Versions side by side, each a virtual environment, and the link to the one that the service uses."""

import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from claude_gatewayd import paths
from claude_gatewayd.ctl.service.packages import distributions, name_of
from claude_gatewayd.ctl.terminal.progress import Progress
from claude_gatewayd.errors import GatewayError, list_command
from claude_gatewayd.service import environment

_BUILT_WITHIN = 1800.0  # LiteLLM brings a hundred packages
_TRIED_WITHIN = 120.0
_LAST_LINES = 3
_ENSUREPIP = "sudo apt install python3-venv"


@contextmanager
def exclusive(link: Path) -> Iterator[None]:
    """Hold the lock of upgrades. Raises GatewayError where another has it."""
    try:
        directory = paths.versions_dir(os.environ)
        paths.make_directory(directory)
        lock = (directory / ".lock").open("w")
    except OSError as error:
        raise GatewayError(f"cannot write to {link.parent}: {error.strerror}", list_command(link.parent)) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise GatewayError("cannot upgrade: another upgrade is under way") from None
        yield


def build(directory: Path, requirement: str, added: Sequence[str] = ()) -> None:
    """Make a virtual environment with that version, and the packages that a person has added.

    Raises GatewayError with what pip said last.
    """
    what = f"Building {directory}"
    python = str(directory / "bin/python")
    venv = [sys.executable, "-m", "venv", str(directory)]
    if find_spec("pip") is not None:  # ours installs there, too; one of its own would take seconds
        venv.append("--without-pip")
        pip = [sys.executable, "-m", "pip", "--python", python]
    else:
        pip = [python, "-m", "pip"]
    try:
        run(venv, what, "make a virtual environment", _BUILT_WITHIN)
    except GatewayError as error:
        if "ensurepip" in error.message + error.hint:  # Debian and Ubuntu have it in a package of its own
            raise GatewayError(
                "cannot make a virtual environment: Python's ensurepip is not there", _ENSUREPIP
            ) from None
        raise
    options = ["--disable-pip-version-check", "--no-input"]
    install = [*pip, *options, "install", requirement, *added]  # at once, so that their versions fit together
    purpose = f"install {requirement}" + (f" with {', '.join(added)}" if added else "")
    run(install, what, purpose, _BUILT_WITHIN)


def origin(directory: Path) -> str:
    """Return what pip was asked for to install the gateway there: to build the same version again.

    By PEP 610: a wheel, a directory, an archive, a commit; else it came from an index, by its version.
    """
    ours = next((one for one in distributions(directory) if name_of(one.name) == "claude-gatewayd"), None)
    if ours is None:
        raise GatewayError(
            f"cannot find the version in {directory}", "claude-gatewayctl upgrade VERSION --with PACKAGE"
        )
    try:
        source = json.loads(ours.read_text("direct_url.json") or "{}")
    except ValueError:
        source = {}
    return origin_of(source if isinstance(source, dict) else {}, ours.version)


def origin_of(source: Mapping[str, Any], version: str) -> str:
    """Return the requirement for a version, whose direct_url.json is *source*, {} if there is none."""
    url, commit = str(source.get("url", "")), source.get("vcs_info")
    if isinstance(commit, dict):
        return f"claude-gatewayd @ {commit.get('vcs')}+{url}@{commit.get('commit_id')}"
    if not url.startswith("file:"):
        return f"claude-gatewayd @ {url}" if url else f"claude-gatewayd=={version}"
    path = Path(unquote(urlsplit(url).path))
    if not path.exists():
        raise GatewayError(
            f"cannot build {version} again: {path}, which it was installed from, no longer exists",
            "name what to install: claude-gatewayctl upgrade VERSION|WHEEL --with PACKAGE",
        )
    return str(path)


def try_out(directory: Path) -> str:
    """Start a generation of that version which serves nobody, by its own supervisor. Return its version."""
    daemon = str(directory / "bin/claude-gatewayd")
    version = run([daemon, "--version"], "Trying", f"start {daemon}", _TRIED_WITHIN).strip().rpartition(" ")[2]
    service = {**os.environ, **environment.stored(os.environ)}
    run([daemon, "check"], f"Trying {version}", f"use {version}, which could not serve", _TRIED_WITHIN, service)
    return version


def run(command: list[str], what: str, purpose: str, seconds: float, environ: Mapping[str, str] | None = None) -> str:
    """Run to the end and return what was printed. Raises GatewayError with the last of it."""
    lines = []
    try:
        process = subprocess.Popen(
            command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", process_group=0,
        )  # fmt: skip
    except OSError as error:
        raise GatewayError(f"cannot {purpose}: {command[0]}: {error.strerror}") from None
    begun = time.monotonic()
    limit = threading.Timer(seconds, _kill, (process,))
    limit.start()
    try:
        assert process.stdout is not None
        with Progress(what) as during, process.stdout as output:
            for line in output:
                lines.append(line.rstrip())
                during.detail = lines[-1]
            status = process.wait()
    except BaseException:
        _kill(process)
        process.wait()
        raise
    finally:
        limit.cancel()
    if time.monotonic() - begun > seconds:
        raise GatewayError(f"cannot {purpose}: it takes more than {seconds:g} s", shlex.join(command))
    if status:
        raise GatewayError(f"cannot {purpose}: {reason(lines) or f'exit status {status}'}", shlex.join(command))
    return "\n".join(lines)


def _kill(process: subprocess.Popen[str]) -> None:
    """End it and all that it has started: they hold the pipe open that we read."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def reason(lines: list[str]) -> str:
    """Return what a program that failed has printed to say why: pip's errors, or what stands last."""
    output = [line for line in lines if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in output if line.startswith("ERROR: ")]
    if not errors and any(line.startswith("Traceback ") for line in output):
        errors = output[-1:]
    return "\n  ".join((errors or output)[-_LAST_LINES:])


def remove_all_but(*kept: Path) -> None:
    """Remove the versions that nobody can come back to."""
    these = {directory.resolve() for directory in kept}  # a home may be a symlink
    for directory in paths.versions_dir(os.environ).iterdir():
        if directory.is_dir() and directory.resolve() not in these:
            shutil.rmtree(directory, ignore_errors=True)
