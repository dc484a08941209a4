"""To become the next version of ourselves: the same process, with its sockets, its lock and its workers.

What we know goes through a file without a name, whose descriptor the next program finds by a variable. It is asked
first, in a process of its own, whether it can take that over.
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
from claude_gatewayd.supervisor.generation import Record
from claude_gatewayd.system import installation

_VARIABLE = "CLAUDE_GATEWAYD_STATE"
_CHECKED_WITHIN = 30.0
_MOST_TOLD = 400

# They wait through the change; sent to a program that does not know them yet, they would end it.
SIGNALS = frozenset({signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM})


@dataclass(frozen=True, slots=True)
class State:
    """What a supervisor is, but for its configuration. A later version may add fields, with a default."""

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
    generations: tuple[Record, ...]

    @classmethod
    def of(cls, text: str) -> Self:
        """Return what another version has written. Raises ValueError."""
        try:
            told = json.loads(text)
            told["generations"] = tuple(Record(**record) for record in told["generations"])
            return cls(**told)
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a state that this version knows: {error}") from None


def received(environ: MutableMapping[str, str]) -> State | None:
    """Return what the program that we were has left for us, and take the variable out of *environ*."""
    pid, _, descriptor = environ.pop(_VARIABLE, "").partition(":")
    if pid != str(os.getpid()):
        return None
    with os.fdopen(int(descriptor)) as file:
        file.seek(0)
        return State.of(file.read())


def become(interpreter: str, state: State) -> NoReturn:
    """Be the program of that Python from now on. Raises OSError where that cannot be; then nothing has changed."""
    descriptors = (state.listener, state.lock, state.control)  # those of the workers' channels are inherited already
    with tempfile.TemporaryFile("w+") as file:
        json.dump(asdict(state), file)
        file.flush()
        os.environ[_VARIABLE] = f"{os.getpid()}:{file.fileno()}"
        for descriptor in (*descriptors, file.fileno()):
            os.set_inheritable(descriptor, True)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            os.execv(interpreter, [interpreter, *sys.orig_argv[1:]])  # noqa: S606  as we were started
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            del os.environ[_VARIABLE]


async def can_be_taken_over(interpreter: str, state: State) -> list[Problem]:
    """Ask the program of that Python whether it could take over from us. Return why it could not."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(interpreter, "-P", "-m", "claude_gatewayd.supervisor.main", "check", "--state"),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        return [Problem("supervisor", f"cannot be started by {interpreter}: {error.strerror}", "install it again")]
    try:
        async with asyncio.timeout(_CHECKED_WITHIN):
            _, err = await process.communicate(json.dumps(asdict(state)).encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        return [Problem("supervisor", f"said nothing within {_CHECKED_WITHIN:g} s")]
    if process.returncode == 0:
        return []
    last = err.decode(errors="replace").strip().rpartition("\n")[2][:_MOST_TOLD]
    return [Problem("supervisor", f"cannot take over: {last or f'exit status {process.returncode}'}")]


@dataclass(frozen=True, slots=True)
class Program:
    """A Python and the code of ours that it runs."""

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
        except GatewayError:  # it is gone already
            return cls(sys.executable, "")

    @classmethod
    def by_path(cls) -> Self:
        """Return the one that would be started now, by the path that we were started by. Raises GatewayError."""
        return cls(installation.interpreter(sys.orig_argv, sys.executable), installation.mark())
