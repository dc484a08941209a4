"""The installation that a start would use now: its interpreter, and a fingerprint of its code.

The path that we were started by stays, for a unit names it. What it leads to changes: a symlink is moved, or pip
replaces files in place.
"""

import functools
import os
import shlex
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

from claude_gatewayd.errors import GatewayError

_PACKAGE = Path(__file__).parents[1]
_LONGEST_START = 4096


def interpreter(command: Sequence[str], default: str) -> str:
    """Return the interpreter that *command*, a `sys.orig_argv`, would start now; *default* if no script names one.

    Raises GatewayError if the script is gone.
    """
    script = command[1] if len(command) > 1 else ""
    if not os.path.isabs(script):  # `python -m ...`, and the like
        return default
    try:
        with open(script, "rb") as file:
            start = file.read(_LONGEST_START)
    except OSError as error:
        raise GatewayError(
            f"cannot start from {script}: {error.strerror}", f"install it again, then: ls -lL {shlex.quote(script)}"
        ) from None
    return _named_by(start) or default


def _named_by(start: bytes) -> str:
    """Return the interpreter in the first lines of a script."""
    lines = os.fsdecode(start).splitlines()
    if not lines or not lines[0].startswith("#!"):
        return ""
    words = lines[0].removeprefix("#!").split()
    if words == ["/bin/sh"] and len(lines) > 1 and lines[1].startswith("'''exec' "):  # written by pip for long paths
        words = shlex.split(lines[1].removeprefix("'''exec' "))
    named = words[0] if words else ""
    return named if os.path.isabs(named) and os.path.basename(named).startswith("python") else ""


def fingerprint(package: Path = _PACKAGE) -> str:
    """Return a text that differs for another package, and for this one after its files have changed."""
    seen, left = [], [os.fspath(package)]  # not os.walk, which takes half as long again: each start waits for it
    try:
        while left:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    if entry.name.endswith(".py"):
                        status = entry.stat()
                        seen.append((entry.path, status.st_size, status.st_mtime_ns))
                    elif entry.name != "__pycache__" and entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
    except OSError:
        return ""  # it is being replaced right now
    seen.sort()
    return f"{package} {zlib.crc32(repr(seen).encode()):08x}" if seen else ""


@functools.cache
def own_fingerprint() -> str:
    """Return that of the code that runs here: as it was when this process asked for the first time."""
    return fingerprint()


def version_of(package: str) -> str:
    """Return the version of an installed *package*, "" if it is not installed.

    importlib.metadata would say the same, but it loads `email`: 17 ms of every start, and 3 MB.
    """
    for directory in sys.path:
        try:
            names = os.listdir(directory or os.curdir)
        except OSError:
            continue  # a zip file, or not there
        for name in names:
            if name.startswith(f"{package}-") and name.endswith(".dist-info"):
                return name.removeprefix(f"{package}-").removesuffix(".dist-info")
    return ""
