"""A copy of the package that a test may break, as an upgrade may, or hold in the middle of a worker's start."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import claude_gatewayd

REPOSITORY = Path(__file__).parents[2]
RELAY = "worker/relay/relay.py"

_HOLD = """
import os as _os, time as _time
while _os.path.exists({gate!r}):
    _time.sleep(0.01)
"""


class Build:
    """The package in a directory of its own. *more* is added to its relay, which workers alone import."""

    def __init__(self, directory: Path, more: str = "") -> None:
        package = directory / "claude_gatewayd"
        shutil.copytree(Path(claude_gatewayd.__file__).parent, package, ignore=_unfit)
        self.environ = {"PYTHONPATH": str(directory)}
        self._gate = directory / "gate"
        self._package = package
        relay = package / RELAY
        relay.write_text(relay.read_text() + _HOLD.format(gate=str(self._gate)) + more)
        self._good: dict[str, str] = {}

    def hold(self) -> None:
        """Let workers that start from now on get no further than their imports."""
        self._gate.touch()

    def release(self) -> None:
        """Let them go on."""
        self._gate.unlink(missing_ok=True)

    def spoil(self, file: str = RELAY) -> None:
        """Make it one that no worker, or whoever imports *file*, can start from."""
        self._good[file] = (self._package / file).read_text()
        (self._package / file).write_text('raise ImportError("a broken upgrade")\n')

    def mend(self, file: str = RELAY) -> None:
        """Make it good again."""
        (self._package / file).write_text(self._good.pop(file))

    def set_version(self, version: str) -> None:
        """Let it be another version, as pip replaces one in place.

        One of the same length, written in the same second, Python takes for what it has compiled already.
        """
        file = self._package / "__init__.py"
        file.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', file.read_text()))


def _unfit(directory: str, names: list[str]) -> set[str]:
    """Return what is not copied of what is compiled, without which a start takes twice as long.

    Another process may just be writing it, and one that lets nobody else read what it creates may have written it.
    """
    return {name for name in names if ".pyc." in name or not os.access(os.path.join(directory, name), os.R_OK)}


def build_wheel(
    directory: Path, version: str, relay: str = "", supervisor: str = "", files: Mapping[str, str] | None = None
) -> str:
    """Build a wheel of the package as it is here, but for its version, and for what is put at the top of two files.

    *files* are more of them, by their paths in the package.
    """
    source = directory / f"source-{version}"
    for name in ("src", "packaging"):
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / name, source)
    package = source / "src/claude_gatewayd"
    init = package / "__init__.py"
    init.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', init.read_text()))
    for file, more in ((RELAY, relay), ("supervisor/main.py", supervisor)):
        (package / file).write_text(more + (package / file).read_text())
    for name, content in (files or {}).items():
        (package / name).write_text(content)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"], cwd=source, check=True, capture_output=True
    )
    (wheel,) = (source / "dist").iterdir()
    return str(wheel)


def install_wheel(directory: Path, wheel: str) -> Path:
    """Install a wheel as a person does; return where its programs are."""
    python = [sys.executable, "-m"]
    subprocess.run([*python, "venv", "--without-pip", str(directory)], check=True)
    pip = [*python, "pip", "--python", str(directory / "bin/python"), "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", wheel], check=True)
    return directory / "bin"
