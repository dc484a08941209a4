"""What an installation is to be: by which manager, with which variables and files, and what has to be done for it."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from claude_gatewayd import paths
from claude_gatewayd.aws.profiles import source
from claude_gatewayd.config import loading as config
from claude_gatewayd.ctl.claude_code import edit_settings
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.service import environment
from claude_gatewayd.service.files import FileWrite, Symlink
from claude_gatewayd.service.manager import Manager, ServiceSpec, ServiceState, Verb
from claude_gatewayd.service.platform import choose
from claude_gatewayd.service.templates import template
from claude_gatewayd.system.addresses import to_bind

PROGRAMS = ("claude-gatewayd", "claude-gatewayctl")


def service_manager(*, linger: bool = False, sandbox: bool = False) -> Manager:
    """Return the service manager, or raise GatewayError with why it cannot do what is asked for."""
    if os.getuid() == 0 and (person := os.environ.get("SUDO_USER", "root")) != "root":
        raise GatewayError(
            f"cannot install with sudo: the service belongs to {person}, not to root", "claude-gatewayctl install"
        )
    ours = choose()
    ours.check(os.environ)
    for option, wanted in (("linger", linger), ("sandbox", sandbox)):
        if wanted and option not in ours.OPTIONS:
            raise GatewayError(f"cannot use --{option}: {ours.NAME} does not support it", "claude-gatewayctl install")
    if sandbox and (problem := ours.why_no_sandbox(os.environ)) is not None:
        raise problem
    return ours


def _here() -> Path:
    """Return the directory whose bin/ has our programs: the virtual environment that this program runs from."""
    for directory in (Path(sys.executable).parent, Path(sys.argv[0]).absolute().parent):
        if all(os.access(directory / name, os.X_OK) for name in PROGRAMS) and directory.name == "bin":
            return directory.parent
    raise GatewayError(
        f"cannot find {' and '.join(PROGRAMS)} beside {sys.executable}",
        "install the package into a virtual environment",
    )


@dataclass(frozen=True, slots=True)
class Variables:
    """What the service has of this shell's environment: as it is to be, as it was, and as it may be seen."""

    file: Path
    before: Mapping[str, str]
    values: Mapping[str, str]
    shown: Mapping[str, str]
    left_out: Sequence[str]

    @property
    def text(self) -> str:
        """Return what the file is to be; as it is, if it says all that already."""
        text = self.file.read_text() if self.file.exists() else ""
        return text if self.before == self.values and text else environment.render(self.values, text)

    def changes(self, written: Path) -> Iterator[str]:
        """Yield what is new, if it is this file that was written."""
        for name, shown in self.shown.items():
            if written == self.file and self.before.get(name) != self.values[name]:
                yield shown


def variables(port: int | None) -> Variables:
    """Return what the service is to have.

    What an earlier installation, or the person, wrote down stays, as long as this shell does not say otherwise.
    """
    before = environment.stored(os.environ)
    also = environment.named_by(config.load_with_defaults({**os.environ, **before}))
    taken, left_out = environment.collect(os.environ, also)
    asked = {} if port is None else {"CLAUDE_GATEWAY_LISTEN_PORT": str(port)}
    values = {**before, **taken, **asked}
    shown = {name: environment.shown(name, value, also) for name, value in sorted(values.items())}
    return Variables(paths.environment_file(os.environ), before, values, shown, left_out)


def refuse_sandbox(environ: Mapping[str, str]) -> None:
    """Raise GatewayError where a sandbox would break the program that supplies AWS keys. Raises ConfigInvalid."""
    if name := source.with_credential_process(environ, config.load(environ).bedrock.profile):
        raise GatewayError(
            f"cannot use --sandbox: profile {name} gets its AWS keys from a credential_process, and no program in a "
            "sandbox may gain privileges, as op, sudo and snaps do",
            "claude-gatewayctl install",
        )


def address(given: Variables) -> str:
    """Return the URL at which the service is to listen, for callers on this machine. Raises ConfigInvalid."""
    listen = config.load({**os.environ, **given.values}).listen
    return edit_settings.url_of(listen.host, listen.port)


def steps(ours: Manager, given: Variables, *, sandbox: bool) -> list[FileWrite | Symlink]:
    """Return the files of an installation. Raises ConfigInvalid: what could not serve is not installed."""
    listen = config.load({**os.environ, **given.values}).listen
    link = Symlink(paths.installation_link(os.environ), _here())
    script = paths.start_script(os.environ)
    place = ServiceSpec(script, link.path / "bin", to_bind(listen.host), listen.port, given.file, sandbox)
    return [
        FileWrite(given.file, given.text, 0o600, "\n".join(given.shown.values())),
        *_way_back(link),
        link,
        FileWrite(script, template(script.name), 0o755),
        *ours.files(place, os.environ),
    ]


def _way_back(link: Symlink) -> Iterator[Symlink]:
    """Yield the link by which `upgrade --rollback` goes back, where the service is that of another installation."""
    there = link.path.resolve()
    if link.path.is_symlink() and not link.is_done and (there / "bin" / PROGRAMS[0]).exists():
        yield Symlink(paths.previous_link(os.environ), there)


def unread(steps: list[FileWrite | Symlink], started_at: float) -> list[FileWrite | Symlink]:
    """Return the files that were written after the daemon had started: by hand, or by an `install` that was cut off."""
    return [step for step in steps if isinstance(step, FileWrite) and step.is_done and step.written_at > started_at]


def verbs(found: ServiceState, pending: list[FileWrite | Symlink]) -> list[Verb]:
    """Return what the service manager has to do, in this order."""
    changed = {step.path.suffix for step in pending}
    wanted: list[Verb] = []
    if found.stale or changed & {".service", ".socket", ".conf"}:
        wanted.append("load")
    if not found.enabled:
        wanted.append("enable")
    if found.listening and changed & {".socket", ".plist"}:  # whoever holds the port has to let go of it
        wanted += ["stop", "start"]
    elif not found.active or not found.listening:
        wanted.append("start")
    elif found.stale or pending:
        wanted.append("restart")
    return wanted
