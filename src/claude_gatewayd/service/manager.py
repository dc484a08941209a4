"""The service manager that is there: systemd's user manager, or launchd. Two rooms with the same verbs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.service.files import FileWrite

Verb = Literal["load", "start", "stop", "restart", "enable", "disable"]


class NoManager(GatewayError):
    """There is no service manager that would hear us."""


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """What a service is to be: which programs, on which address, with which file of its environment."""

    bin: Path
    host: str
    port: int
    environment_file: Path
    sandbox: bool = False


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What the manager says of the service. *file* is None where it is not installed, *pid* 0 where it does not run.

    *listening* says that the manager holds the port, *stale* that it has yet to read what is on disk. *trouble* is
    what keeps it from running, with *hint*.
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


class Manager(Protocol):
    """What both can do."""

    NAME: str
    OPTIONS: frozenset[str]  # of `install`: what not every manager can do

    def check(self, environ: Mapping[str, str], /) -> None:
        """Raise NoManager, with why, where it would not hear us."""

    def state(self, environ: Mapping[str, str], /) -> ServiceState:
        """Return how the service is. Raises GatewayError."""

    def installed(self, environ: Mapping[str, str], /) -> list[Path]:
        """Return what of ours is on disk."""

    def files(self, place: ServiceSpec, environ: Mapping[str, str], /) -> list[FileWrite]:
        """Return what has to be on disk."""

    def commands(self, verb: Verb, environ: Mapping[str, str], /) -> tuple[str, ...]:
        """Return what a person would type."""

    def act(self, verb: Verb, environ: Mapping[str, str], /) -> None:
        """Do that, and return when it is done. Raises GatewayError with what stands against it."""

    def cut(self, environ: Mapping[str, str], /) -> bool:
        """End what a stop has left to finish its streams. Return whether there was any."""

    def lingers(self, environ: Mapping[str, str], /) -> bool:
        """Say whether the service runs without a login; where that is not for us to change, too."""

    def linger(self, environ: Mapping[str, str], /) -> None:
        """Let it run without a login. Raises GatewayError: it may need an administrator."""

    def why_no_sandbox(self, environ: Mapping[str, str], /) -> GatewayError | None:
        """Return what stands against a sandbox, which is tried for that; None: nothing."""

    def forget(self, environ: Mapping[str, str], /) -> bool:
        """Let nothing start at a login any more what is about to be removed. Return whether anything did."""

    def moves_streams(self, environ: Mapping[str, str], /) -> bool:
        """Say whether a restart leaves open streams to end by themselves; else it waits for them."""

    def logs(self, lines: int | None, since: str, environ: Mapping[str, str], /, *, follow: bool) -> None:
        """Show the log: the last *lines* since a time, as the manager understands it. May not return."""
