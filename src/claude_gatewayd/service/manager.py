"""What systemd's user manager and launchd have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.service.files import FileWrite

Verb = Literal["load", "start", "stop", "restart", "enable", "disable"]


class NoManager(GatewayError):
    """No service manager can be reached."""


class ManagerElsewhere(NoManager):
    """The service manager runs, and may run the service, but not where this shell says."""


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """What the service should be: the script that starts it, its programs, its address, the file of its environment.

    *spaces_restarts*: the manager itself waits longer after each failed start.
    """

    script: Path
    bin: Path
    host: str
    port: int
    environment_file: Path
    sandbox: bool = False
    spaces_restarts: bool = False


@dataclass(frozen=True, slots=True)
class ServiceState:
    """The manager's view of the service. *file* is None if it is not installed, *pid* 0 if it is not running.

    *listening*: the manager holds the port. *stale*: it has not read yet what is on disk. *trouble* is what keeps the
    service from running, *hint* how to fix that. *sandbox* is the file that puts it into one.
    """

    file: Path | None = None
    program: str = ""
    active: bool = False
    listening: bool = False
    enabled: bool = False
    masked: bool = False
    stale: bool = False
    pid: int = 0
    trouble: str = ""
    hint: str = ""
    sandbox: str = ""


class Manager(Protocol):
    """What both managers can do."""

    NAME: str
    OPTIONS: frozenset[str]  # of `install`, which not every manager has

    def check(self, environ: Mapping[str, str], /) -> None:
        """Raise NoManager, with the reason, if it cannot be reached."""

    def state(self, environ: Mapping[str, str], /) -> ServiceState:
        """Return the state of the service. Raises GatewayError."""

    def installed(self, environ: Mapping[str, str], /) -> list[Path]:
        """Return the files of ours that are on disk."""

    def leftovers(self, environ: Mapping[str, str], /) -> list[Path]:
        """Return the same, and the links that enable the service, where no manager can be asked."""

    def files(self, place: ServiceSpec, environ: Mapping[str, str], /) -> list[FileWrite]:
        """Return the files that have to be on disk."""

    def commands(self, verb: Verb, environ: Mapping[str, str], /) -> tuple[str, ...]:
        """Return the commands that do it, as a person would type them."""

    def act(self, verb: Verb, environ: Mapping[str, str], /) -> None:
        """Do it, and return when it is done. Raises GatewayError with the reason if it fails."""

    def cut(self, environ: Mapping[str, str], /) -> bool:
        """End workers that a stop has left to finish their streams. Returns whether there were any."""

    def lingers(self, environ: Mapping[str, str], /) -> bool:
        """Return whether the service runs without a login; also True where that cannot be changed."""

    def linger(self, environ: Mapping[str, str], /) -> None:
        """Have it run without a login. Raises GatewayError: that may need an administrator."""

    def why_no_sandbox(self, environ: Mapping[str, str], /) -> GatewayError | None:
        """Try whether a sandbox is possible. Returns why it is not, or None."""

    def forget(self, environ: Mapping[str, str], /) -> bool:
        """Disable the start at login before the files are removed. Returns whether it was enabled."""

    def moves_streams(self, environ: Mapping[str, str], /) -> bool:
        """Return whether open streams outlive a restart; else the restart waits for them."""

    def logs(self, lines: int | None, since: str, environ: Mapping[str, str], /, *, follow: bool) -> None:
        """Show the log: the last *lines* since a time, in the manager's syntax. May not return."""
