"""Failed starts, which the script that starts the daemon, `packaging/claude-gatewayd.sh`, counts and spaces."""

from collections.abc import Mapping
from pathlib import Path

from claude_gatewayd.paths import failed_starts_file

EX_UNAVAILABLE = 69  # the script's, where the program cannot run at all and the port has been closed
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


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError:
        pass  # what it costs is a later start
