"""Start the daemon if it is not running: through the service manager where it is installed, else in the background."""

import os
import subprocess
import sys
import time
from pathlib import Path
from shlex import quote
from typing import Any

from claude_gatewayd import paths
from claude_gatewayd.ctl import identity
from claude_gatewayd.ctl.terminal import progress
from claude_gatewayd.ctl.terminal.progress import Progress
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client
from claude_gatewayd.ipc.lock import is_alive, lock_is_held
from claude_gatewayd.service.manager import NoManager
from claude_gatewayd.service.platform import choose

_WITHIN = 30.0
_AGAIN = 0.05


def ensure() -> dict[str, Any]:
    """Return the status of a daemon that is serving, starting one if necessary. Raises GatewayError."""
    with Progress("Waiting for claude-gatewayd"):
        return _ensure()


def _ensure() -> dict[str, Any]:
    log = paths.background_log(os.environ)
    read_from = log.stat().st_size if log.exists() else 0
    pid: int | None = None  # of the one we started, 0 if the service manager started it
    begun = time.monotonic()
    while time.monotonic() - begun < _WITHIN:
        try:
            status = client.ask("status")
        except client.NotRunning:
            if pid is None:  # the first time, or once one that was stopping has exited
                pid = 0 if _by_service_manager() else _in_background(log)
            # If the lock is held, another run has started a daemon.
            elif pid and not is_alive(pid) and not lock_is_held():
                raise GatewayError("cannot start claude-gatewayd: " + _last_words(log, read_from), _HINT) from None
        else:
            if status["state"] == "serving":
                identity.require(status["address"], status)
                return status
            if status["problems"]:
                raise GatewayError(
                    "cannot serve: " + "; ".join(f"{one['where']}: {one['message']}" for one in status["problems"]),
                    _HINT,
                )
        time.sleep(_AGAIN)
    raise GatewayError(f"cannot use the gateway: it is not serving after {_WITHIN:g} s", _HINT)


_HINT = "claude-gatewayctl doctor; or bypass it: claude-gatewayctl run --direct"


def _by_service_manager() -> bool:
    """Start it if it is installed as a service. False if it is not, or if no service manager answers."""
    ours = choose()
    try:
        ours.check(os.environ)
        if ours.state(os.environ).file is None:
            return False
    except NoManager:
        return False
    ours.act("start", os.environ)
    return True


def _in_background(log: Path) -> int:
    """Start the daemon in a session of its own, not as a child: Claude Code, which replaces us, would not reap it."""
    paths.make_private(log.parent)
    program = _installation() / "bin/claude-gatewayd"
    daemon = [str(program)] if program.exists() else [sys.executable, "-P", "-m", "claude_gatewayd.supervisor.main"]
    script = f'umask 077; "$@" >> {quote(str(log))} 2>&1 < /dev/null & echo $!'
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *daemon],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd="/", timeout=_WITHIN,
        check=True,
    )  # fmt: skip
    progress.say(f"claude-gatewayd was not running; starting it in the background (log: {log})")
    return int(done.stdout)


def _installation() -> Path:
    """Return this installation, by the link that `upgrade` moves where that leads to it."""
    link, here = paths.installation_link(os.environ), Path(sys.prefix)
    return link if link.resolve() == here.resolve() else here


def _last_words(log: Path, read_from: int) -> str:
    try:
        with log.open("rb") as file:
            file.seek(read_from)
            lines = file.read(65536).decode(errors="replace").strip().splitlines()
    except OSError as error:
        return f"it exited, and {log} cannot be read: {error.strerror}"
    return "\n".join(lines[-8:]) or f"it exited without logging anything to {log}"
