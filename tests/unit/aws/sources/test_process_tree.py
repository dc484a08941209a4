"""A process and all below it: what the two ways to list processes say, and what is gone already."""

import os
import subprocess
import sys

import pytest

from claude_gatewayd.aws.sources import process_tree


@pytest.mark.parametrize("lists", [process_tree._parents, process_tree._parents_by_ps])
def test_who_is_whose_parent(lists: object) -> None:
    assert callable(lists)
    assert lists()[os.getpid()] == os.getppid()


def test_one_that_has_ended_already() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], start_new_session=True) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        process_tree.kill(process.pid)
        assert process.wait() == 0
