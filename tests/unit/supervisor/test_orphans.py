"""Orphans: reaped at the second look, so that whoever waits for a child of its own still gets its status."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from claude_gatewayd.supervisor import orphans

pytestmark = pytest.mark.skipif(
    not Path("/proc/thread-self/children").exists(), reason="this kernel does not list children"
)


def test_one_that_has_ended_is_reaped_at_the_second_look() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.returncode = 0  # nobody waits for it
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    seen = orphans.reap(frozenset())
    assert child.pid in seen
    assert orphans.reap(seen) == frozenset()
    with pytest.raises(ChildProcessError):
        os.waitpid(child.pid, os.WNOHANG)


def test_whoever_waits_gets_the_status_of_a_child() -> None:
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    orphans.reap(frozenset())
    assert child.wait() == 3


def test_one_that_runs_is_left_alone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert orphans.reap(frozenset({child.pid})) & {child.pid} == frozenset()
        assert child.poll() is None
        assert child.stdin is not None
        child.stdin.close()
