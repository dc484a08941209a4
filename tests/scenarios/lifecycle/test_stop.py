"""The end: what is under way is finished, unless it may not be, and nothing is left behind."""

import signal
import socket
import subprocess
import time

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.build import Build
from tests.support.calls import CUT, Stream, post
from tests.support.daemon import BIN, Daemon, wait_until


def is_stopping(daemon: Daemon) -> bool:
    return "stopping: " in daemon.log


def assert_nothing_is_left(daemon: Daemon) -> None:
    wait_until(lambda: daemon.workers() == [])
    assert not (daemon.runtime / "claude-gateway" / "control.sock").exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", daemon.port), timeout=5)
    assert "Traceback" not in daemon.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stream_is_finished_first(fake: FakeAnthropic, number: signal.Signals) -> None:
    with Daemon(upstream=fake.url) as daemon:
        hold = fake.hold_next("end")
        with Stream(daemon.port) as stream:
            hold.wait_reached()
            wait_until(lambda: daemon.status()["under_way"] == 1)
            daemon.signal(number)
            wait_until(lambda: "stopping: 1 request under way" in daemon.log)
            status = daemon.status()
            assert (status["state"], status["under_way"], status["streams"]) == ("stopping", 1, 1)
            assert daemon.process is not None
            assert daemon.process.poll() is None
            hold.release()
            stream.rest()
            assert stream.is_whole
        assert daemon.wait() == 0
        assert_nothing_is_left(daemon)


def test_who_comes_during_the_drain_is_refused_at_once(fake: FakeAnthropic) -> None:
    """Nobody is going to serve on a port of our own: a connection that waits for it would wait for the streams."""
    with Daemon(upstream=fake.url) as daemon:
        hold = fake.hold_next("end")
        with Stream(daemon.port) as stream:
            hold.wait_reached()
            daemon.signal(signal.SIGTERM)
            wait_until(lambda: is_stopping(daemon))
            wait_until(lambda: not daemon.answers())
            begun = time.monotonic()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", daemon.port), timeout=60)
            assert time.monotonic() - begun < 5
            hold.release()
            stream.rest()
        assert daemon.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(fake: FakeAnthropic, number: signal.Signals) -> None:
    with Daemon(upstream=fake.url) as daemon:
        hold = fake.hold_next("end")
        with Stream(daemon.port) as stream:
            hold.wait_reached()
            daemon.signal(number)
            wait_until(lambda: is_stopping(daemon))
            daemon.signal(number)
            assert daemon.wait() == 0
            with pytest.raises(CUT):
                stream.rest()
        assert_nothing_is_left(daemon)


def test_what_outlasts_the_drain_timeout_is_cut(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url, config="[listen]\ndrain_timeout = 1\n") as daemon:
        hold = fake.hold_next("end")
        with Stream(daemon.port) as stream:
            hold.wait_reached()
            begun = time.monotonic()
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
            assert time.monotonic() - begun >= 0.9
            with pytest.raises(CUT):
                stream.rest()
        assert "1 connections did not finish in time: closing them" in daemon.log
        assert_nothing_is_left(daemon)


def test_a_client_that_was_refused_in_mid_request_holds_nothing_up() -> None:
    with Daemon() as daemon:
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=60) as sock:
            sock.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
            assert sock.recv(65536).startswith(b"HTTP/1.1 401 ")
            sock.sendall(b"0123456789")
        begun = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert time.monotonic() - begun < 5


def test_two_generations_are_drained(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        older, newer = fake.hold_next("end"), fake.hold_next("end")
        with Stream(daemon.port) as first:
            older.wait_reached()
            assert daemon.ctl("reload").returncode == 0
            with Stream(daemon.port) as second:
                newer.wait_reached()
                daemon.signal(signal.SIGTERM)
                wait_until(lambda: is_stopping(daemon))
                newer.release()
                second.rest()
                assert second.is_whole
                older.release()
                first.rest()
                assert first.is_whole
        assert daemon.wait() == 0
        assert_nothing_is_left(daemon)


def test_before_the_first_generation_serves(fake: FakeAnthropic, build: Build) -> None:
    build.hold()
    daemon = Daemon(upstream=fake.url, environ=build.environ)
    try:
        daemon.spawn()
        wait_until(lambda: len(daemon.workers()) == 1)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert_nothing_is_left(daemon)
    finally:
        daemon.close()


def test_in_the_middle_of_a_reload(fake: FakeAnthropic, build: Build) -> None:
    with Daemon(upstream=fake.url, environ=build.environ) as daemon:
        build.hold()
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: len(daemon.workers()) == 2)
        daemon.signal(signal.SIGTERM)
        wait_until(lambda: is_stopping(daemon))
        build.release()
        assert daemon.wait() == 0
        assert_nothing_is_left(daemon)


def test_while_a_dead_worker_is_being_replaced(fake: FakeAnthropic, build: Build) -> None:
    with Daemon(upstream=fake.url, environ=build.environ) as daemon:
        (dead,) = daemon.workers()
        build.hold()
        daemon.kill(dead)
        wait_until(lambda: daemon.workers() not in ([], [dead]))
        daemon.signal(signal.SIGTERM)
        wait_until(lambda: is_stopping(daemon))
        build.release()
        assert daemon.wait() == 0
        assert_nothing_is_left(daemon)


def test_a_worker_that_does_not_listen_is_ended_by_a_second_signal(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        (worker,) = daemon.workers()
        daemon.kill(worker, signal.SIGSTOP)
        daemon.signal(signal.SIGTERM)
        wait_until(lambda: is_stopping(daemon))
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert_nothing_is_left(daemon)


@pytest.mark.slow
def test_a_worker_that_hangs_does_not_outlast_the_drain_timeout(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url, config="[listen]\ndrain_timeout = 1\n") as daemon:
        (worker,) = daemon.workers()
        daemon.kill(worker, signal.SIGSTOP)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait(30) == 0
        assert f"generation 1 (pid {worker}) does not end" in daemon.log
        assert_nothing_is_left(daemon)


@pytest.mark.parametrize("now", [False, True])
def test_ctl_stop_waits_for_the_end(fake: FakeAnthropic, now: bool) -> None:
    with Daemon(upstream=fake.url) as daemon:
        hold = fake.hold_next("end")
        with Stream(daemon.port) as stream:
            hold.wait_reached()
            wait_until(lambda: daemon.status()["under_way"] == 1)
            with subprocess.Popen(
                [str(BIN / "claude-gatewayctl"), "stop", *(["--now"] if now else [])],
                env=daemon.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            ) as ctl:  # fmt: skip
                try:
                    wait_until(lambda: is_stopping(daemon))
                    if not now:
                        assert ctl.poll() is None
                        hold.release()
                        stream.rest()
                        assert stream.is_whole
                    assert daemon.wait() == 0
                    output, _ = ctl.communicate(timeout=20)
                finally:
                    ctl.kill()
            assert ctl.returncode == 0
            assert ("Stopping: 1 request in progress" in output) is not now
            assert "Stopped after " in output
            assert "fault" not in output
        assert_nothing_is_left(daemon)


def test_it_starts_again_at_once(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        for _ in range(2):
            assert post(daemon.port)[0] == 200
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
            daemon.spawn()
            daemon.wait_serving()
