"""A log that cannot be written: requests are answered, and workers are replaced and end, as with one that can."""

import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.calls import post
from tests.support.daemon import BIN, Daemon, wait_until

AGENT = {"XPC_SERVICE_NAME": "dev.claude-gateway.gatewayd"}  # launchd's: we keep the log ourselves then


def survives(daemon: Daemon, fake: FakeAnthropic) -> None:
    """Go through what is logged: a reload, failures of Anthropic, the death of a worker, a stop."""
    assert post(daemon.port)[0] == 200
    fake.fail_next(529, headers={"x-should-retry": "false"})
    assert post(daemon.port)[0] == 529
    assert post(daemon.port)[0] == 200
    assert daemon.ctl("reload").returncode == 0
    (worker,) = (one["pid"] for one in daemon.status()["generations"] if one["state"] == "serving")
    daemon.kill(worker)
    assert post(daemon.port)[0] == 200
    wait_until(lambda: daemon.generation()["number"] == 3)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    wait_until(lambda: daemon.workers() == [])


def log_of(daemon: Daemon) -> Path:
    return daemon.home / "Library/Logs/claude-gateway/claude-gatewayd.log"


@pytest.fixture
def agent(fake: FakeAnthropic) -> Iterator[Daemon]:
    """Return a daemon that keeps its log in a file."""
    with Daemon(upstream=fake.url, environ=AGENT) as daemon:
        assert " serves after " in log_of(daemon).read_text()
        assert "cannot log" not in daemon.log
        yield daemon


def test_a_directory_that_vanishes_under_traffic(agent: Daemon, fake: FakeAnthropic) -> None:
    shutil.rmtree(log_of(agent).parent)
    survives(agent, fake)
    assert "generation 2 (pid " in log_of(agent).read_text()
    assert "supervisor: stopped" in log_of(agent).read_text()
    assert "cannot log" not in agent.log


def nothing_but_a_file(directory: Path) -> None:
    shutil.rmtree(directory)
    directory.touch()


def a_pipe_that_nobody_reads(directory: Path) -> None:
    (directory / "claude-gatewayd.log").unlink()
    os.mkfifo(directory / "claude-gatewayd.log")


def a_full_disk(directory: Path) -> None:
    (directory / "claude-gatewayd.log").unlink()
    (directory / "claude-gatewayd.log").symlink_to("/dev/full")


@pytest.mark.parametrize(
    "becomes",
    [
        nothing_but_a_file,
        a_pipe_that_nobody_reads,
        pytest.param(
            a_full_disk, marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
        ),
    ],
)
def test_what_cannot_be_written_goes_to_stderr(
    agent: Daemon, fake: FakeAnthropic, becomes: Callable[[Path], None]
) -> None:
    becomes(log_of(agent).parent)
    survives(agent, fake)
    assert 1 <= agent.log.count("cannot log to ") <= 4, "the supervisor and each worker say it once"
    assert "supervisor: stopped" in agent.log


def test_an_orphan_ends_without_a_log(agent: Daemon) -> None:
    """A killed supervisor's worker gives the port back, whatever becomes of what it says about it."""
    nothing_but_a_file(log_of(agent).parent)
    agent.signal(signal.SIGKILL)
    agent.wait()
    wait_until(lambda: agent.workers() == [])


# standard error


def started_by_sh(tmp_path: Path, redirection: str, limit: str = "") -> Path:
    """Return a program that starts the daemon with its output elsewhere."""
    program = tmp_path / "claude-gatewayd"
    program.write_text(f'#!/bin/sh\n{limit}\nexec {BIN / "claude-gatewayd"} "$@" {redirection}\n')
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    "redirection",
    [
        ">&- 2>&-",
        "<&- >&- 2>&-",
        pytest.param(
            ">/dev/full 2>&1",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here"),
        ),
    ],
)
def test_output_that_goes_nowhere(fake: FakeAnthropic, tmp_path: Path, redirection: str) -> None:
    with Daemon(upstream=fake.url, executable=started_by_sh(tmp_path, redirection)) as daemon:
        survives(daemon, fake)


@pytest.mark.parametrize("reader", ["gone", "stopped"])
def test_output_that_nobody_reads(fake: FakeAnthropic, tmp_path: Path, reader: str) -> None:
    """As in `claude-gatewayd 2>&1 | less`: less reads no more than a page, until somebody quits it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDWR)
    try:
        with Daemon(upstream=fake.url, executable=started_by_sh(tmp_path, f">{pipe} 2>&1")) as daemon:
            if reader == "gone":
                os.close(end)
            else:
                os.set_blocking(end, False)
                while select.select((), (end,), (), 0)[1]:
                    os.write(end, b"x" * 4096)
            survives(daemon, fake)
    finally:
        if reader == "stopped":
            os.close(end)


def test_a_failure_that_nobody_can_be_told(tmp_path: Path) -> None:
    """The exit status is all that a script gets then."""
    config = tmp_path / "config.toml"
    config.write_text("[listen\n")
    program = started_by_sh(tmp_path, ">&- 2>&-")
    environ = {"HOME": str(tmp_path), "CLAUDE_GATEWAY_CONFIG": str(config), "PATH": os.environ["PATH"]}
    assert subprocess.run([program], env=environ, check=False, timeout=30).returncode == 78


def test_a_disk_that_is_full_from_the_start(fake: FakeAnthropic, tmp_path: Path) -> None:
    """No file may grow, as on a full disk. What cannot be kept is known until the end of the process."""
    # ulimit -f 0: python's own files are read, not written
    daemon = Daemon(upstream=fake.url, environ=AGENT, executable=started_by_sh(tmp_path, "", "ulimit -f 0"))
    state = daemon.home / "s" / "claude-gateway"
    state.mkdir(parents=True)
    (state / "gateway.key").write_text("cgw-" + "k" * 43 + "\n")
    (state / "gateway.key").chmod(0o600)
    with daemon:
        survives(daemon, fake)
