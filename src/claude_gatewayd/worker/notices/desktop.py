"""Notifications on the desktop, by the programs that come with it. Best effort: a server has no desktop."""

import os
import sys
from collections.abc import Mapping

from claude_gatewayd.system.output import desktop
from claude_gatewayd.worker.notices import run_command
from claude_gatewayd.worker.notices.notice import Notice

_TIMEOUT = 5.0  # seconds


async def show(notice: Notice, environ: Mapping[str, str]) -> str:
    """Show a notification if there seems to be a desktop. Return why it failed, "" if it did not."""
    if sys.platform != "darwin" and not _has_bus(environ):
        return ""
    failed = "neither notify-send nor gdbus is installed" if sys.platform != "darwin" else "osascript is not installed"
    for argv in commands_for(notice, environ, sys.platform):
        why = await run_command.run(argv, run_command.allowed_environment(environ), _TIMEOUT, log_stderr=False)
        if not why:
            return ""
        failed = f"{argv[0]}: {why}"
    return failed


def commands_for(notice: Notice, environ: Mapping[str, str], platform: str) -> list[list[str]]:
    """Return the commands that can show a notice, the best first."""
    body = f"{notice.message}\n{notice.hint}" if notice.hint else notice.message
    return desktop.commands(notice.title, body, environ, platform, urgent=notice.is_urgent)


def _has_bus(environ: Mapping[str, str]) -> bool:
    if environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return True
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    return bool(runtime) and os.path.exists(os.path.join(runtime, "bus"))
