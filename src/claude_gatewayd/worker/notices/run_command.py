"""Run a command of the person's, or a program of the desktop, with a time limit."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL
from collections.abc import Mapping, Sequence

_KILL_TIMEOUT = 2.0  # seconds

# All that a command gets of our environment, which holds AWS keys and may hold other secrets.
_ALLOWED = frozenset((
    "HOME", "USER", "LOGNAME", "SHELL", "PATH", "TMPDIR", "TZ", "LANG", "LANGUAGE",
    "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS",
    "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_SESSION_TYPE",
    "XDG_CURRENT_DESKTOP", "CLAUDE_GATEWAY_CONFIG",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
))  # fmt: skip


def allowed_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a command gets of the environment: session, language, proxies and certificates; no keys."""
    return {name: text for name, text in environ.items() if name in _ALLOWED or name.startswith("LC_")}


async def run(argv: Sequence[str], environ: Mapping[str, str], seconds: float, *, log_stderr: bool) -> str:
    """Run a command; return why it failed, "" if it did not. With *log_stderr* its standard error goes to our log.

    It leads a process group of its own, which is killed when the command ends or times out, or when we are cancelled.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, env=dict(environ), cwd="/",
            stdin=DEVNULL, stdout=DEVNULL, stderr=None if log_stderr else DEVNULL, start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        return f"it cannot be run: {getattr(error, 'strerror', None) or error}"
    try:
        async with asyncio.timeout(seconds):
            status = await process.wait()
    except TimeoutError:
        return f"it was not done in {seconds:g} s and was ended"
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS: of a group of zombies
            pass
        try:
            async with asyncio.timeout(_KILL_TIMEOUT):
                await process.wait()
        except TimeoutError:
            pass
    return "" if status == 0 else f"it ended with status {status}" if status > 0 else f"signal {-status} ended it"
