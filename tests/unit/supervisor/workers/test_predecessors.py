"""What a supervisor leaves for the next one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from claude_gatewayd.supervisor.workers.predecessors import WITHOUT_SCOPE, Predecessor, Predecessors


def test_a_process_that_only_has_the_number_is_left_alone(tmp_path: Path) -> None:
    """By now it may be any process's. Those that are in the scope are seen in `test_systemd`."""
    file = tmp_path / "predecessors.json"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        Predecessors(file).save([Predecessor(process.pid, "claude-gatewayd-drain-1.scope", has_engine=True, drain=1.0)])
        known = Predecessors(file)
        assert (known.pids, known.have_engine) == ([process.pid], True)
        known.dismiss()
        assert not file.exists()
        Predecessors(file).save([Predecessor(process.pid, "claude-gatewayd-drain-1.scope", has_engine=True, drain=1.0)])
        assert not Predecessors(file)
        assert process.poll() is None


@pytest.mark.skipif(not Path("/proc/self/cgroup").exists(), reason="there are no cgroups on this system")
def test_one_that_does_not_end_is_ended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scope = Path("/proc/self/cgroup").read_text().splitlines()[0].rpartition("/")[2]  # a test's may stand for any
    file, now = tmp_path / "predecessors.json", [1000.0]
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", stubborn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        first = Predecessors(file, lambda: now[0])
        first.save([Predecessor(process.pid, scope, has_engine=False, drain=30.0)])
        known = Predecessors(file, lambda: now[0])
        known.dismiss()
        assert not known
        for now[0] in (1001.0, 1034.9):
            known.tick()
            assert process.poll() is None
        after_a_restart = Predecessors(file, lambda: now[0])
        assert not after_a_restart, "it drains: it does not serve"
        now[0] = 1035.1
        after_a_restart.tick()
        assert process.wait(10) == -signal.SIGKILL
        after_a_restart.tick()
        assert not file.exists()
    assert f"the worker before us (pid {process.pid}) does not end: ending it" in caplog.text


def test_one_without_a_scope_is_ended_only_if_it_is_a_worker(tmp_path: Path) -> None:
    """launchd has no scopes: what a number belongs to is seen by its command line."""
    file, now = tmp_path / "predecessors.json", [1000.0]
    run = [sys.executable, "-c", "import sys; print(flush=True); input()"]
    ours = [*run, "-m", "claude_gatewayd.worker"]
    with (
        subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other,
        subprocess.Popen(ours, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker,
    ):
        for process in (other, worker):
            assert process.stdout is not None
            process.stdout.readline()
        one, two = (
            Predecessor(process.pid, WITHOUT_SCOPE, has_engine=False, drain=30.0, told_at=1000.0)
            for process in (other, worker)
        )
        Predecessors(file, lambda: now[0]).save([one, two])
        known = Predecessors(file, lambda: now[0])
        assert not known, "they drain: they do not serve"
        known.tick()
        assert worker.poll() is None
        now[0] = 1035.1
        known.tick()
        assert worker.wait(10) == -signal.SIGKILL
        assert other.poll() is None
        assert not file.exists()


@pytest.mark.parametrize("text", ["", "{", "[7]", '[{"pid": 7}]', '[{"pid": 7, "scope": "x", "other": 1}]', "7"])
def test_a_file_that_is_no_good_is_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "predecessors.json"
    file.write_text(text)
    assert not Predecessors(file)


def test_a_file_that_cannot_be_written_is_no_reason_to_stay(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    file = tmp_path / "file" / "predecessors.json"
    Predecessors(file).save([Predecessor(os.getpid(), "x.scope", has_engine=False, drain=1.0)])
    assert "the next supervisor will not know of the workers that serve: [Errno" in caplog.text
    assert not Predecessors(file)
