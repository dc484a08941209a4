"""Failed starts, which the script that starts the daemon, `packaging/claude-gatewayd.sh`, counts and spaces."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from claude_gatewayd.paths import failed_starts_file, start_script

EX_UNAVAILABLE = 69  # the script's, where the program cannot run at all and the port has been closed
_NOTIFIED_WITHIN = 10.0
_VARIABLE = "CLAUDE_GATEWAYD_FAILED_STARTS"


def failed(environ: Mapping[str, str]) -> int:
    """Return how many starts in a row have failed so far. The one that is going on does not count."""
    try:
        return max(0, int(failed_starts_file(environ).read_text()) - 1)
    except (OSError, ValueError):
        return 0


def forget(environ: Mapping[str, str]) -> None:
    """Let the next start be a first one: a person asks for it."""
    _remove(failed_starts_file(environ))


def succeeded(environ: Mapping[str, str]) -> None:
    """Record, as the daemon, that this start has succeeded."""
    if named := environ.get(_VARIABLE):
        _remove(Path(named))


def was_without_socket(environ: Mapping[str, str]) -> bool:
    """Return whether systemd has started us by our unit, without the socket, after a start that failed."""
    return _VARIABLE in environ and "NOTIFY_SOCKET" in environ and failed(environ) > 0


def notify(title: str, text: str, environ: Mapping[str, str]) -> None:
    """Show a notification by the script, for a daemon that cannot start; once for several failures in a row."""
    if _VARIABLE not in environ or failed(environ):
        return
    try:
        subprocess.run([start_script(environ), "--notify", title, text], timeout=_NOTIFIED_WITHIN, check=False)
    except (OSError, subprocess.TimeoutExpired):
        pass  # the log has it


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError:
        pass  # what it costs is a later start
