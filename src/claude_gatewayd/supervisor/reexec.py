"""Upgrade in place: execv the next version in this process, which keeps its sockets, its lock and its workers.

The state goes through an unlinked temporary file, whose descriptor an environment variable names. Before that, the next
version is asked in a process of its own (`check --state`) whether it can use the state.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass
from typing import Any, NoReturn, Self

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.problem import Problem
from claude_gatewayd.supervisor import SIGNALS, STATE_VARIABLE
from claude_gatewayd.supervisor.workers.worker_process import WorkerState
from claude_gatewayd.system import installation

_CHECKED_WITHIN = 30.0
_LONGEST_REASON = 400


@dataclass(frozen=True, slots=True)
class SupervisorState:
    """All that a supervisor hands to its next version, as JSON. A later version may add fields, with a default."""

    listener: int
    bound: str
    lock: int
    control: int
    managed: bool
    started_at: float
    had_terminal: bool
    outlives_terminal: bool
    log_level: str
    last_reload: dict[str, Any] | None
    past: dict[str, Any]
    generations: tuple[WorkerState, ...]

    @classmethod
    def of(cls, text: str) -> Self:
        """Return what another version has written. Raises ValueError."""
        try:
            fields = json.loads(text)
            fields["generations"] = tuple(WorkerState(**one) for one in fields["generations"])
            return cls(**fields)
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a state that this version knows: {error}") from None


def inherited_state(environ: MutableMapping[str, str]) -> SupervisorState | None:
    """Return the state that the version before us has left, and take the variable out of *environ*."""
    pid, _, descriptor = environ.pop(STATE_VARIABLE, "").partition(":")
    if pid != str(os.getpid()):
        return None
    with os.fdopen(int(descriptor)) as file:
        file.seek(0)
        return SupervisorState.of(file.read())


def execute(interpreter: str, state: SupervisorState) -> NoReturn:
    """Replace this program by that of *interpreter*. Raises OSError if that fails; then nothing has changed."""
    descriptors = (state.listener, state.lock, state.control)  # those of the workers' channels are inherited already
    with tempfile.TemporaryFile("w+") as file:
        json.dump(asdict(state), file)
        file.flush()
        os.environ[STATE_VARIABLE] = f"{os.getpid()}:{file.fileno()}"
        for descriptor in (*descriptors, file.fileno()):
            os.set_inheritable(descriptor, True)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            os.execv(interpreter, [interpreter, *sys.orig_argv[1:]])  # noqa: S606  as we were started
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            del os.environ[STATE_VARIABLE]


async def check_successor(interpreter: str, state: SupervisorState) -> list[Problem]:
    """Ask the version of *interpreter* whether it could take over from us. Returns why it could not."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(interpreter, "-P", "-m", "claude_gatewayd.supervisor.main", "check", "--state"),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        return [_problem(f"cannot be started by {interpreter}: {error.strerror}", "install it again")]
    try:
        async with asyncio.timeout(_CHECKED_WITHIN):
            _, err = await process.communicate(json.dumps(asdict(state)).encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        return [_problem(f"did not answer within {_CHECKED_WITHIN:g} s")]
    if process.returncode == 0:
        return []
    last = err.decode(errors="replace").strip().rpartition("\n")[2][:_LONGEST_REASON]
    return [_problem(f"cannot take over: {last or f'exit status {process.returncode}'}")]


def _problem(message: str, hint: str = "") -> Problem:
    return Problem("supervisor", message, hint, "system")


@dataclass(frozen=True, slots=True)
class Program:
    """An interpreter, and which code of ours it runs."""

    interpreter: str
    code: str

    @property
    def path(self) -> str:
        """The path that we were started by."""
        return next(iter(sys.orig_argv[1:]), "")

    @classmethod
    def own(cls) -> Self:
        """Return the one that has just been started."""
        try:
            return cls.by_path()
        except GatewayError:  # already removed
            return cls(sys.executable, "")

    @classmethod
    def by_path(cls) -> Self:
        """Return the one that would be started now, by the path that we were started by. Raises GatewayError."""
        return cls(installation.interpreter(sys.orig_argv, sys.executable), installation.fingerprint())
