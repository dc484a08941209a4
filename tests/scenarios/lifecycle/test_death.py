"""Processes that die or hang. The socket is never closed, so whoever connects meanwhile is served a little later."""

import signal
import time
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.scenarios.lifecycle.callers import calling
from tests.support.build import Build
from tests.support.calls import CUT, Stream, error_of, post
from tests.support.daemon import Daemon, wait_until
from tests.support.stopwatch import Stopwatch


def test_a_worker_that_dies_is_replaced(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        (worker,) = daemon.workers()
        fake.hold_next("end")
        with Stream(daemon.port) as stream:
            daemon.kill(worker)
            # nobody accepts now: these wait in the kernel
            assert [post(daemon.port)[0] for _ in range(5)] == [200] * 5
            with pytest.raises(CUT):
                stream.rest()
        status = daemon.status()
        assert [(g["number"], g["state"]) for g in status["generations"]] == [(2, "serving")]
        assert f"generation 1 (pid {worker}) died: SIGKILL" in daemon.log


def test_no_connection_is_refused_when_a_worker_dies(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon, calling(daemon.port) as callers:
        wait_until(lambda: callers.served > 20)
        for number in (2, 3):
            (worker,) = daemon.workers()
            daemon.kill(worker)
            wait_until(lambda number=number: f"generation {number} " in daemon.log)
        before = callers.served
        wait_until(lambda: callers.served > before + 20)
        # what the dead worker had in its hands is lost; what waited in the kernel is not
        assert len(callers.failures) <= 2 * 4
        assert not [failure for failure in callers.failures if "Refused" in failure or "status" in failure]


def test_deaths_in_a_row_are_answered_with_back_off(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        pauses = []
        for number in (2, 3, 4, 5):
            (worker,) = daemon.workers()
            begun = time.monotonic()
            daemon.kill(worker)
            assert post(daemon.port)[0] == 200
            pauses.append(time.monotonic() - begun)
            wait_until(lambda number=number: daemon.generation()["number"] == number)
        for pause, least in zip(pauses, (0.2, 0.4, 0.8, 1.6), strict=True):
            assert pause >= least, pauses
        assert daemon.log.count("died: SIGKILL") == 4


def test_a_worker_that_cannot_be_replaced_yet(fake: FakeAnthropic, build: Build) -> None:
    with Daemon(upstream=fake.url, environ=build.environ) as daemon:
        build.spoil()
        (worker,) = daemon.workers()
        daemon.kill(worker)
        wait_until(lambda: "cannot serve: worker" in daemon.log)
        wait_until(lambda: daemon.status()["state"] == "refusing")
        message = error_of(post(daemon.port), 503)
        assert "worker: ended with status 1 before it served" in message
        assert "claude-gatewayctl reload" in message
        health = daemon.ctl("health")
        assert health.returncode == 1
        assert "worker: ended with status 1" in health.stdout
        build.mend()
        daemon.wait_serving()
        wait_until(lambda: post(daemon.port)[0] == 200, describe=daemon.describe)
        assert daemon.status()["problems"] == []
        assert daemon.ctl("health").returncode == 0


def test_a_worker_ends_after_its_supervisor_and_its_streams(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        hold = fake.hold_next("end")
        with Stream(daemon.port) as stream:
            hold.wait_reached()
            (orphan,) = daemon.workers()
            daemon.signal(signal.SIGKILL)
            daemon.wait()
            wait_until(lambda: "the supervisor is gone" in daemon.log)
            # the next daemon needs the port, and does not have to wait for the streams of this one
            daemon.spawn()
            wait_until(
                lambda: " serves after" in daemon.log.partition("the supervisor is gone")[2], 20, daemon.describe
            )
            assert post(daemon.port)[0] == 200
            hold.release()
            stream.rest()
            assert stream.is_whole
        wait_until(lambda: orphan not in daemon.workers())
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        wait_until(lambda: daemon.workers() == [])
        assert "Traceback" not in daemon.log


@pytest.mark.slow
def test_a_worker_that_hangs_ends_after_its_supervisor(fake: FakeAnthropic, tmp_path: Path) -> None:
    """It would keep the port, and accept nothing."""
    hangs = "\nimport signal as _s\n_s.signal(_s.SIGUSR2, lambda *_: _time.sleep(3600))\n"
    build = Build(tmp_path / "build", hangs)
    with Daemon(upstream=fake.url, environ=build.environ) as daemon:
        (worker,) = daemon.workers()
        daemon.kill(worker, signal.SIGUSR2)
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        wait_until(lambda: daemon.workers() == [], describe=daemon.describe)
        assert "most recent call first" in daemon.log, "the log shows where it hung"
        daemon.spawn()
        daemon.wait_serving()
        assert post(daemon.port)[0] == 200


def test_a_worker_whose_supervisor_is_killed_while_it_starts(fake: FakeAnthropic, build: Build) -> None:
    daemon = Daemon(upstream=fake.url, environ=build.environ)
    build.hold()
    try:
        daemon.spawn()
        wait_until(lambda: len(daemon.workers()) == 1)
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        build.release()
        wait_until(lambda: daemon.workers() == [])
    finally:
        daemon.close()


@pytest.mark.slow
def test_a_worker_that_hangs_is_ended_and_replaced(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        (worker,) = daemon.workers()
        daemon.kill(worker, signal.SIGSTOP)
        begun = time.monotonic()
        with Stopwatch() as watch:
            assert post(daemon.port)[0] == 200  # accepted by nobody, until there is somebody
        assert watch.elapsed < 1.25 + 0.75 * watch.pace, watch
        assert daemon.generation()["number"] == 2
        assert worker in daemon.workers(), "it is given its time"
        wait_until(lambda: worker not in daemon.workers())
        assert time.monotonic() - begun > 9
        assert "generation 1 is silent: another one stands in" in daemon.log
        assert "has been silent for 10 s" in daemon.log
        wait_until(lambda: "generation 1 died while it drained: SIGKILL" in daemon.log)
        assert daemon.generation()["number"] == 2


def test_a_worker_says_where_it_is_and_goes_on(fake: FakeAnthropic) -> None:
    """As the supervisor asks of one that hangs; an abort would have macOS show that Python quit unexpectedly."""
    with Daemon(upstream=fake.url) as daemon:
        (worker,) = daemon.workers()
        daemon.kill(worker, signal.SIGUSR1)
        wait_until(lambda: "(most recent call first)" in daemon.log)
        assert post(daemon.port)[0] == 200
        assert daemon.workers() == [worker], daemon.log
        # other threads go on while it writes, and to read the stack of one that does may be its end
        assert daemon.log.count("(most recent call first)") == 1
        assert "worker/process.py" in daemon.log


def test_a_worker_that_only_paused_is_handed_over_from(fake: FakeAnthropic) -> None:
    """A false alarm loses nothing: who is there is served by the one that was slow, and told to come again."""
    with Daemon(upstream=fake.url) as daemon:
        (worker,) = daemon.workers()
        hold = fake.hold_next("end")
        with Stream(daemon.port) as stream:
            hold.wait_reached()
            daemon.kill(worker, signal.SIGSTOP)
            assert post(daemon.port)[0] == 200
            daemon.kill(worker, signal.SIGCONT)
            hold.release()
            stream.rest()
            assert stream.is_whole
        wait_until(lambda: worker not in daemon.workers())
        wait_until(lambda: "generation 1 has ended" in daemon.log)
        assert "ERROR" not in daemon.log


def test_a_worker_that_speaks_again_stays(fake: FakeAnthropic, build: Build) -> None:
    with Daemon(upstream=fake.url, environ=build.environ) as daemon:
        (worker,) = daemon.workers()
        build.hold()
        daemon.kill(worker, signal.SIGSTOP)
        wait_until(lambda: len(daemon.workers()) == 2)
        daemon.kill(worker, signal.SIGCONT)
        assert post(daemon.port)[0] == 200
        wait_until(lambda: daemon.generation()["connections"] == 0)  # it has told how it is
        build.release()
        wait_until(lambda: "generation 1 speaks again, generation 2 drains" in daemon.log)
        wait_until(lambda: daemon.workers() == [worker])
        assert daemon.generation()["number"] == 1
        assert daemon.ctl("reload").returncode == 0
        assert daemon.generation()["number"] == 3


def test_a_machine_that_sleeps_raises_no_alarm(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        (worker,) = daemon.workers()
        daemon.signal(signal.SIGSTOP)
        daemon.kill(worker, signal.SIGSTOP)
        time.sleep(3)
        daemon.signal(signal.SIGCONT)
        daemon.kill(worker, signal.SIGCONT)
        assert post(daemon.port)[0] == 200
        time.sleep(1)
        assert daemon.workers() == [worker]
        assert "silent" not in daemon.log
