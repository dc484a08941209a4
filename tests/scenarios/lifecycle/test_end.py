"""No worker stays behind, whenever it is told to end: least of all one that is just loading LiteLLM."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.build import Build
from tests.support.calls import post
from tests.support.daemon import Daemon, wait_until
from tests.support.stage import EAGER
from tests.support.stand_in_litellm import slow_litellm

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAINVENTED", "AWS_SECRET_ACCESS_KEY": "invented"}
GONE_WITHIN = 20.0  # a drain of nothing, with all that may be waited for


def test_a_worker_that_loads_litellm_ends_at_once(tmp_path: Path) -> None:
    """The thread that imports cannot be ended, and would hold the interpreter at its own end for ever."""
    environ, loading = slow_litellm(tmp_path)
    with Daemon(environ=environ | KEYS | EAGER) as daemon:
        wait_until(loading.exists)
        begun = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert time.monotonic() - begun < 5
        assert daemon.workers() == []
        assert "ERROR" not in daemon.log


def stop(daemon: Daemon) -> None:
    daemon.signal(signal.SIGTERM)


def reload(daemon: Daemon) -> None:
    daemon.signal(signal.SIGHUP)


def kill_supervisor(daemon: Daemon) -> None:
    daemon.signal(signal.SIGKILL)


def tell_a_worker(number: signal.Signals) -> Callable[[Daemon], None]:
    def send(daemon: Daemon) -> None:
        for worker in daemon.workers()[:1]:
            try:
                os.kill(worker, number)
            except ProcessLookupError:
                pass

    return send


ACTS = (reload, tell_a_worker(signal.SIGKILL), tell_a_worker(signal.SIGTERM))
ENDS = (stop, kill_supervisor)  # once: a second stop would end all at once


def live_through(daemon: Daemon, chance: random.Random, loading: float) -> None:
    """Start a daemon, do to it what chance will in the time in which LiteLLM loads, end it, and count what is left."""
    daemon.spawn()
    if chance.random() < 0.7:
        wait_until(lambda: "is being loaded" in daemon.log, describe=daemon.describe)
    done = [*chance.choices(ACTS, k=chance.randint(0, 2)), chance.choice(ENDS)]
    for act in done:
        time.sleep(chance.random() * loading)
        act(daemon)
    daemon.wait(GONE_WITHIN)
    wait_until(lambda: not daemon.workers(), GONE_WITHIN, lambda: f"{done} {daemon.workers()} {daemon.describe()}")


@pytest.mark.parametrize("seed", range(6))
def test_none_is_left_after_anything(tmp_path: Path, seed: int) -> None:
    environ, _ = slow_litellm(tmp_path)
    daemon = Daemon(environ=environ | KEYS | EAGER)
    try:
        live_through(daemon, random.Random(seed), 1.0)
    finally:
        daemon.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(int(os.environ.get("ROUNDS", "2"))))
def test_none_is_left_of_the_real_litellm(seed: int) -> None:
    daemon = Daemon(environ=KEYS | EAGER)
    try:
        live_through(daemon, random.Random(seed), 6.0)
    finally:
        daemon.close()


# Its work is done, and said to be; and then it is not gone. The alarm is what would end it without a supervisor.
STAYS = """
import signal as _signal, time as _time
from claude_gatewayd.system import process_exit as _exit
def _stay(status):
    _exit.limit(_exit._GONE_WITHIN)
    while True:
        _time.sleep(1)
_exit.leave = _stay
"""


def test_one_that_stays_is_ended_and_named(fake: FakeAnthropic, tmp_path: Path) -> None:
    build = Build(tmp_path / "stays", STAYS)
    with Daemon(upstream=fake.url, environ=build.environ) as daemon:
        (worker,) = daemon.workers()
        assert daemon.ctl("reload").returncode == 0
        begun = time.monotonic()
        wait_until(lambda: worker not in daemon.workers(), GONE_WITHIN, daemon.describe)
        assert time.monotonic() - begun > 4
        assert f"generation 1 (pid {worker}) has done its work, but not ended within 5 s: ending it" in daemon.log
        assert post(daemon.port)[0] == 200
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert "generation 2 (pid " in daemon.log.rpartition("stopping: ")[2]


def test_one_that_stays_is_ended_by_what_the_supervisor_becomes(fake: FakeAnthropic, tmp_path: Path) -> None:
    build = Build(tmp_path / "stays", STAYS)
    with Daemon(upstream=fake.url, environ=build.environ) as daemon:
        (worker,) = daemon.workers()
        build.set_version("9.9.9")
        assert daemon.ctl("reload").returncode == 0
        wait_until(lambda: "claude-gatewayd 9.9.9 goes on as pid" in daemon.log, describe=daemon.describe)
        assert worker in daemon.workers()
        wait_until(lambda: worker not in daemon.workers(), GONE_WITHIN, daemon.describe)
        end = daemon.log.partition("claude-gatewayd 9.9.9 goes on as pid")[2]
        assert f"generation 1 (pid {worker}) has done its work, but not ended within 5 s: ending it" in end
        assert post(daemon.port)[0] == 200


def test_one_that_stays_is_ended_without_a_supervisor(fake: FakeAnthropic, tmp_path: Path) -> None:
    build = Build(tmp_path / "stays", STAYS)
    with Daemon(upstream=fake.url, environ=build.environ) as daemon:
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        wait_until(lambda: not daemon.workers(), 6.0 + GONE_WITHIN, daemon.describe)
