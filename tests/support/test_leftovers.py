"""The check at the end of a run finds what is left, and ends it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.leftovers import VARIABLE, Run, short_directory


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
@pytest.mark.parametrize("known_by", ["environment", "directory"])
def test_a_process_is_found_and_ended(known_by: str) -> None:
    run = Run(gone_within=0.0)
    environ = {"HOME": str(run.directory)} if known_by == "environment" else {}
    cwd = run.directory if known_by == "directory" else "/"
    with subprocess.Popen(
        ["cat"], env=environ, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"x")
        process.stdin.flush()
        assert process.stdout.read(1) == b"x"  # it runs: until then it has no command line
        (found,) = run.end()
        assert found == f"a process, pid {process.pid}: cat"
        assert process.wait(5) == -signal.SIGKILL


def test_a_directory_and_a_socket_are_found_and_removed() -> None:
    before = os.environ.get(VARIABLE)
    run = Run(gone_within=0.0)
    short_directory("kept-").cleanup()
    (run.directory / "d-left").mkdir()
    (run.directory / "d-left" / "log").touch()
    (run.directory / "notify").touch()
    assert run.end() == [f"in {run.directory}: d-left (log)", f"in {run.directory}: notify (no file)"]
    assert not run.directory.exists()
    assert os.environ.get(VARIABLE) == before


def test_nothing_left_is_nothing_found() -> None:
    run = Run(gone_within=0.0)
    assert run.end() == []
    assert not Path(run.directory).exists()
