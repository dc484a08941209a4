"""The packages that a person adds to the gateway's own: every version that `upgrade` builds gets them.

They are kept as pip's requirements, one per line, in a file beside the versions.
"""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

from claude_gatewayd import paths
from claude_gatewayd.errors import GatewayError, not_changed
from claude_gatewayd.system import files

_OURS = "claude-gatewayd"
_LIST = "claude-gatewayctl upgrade --list"
_HEAD = "# Added by claude-gatewayctl upgrade --with. Every version that upgrade builds gets them.\n"
# PEP 508: a name, extras, versions. No markers, no URLs, and nothing that pip would take for an option.
_REQUIREMENT = re.compile(
    r"""([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)      # the name
        (?:\[[A-Za-z0-9._,-]+\])?
        (?:(?:===|[<>=!~]=|[<>])[A-Za-z0-9.*+!_-]+
           (?:,(?:[<>=!~]=|[<>])[A-Za-z0-9.*+!_-]+)*)?\Z""",
    re.VERBOSE | re.ASCII,
)


def name_of(requirement: str) -> str:
    """Return the name of a package, as PEP 503 spells it, "" for what is no requirement."""
    if requirement.endswith(".whl"):
        found = Path(requirement).name.partition("-")[0]
    else:
        match = _REQUIREMENT.match(requirement)
        found = match[1] if match else ""
    return re.sub(r"[-_.]+", "-", found).lower()


def read() -> tuple[str, ...]:
    """Return the requirements. Raises GatewayError."""
    file = paths.added_packages_file(os.environ)
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise GatewayError(f"cannot read {file}: {why}", f"ls -l {shlex.quote(str(file))}") from None
    stripped = [line.strip() for line in lines]
    return tuple(line for line in stripped if line and not line.startswith("#"))


def write(requirements: Sequence[str]) -> None:
    """Keep the requirements. Raises GatewayError."""
    file = paths.added_packages_file(os.environ)
    try:
        if requirements:
            files.write(file, (_HEAD + "".join(f"{one}\n" for one in requirements)).encode())
        else:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise not_changed("write", file, error) from None


def changed(before: Sequence[str], more: Iterable[str], fewer: Iterable[str]) -> tuple[str, ...]:
    """Return the requirements with some added, in place of those of the same name, and some removed.

    Raises GatewayError for what is no requirement, and for a package to remove that was not added.
    """
    kept = {name_of(one): one for one in before}
    for name in map(name_of, fewer):
        if kept.pop(name, None) is None:
            raise GatewayError(f"cannot remove {name or 'it'}: it was not added", _LIST)
    for one in more:
        name = name_of(one)
        if not name:
            raise GatewayError(
                f"cannot add {one}: it is neither the name of a package nor a wheel",
                "claude-gatewayctl upgrade --with NAME, or --with 'NAME>=1,<2'",
            )
        if name == _OURS:
            raise GatewayError(f"cannot add {one}: it is the gateway itself", "claude-gatewayctl upgrade VERSION")
        kept[name] = one
    return tuple(kept.values())


def without(requirements: Sequence[str]) -> str:
    """Return a second line of a hint: how to do without these, "" if there are none."""
    if not requirements:
        return ""
    flags = " ".join(f"--without {name_of(one)}" for one in requirements)
    return f"\n  or, if it is for what was added: claude-gatewayctl upgrade {flags}"


def absolute(requirement: str) -> str:
    """Return a requirement as it may be kept: a wheel by its full path. Raises GatewayError if that does not exist."""
    if not requirement.endswith(".whl"):
        return requirement
    wheel = paths.absolute(requirement)
    if not wheel.is_file():
        raise GatewayError(f"cannot add {requirement}: there is no such file", f"ls -l {shlex.quote(requirement)}")
    return str(wheel)


def versions(directory: Path, requirements: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each requirement with the version of it in a virtual environment, "" where there is none."""
    found = {name_of(one.name): one.version for one in distributions(directory)}
    for one in requirements:
        yield one, found.get(name_of(one), "")


def distributions(directory: Path) -> Iterator[metadata.Distribution]:
    """Yield what is installed in a virtual environment."""
    sites = [str(site) for site in directory.glob("lib/python3*/site-packages")]
    return (one for one in metadata.distributions(path=sites) if one.metadata is not None and one.name)
