"""Run `claude-gatewayctl` as a child: what it knows is asked for, and not imported."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from claude_gatewayd.errors import GatewayError

_MOST: Final = 1024 * 1024  # bytes of its output


class Ran(NamedTuple):
    """What came of a command: its exit status, and what it printed."""

    status: int
    output: str
    errors: str


@contextlib.asynccontextmanager
async def started(*words: str) -> AsyncIterator[Process]:
    """Run a verb, and end it with all that it has started. Raises GatewayError."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "claude_gatewayd.ctl.main", *words), env=dict(os.environ), cwd="/",
            stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True, limit=_MOST,
        )  # fmt: skip
    except OSError as error:
        why = error.strerror or str(error)
        raise GatewayError(f"cannot start claude-gatewayctl: {why}", f"claude-gatewayctl {' '.join(words)}") from None
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: of a group of zombies
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def run(*words: str, seconds: float) -> Ran:
    """Run a verb to its end. Raises GatewayError, also if that takes longer than *seconds*."""
    async with started(*words) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            async with asyncio.timeout(seconds):
                output, errors = await asyncio.gather(_all_of(process.stdout), _all_of(process.stderr))
                status = await process.wait()
        except TimeoutError:
            command = f"claude-gatewayctl {' '.join(words)}"
            raise GatewayError(f"{command} was not done within {seconds:g} s", command) from None
    return Ran(status, output.decode(errors="replace"), errors.decode(errors="replace"))


async def _all_of(stream: asyncio.StreamReader) -> bytes:
    """Return what a stream has until its end, the beginning of what is longer."""
    found = bytearray()
    while data := await stream.read(_MOST):
        found += data[: _MOST - len(found)]
    return bytes(found)


def problem(ran: Ran, otherwise: str) -> GatewayError:
    """Return what a verb that failed has printed: a sentence, and below it the command that helps."""
    lines = [line for line in ran.errors.splitlines() if line.strip()]
    message = lines[0].strip() if lines else f"{otherwise} (status {ran.status})"
    hint = next((line.strip() for line in lines[1:] if line.startswith("  ")), "")
    return GatewayError(message, hint)
