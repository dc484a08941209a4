"""A word that no secret of a test is without, and where it must not be found."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path

from tests.support.daemon import Daemon

CANARY = "Canary7Zq"
PASSWORD = f"{CANARY}-p@ss/word"
IN_ANY_FORM = [
    CANARY.encode(),
    *(base64.b64encode(b"x" * n + CANARY.encode())[4:-4] for n in range(3)),  # wherever in a longer text it is
    base64.b64encode(f"user:{PASSWORD}".encode()),
]


def holds(data: bytes) -> bool:
    return any(form in data for form in IN_ANY_FORM)


def written(home: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield all that is in a directory: names, contents, and where links lead."""
    for path in home.rglob("*"):
        assert not holds(os.fsencode(path))
        if path.is_symlink():
            yield path, os.fsencode(path.readlink())
        elif path.is_file():
            yield path, path.read_bytes()


def said(daemon: Daemon) -> Iterator[tuple[str, str]]:
    for verb in (
        "status",
        "status --json",
        "health",
        "health --json",
        "version",
        "version --json",
        "reload",
        "nonsense",
    ):
        done = daemon.ctl(*verb.split())
        yield verb, done.stdout + done.stderr


def hold_nowhere(daemon: Daemon, *, but: Path | None = None) -> None:
    """Hold that no secret is in what the daemon has written, nor in what it says."""
    for verb, text in said(daemon):
        assert not holds(text.encode()), verb
    looked_at = []
    for path, data in written(daemon.home):
        if path != but:
            assert not holds(data), f"{path}: {data[:2000]!r}"
            looked_at.append(path.name)
    assert "log" in looked_at
