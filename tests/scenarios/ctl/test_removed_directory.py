"""Commands that are typed in a directory that has been removed, as by a checkout of another branch."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import BIN, Daemon

# What is found out without the directory, and what is named relative to it.
WORK = [
    ("status",), ("health",), ("doctor",), ("configure-claude", "--dry-run"), ("configure-claude",), ("remove-claude",),
    ("setup", "--dry-run"), ("usage",), ("config", "check"), ("credentials",), ("models",), ("logs",), ("reload",),
    ("statusline",), ("install", "--dry-run"), ("upgrade", "--list"), ("ledger", "check"), ("run", "--", "-p", "hi"),
]  # fmt: skip
NAMED = [("import", "config.yaml"), ("config", "check", "config.toml"), ("setup", "--yes", "--import", "config.yaml")]


def in_removed(daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `claude-gatewayctl` in a directory that goes while its shell is in it."""
    directory = daemon.home / "gone"
    directory.mkdir(exist_ok=True)
    command = ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", str(BIN / "claude-gatewayctl"), *words]
    return subprocess.run(
        command,
        env=daemon.environ, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon() as daemon:
        yield daemon


def test_no_verb_fails_for_it(daemon: Daemon) -> None:
    failed = {words: done.stderr for words in WORK if "Traceback" in (done := in_removed(daemon, *words)).stderr}
    assert failed == {}
    settings = Path(daemon.home, ".claude", "settings.json")
    shutil.rmtree(settings.parent, ignore_errors=True)
    done = in_removed(daemon, "configure-claude")
    assert (done.returncode, done.stderr) == (0, "")
    assert daemon.url in settings.read_text()


@pytest.mark.parametrize("words", NAMED, ids=" ".join)
def test_a_file_that_was_there_is_named(daemon: Daemon, words: tuple[str, ...]) -> None:
    done = in_removed(daemon, *words)
    assert done.returncode == 1
    assert done.stderr == f"Cannot find {words[-1]}: the current directory has been removed\n  cd\n"
