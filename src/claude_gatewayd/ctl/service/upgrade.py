"""The verb that builds another version beside the running one, tries it, and switches to it; and back.

    ~/.local/share/claude-gateway/current   -> versions/20261125-081500     what the service starts from
                                  previous  -> what it was before

A version that could not serve is never put there, and the one that serves goes on.
"""

import argparse
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import claude_gatewayd
from claude_gatewayd import paths
from claude_gatewayd.ctl.service import completion, packages, virtualenvs
from claude_gatewayd.ctl.terminal import text
from claude_gatewayd.ctl.terminal.output import DONE, NO, USAGE
from claude_gatewayd.ctl.terminal.progress import Progress
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client, wire
from claude_gatewayd.service.files import Symlink

_RELOADED_WITHIN = 180.0
_GOES_ON_WITHIN = 15.0
_VERSION = re.compile(r"\d[\w.!+-]*", re.ASCII)


def upgrade_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `upgrade` takes."""
    parser.add_argument(
        "what", nargs="?", metavar="VERSION|WHEEL", help="a version or a wheel file (default: the newest version)"
    )
    parser.add_argument("--rollback", action="store_true", help="return to the previous version")
    parser.add_argument(
        "--with", dest="more", metavar="PACKAGE", action="append", default=[],
        help="add a package, such as one that a callback needs; alone, the version stays. Later versions get it, too",
    )  # fmt: skip
    parser.add_argument(
        "--without", dest="fewer", metavar="PACKAGE", action="append", default=[], help="no longer add a package"
    )
    parser.add_argument("--list", action="store_true", help="show the packages that were added")


def upgrade(arguments: argparse.Namespace) -> int:
    """Replace the running version with another one, if that can serve; exit 1 if it cannot."""
    changes = bool(arguments.more or arguments.fewer)
    if arguments.rollback and (arguments.what or changes):
        print("claude-gatewayctl upgrade: --rollback takes no version and no packages", file=sys.stderr)
        return USAGE
    if arguments.list:
        if arguments.rollback or arguments.what or changes:
            print("claude-gatewayctl upgrade: --list stands alone", file=sys.stderr)
            return USAGE
        return _list()
    begun = time.monotonic()
    link = paths.installation_link(os.environ)
    before = paths.previous_link(os.environ)
    more = [packages.absolute(one) for one in arguments.more]
    _require_installation(link, more)
    running = _running(link)
    with virtualenvs.exclusive(link):
        old = link.resolve()
        recorded = packages.read()
        added = packages.changed(recorded, more, arguments.fewer)
        if arguments.rollback:
            new = _before(before, old)
            version = virtualenvs.try_out(new)
        else:
            requirement = virtualenvs.origin(old) if changes and not arguments.what else _requirement(arguments.what)
            new = paths.versions_dir(os.environ) / time.strftime("%Y%m%d-%H%M%S")
            try:
                virtualenvs.build(new, requirement, added)
                version = virtualenvs.try_out(new)
            except GatewayError as error:
                shutil.rmtree(new, ignore_errors=True)
                raise GatewayError(
                    error.message, error.hint + packages.without([p for p in recorded if p in added])
                ) from None
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
        Symlink(link, new).do()
        try:
            problems = _reload() if running else []
        except BaseException:
            Symlink(link, old).do()  # and nothing is removed: the daemon may be about to start it
            raise
        if problems:
            Symlink(link, old).do()
            if not arguments.rollback:
                shutil.rmtree(new, ignore_errors=True)
            print(f"Not upgraded: {version} could not serve; {running} keeps serving:", file=sys.stderr)
            print(text.problems(problems), file=sys.stderr)
            return NO
        Symlink(before, old).do()
        if changes:  # not before: a version that cannot be built, or cannot serve, leaves all as it was
            packages.write(added)
        virtualenvs.remove_all_but(new, old)
    if running and not _goes_on_as(version):
        print(
            f"Version {version} is serving, but its supervisor did not take over: see claude-gatewayctl logs",
            file=sys.stderr,
        )
    seconds = time.monotonic() - begun
    was = f" from {running}" if running else ""
    if changes and not arguments.what:
        print(f"Built {version} again in {seconds:.1f} s")
    else:
        print(f"{'Rolled back' if arguments.rollback else 'Upgraded'}{was} to {version} in {seconds:.1f} s")
    for line in _added(new, added):
        print(line)
    for line in completion.renew(new / "bin/claude-gatewayctl", os.environ):
        print(line)
    if not running:
        print(f"The daemon is not running: claude-gatewayctl {_start()}")
    if not arguments.rollback:
        print("To go back: claude-gatewayctl upgrade --rollback")
    if hint := other_ctl(shutil.which("claude-gatewayctl"), link):
        print(hint)
    return DONE


# -- what there is


def _list() -> int:
    added = packages.read()
    for line in _added(paths.installation_link(os.environ).resolve(), added):
        print(line)
    if not added:
        print("No packages were added. To add one: claude-gatewayctl upgrade --with PACKAGE")
    return DONE


def _added(directory: Path, added: Sequence[str]) -> Iterator[str]:
    """Yield a line about each added package, with its version in *directory*."""
    for requirement, version in packages.versions(directory, added):
        if version:
            yield f"With {requirement}: {version}"
        else:
            how = f"claude-gatewayctl upgrade --with {shlex.quote(requirement)}"
            yield f"Without {requirement}: it was added to another version; to build it in: {how}"


def _require_installation(link: Path, more: Sequence[str]) -> None:
    """Raise GatewayError, with what else to do, where no service starts from *link*."""
    if link.is_symlink():
        return
    package = Path(claude_gatewayd.__file__).parent
    editable = not package.is_relative_to(Path(sys.prefix).resolve()) and not package.is_relative_to(sys.prefix)
    raise GatewayError(
        f"cannot upgrade: no service runs from {link}",
        f"claude-gatewayctl install, then upgrade again; or in place: {in_place(sys.prefix, more, editable=editable)}",
    )


def in_place(prefix: str, more: Sequence[str] = (), *, editable: bool) -> str:
    """Return the command that upgrades an installation where it is, or adds packages to it, and hands over to it."""
    if more:
        wanted = shlex.join(more)
        if "/pipx/" in prefix:
            how = f"pipx inject claude-gatewayd {wanted}"
        elif "/uv/tools/" in prefix:
            how = f"uv tool install claude-gatewayd {shlex.join(part for one in more for part in ('--with', one))}"
        else:
            how = f"{shlex.quote(prefix)}/bin/python -m pip install {wanted}"
    elif editable:
        how = "git pull"
    elif "/pipx/" in prefix:
        how = "pipx upgrade claude-gatewayd"
    elif "/uv/tools/" in prefix:
        how = "uv tool upgrade claude-gatewayd"
    else:
        how = f"{shlex.quote(prefix)}/bin/python -m pip install --upgrade claude-gatewayd"
    return f"{how} && claude-gatewayctl reload"


def _running(link: Path) -> str:
    """Return the version that runs, or an empty text. Raises GatewayError for one that does not start from *link*."""
    try:
        reply = client.ask("version")
    except client.NotRunning:
        return ""
    program = reply.get("program", "")
    if not Path(program).is_relative_to(link):
        raise GatewayError(
            f"cannot upgrade: the running daemon was started by {program or 'hand'}, not from {link}",
            f"claude-gatewayctl stop, then: claude-gatewayctl {_start()}",
        )
    return str(reply["version"])


def _start() -> str:
    """Return the verb that starts the daemon: without a service, `run` starts it in the background."""
    return "start" if paths.is_installed(os.environ) else "run"


def _before(before: Path, now: Path) -> Path:
    found = before.resolve()
    if not before.is_symlink() or found == now:
        raise GatewayError("cannot go back: there is no previous version", "claude-gatewayctl upgrade VERSION")
    if not (found / "bin/claude-gatewayd").exists():
        raise GatewayError(f"cannot go back: {found} no longer exists", "claude-gatewayctl upgrade VERSION")
    return found


# -- another version


def _requirement(what: str | None) -> str:
    """Return what pip is to install. Raises GatewayError for what is neither a version nor a wheel."""
    if what is None:
        return "claude-gatewayd"
    if what.endswith(".whl"):
        wheel = paths.absolute(what)
        if not wheel.is_file():
            raise GatewayError(f"cannot upgrade to {what}: there is no such file", f"ls -l {shlex.quote(what)}")
        return str(wheel)
    if not _VERSION.fullmatch(what):
        raise GatewayError(
            f"cannot upgrade to {what}: it is neither a version nor a wheel", "pip index versions claude-gatewayd"
        )
    return f"claude-gatewayd=={what}"


def _reload() -> list[dict[str, str]]:
    """Hand over to what the link leads to. Return why that could not be."""
    try:
        with Progress("Reloading"):
            reply = client.ask("reload", _RELOADED_WITHIN)
    except client.NotRunning:
        return []  # ended meanwhile: the next start is one of the new version
    problems: list[dict[str, str]] = reply["problems"]
    return problems


def _goes_on_as(version: str) -> bool:
    """Wait until the supervisor is of that version, too."""
    deadline = time.monotonic() + _GOES_ON_WITHIN
    with Progress("Waiting for the supervisor to take over"):
        while time.monotonic() < deadline:
            try:
                if client.ask("version")["version"] == version:
                    return True
            except (GatewayError, wire.NotAMessage):
                pass  # it is changing at this very moment
            time.sleep(0.1)
    return False


# -- what is said


def other_ctl(found: str | None, link: Path) -> str:
    """Return how the new claude-gatewayctl is had, where the one on the PATH is another.

    A link is replaced by one that follows every upgrade. A program of an installation must not be: a way back leads to
    that very installation, and there *link* would lead to itself.
    """
    if found is None or Path(found).resolve().is_relative_to(link.resolve()):
        return ""
    if Path(found).is_symlink():
        how = f"ln -sf {shlex.quote(str(link / 'bin/claude-gatewayctl'))} {shlex.quote(found)}"
    else:
        how = f"export PATH={shlex.quote(str(link / 'bin'))}:$PATH"
    return f"Your claude-gatewayctl is still the previous version. To use the new one: {how}"
