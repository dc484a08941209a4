"""The daemon under systemd or launchd: what it says to the manager, and the socket that it is given."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.systemd import Manager, environment_of
from tests.scenarios.lifecycle.broken_config import BROKEN, PROBLEMS
from tests.support.build import Build
from tests.support.calls import HEADERS, Stream, error_of, message, post
from tests.support.daemon import Daemon, free_port, wait_until


@pytest.fixture
def manager() -> Iterator[Manager]:
    with Manager() as manager:
        yield manager


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        yield listener


# what is said


def test_the_manager_hears_of_the_whole_life(fake: FakeAnthropic, manager: Manager) -> None:
    environ = {**manager.environ, "WATCHDOG_USEC": "30000000"}
    with Daemon(upstream=fake.url, environ=environ) as daemon:
        manager.wait_for(lambda: manager.saying("READY", "1"))
        # While it starts, a slow machine hears that it is alive.
        assert next(one.keys() for one in manager.heard if "WATCHDOG" not in one) == {"READY", "STATUS"}
        assert post(daemon.port)[0] == 200
        manager.wait_for(lambda: manager.saying("STATUS", "Anthropic ok, 0 streams"))
        manager.wait_for(lambda: manager.saying("WATCHDOG", "1"))

        before = time.monotonic_ns() // 1000
        daemon.signal(signal.SIGHUP)
        manager.wait_for(lambda: len(manager.saying("READY")) == 2)
        (reloading,) = manager.saying("RELOADING", "1")
        assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        assert manager.heard.index(reloading) < manager.heard.index(manager.saying("READY")[1])

        hold = fake.hold_next("end")
        with Stream(daemon.port) as stream:
            hold.wait_reached()
            daemon.signal(signal.SIGTERM)
            manager.wait_for(lambda: manager.saying("STOPPING", "1"))
            manager.wait_for(lambda: manager.saying("EXTEND_TIMEOUT_USEC"))
            hold.release()
            stream.rest()
            assert stream.is_whole
        assert daemon.wait() == 0
        ready, stopping = manager.saying("READY"), manager.saying("STOPPING")
        assert len(ready) == 2
        assert len(stopping) == 1
        assert "export ANTHROPIC_BASE_URL" not in daemon.log, "nobody reads a greeting in a journal"


def test_a_reload_that_fails_is_over_too(fake: FakeAnthropic, manager: Manager) -> None:
    with Daemon(upstream=fake.url, environ=manager.environ) as daemon:
        daemon.config_file.write_text(BROKEN)
        assert daemon.ctl("reload").returncode == 1
        manager.wait_for(lambda: len(manager.saying("READY")) == 2)
        assert len(manager.saying("RELOADING")) == 1


def test_no_word_of_a_reload_after_the_end_has_begun(fake: FakeAnthropic, manager: Manager, build: Build) -> None:
    with Daemon(upstream=fake.url, environ={**manager.environ, **build.environ}) as daemon:
        build.hold()
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: len(daemon.workers()) == 2)
        daemon.signal(signal.SIGTERM)
        manager.wait_for(lambda: manager.saying("STOPPING"))
        build.release()
        assert daemon.wait() == 0
        end = manager.heard.index(manager.saying("STOPPING")[0])
        assert not any("READY" in message for message in manager.heard[end:])


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_nothing_of_it_reaches_a_worker(fake: FakeAnthropic, manager: Manager, listener: socket.socket) -> None:
    environ = {**manager.environ, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}
    with Daemon(upstream=fake.url, environ=environ, inherited=listener) as daemon:
        (worker,) = daemon.workers()
        given = environment_of(worker)
        assert given["HOME"] == str(daemon.home)
        for name in given:
            assert not name.startswith(("NOTIFY_", "WATCHDOG_", "LISTEN_")), name


def test_without_a_watchdog_it_is_not_fed(fake: FakeAnthropic, manager: Manager) -> None:
    with Daemon(upstream=fake.url, environ=manager.environ) as daemon:
        assert post(daemon.port)[0] == 200
        manager.wait_for(lambda: manager.saying("STATUS", "Anthropic ok, 0 streams"))
        assert manager.saying("WATCHDOG") == []


@pytest.mark.slow
def test_a_worker_that_hangs_does_not_feed_the_watchdog(fake: FakeAnthropic, manager: Manager, build: Build) -> None:
    environ = {**manager.environ, **build.environ, "WATCHDOG_USEC": "30000000"}
    with Daemon(upstream=fake.url, environ=environ) as daemon:
        (worker,) = daemon.workers()
        build.spoil()  # else another one would feed it soon
        daemon.kill(worker, signal.SIGSTOP)
        wait_until(lambda: "has been silent" in daemon.log)
        fed = len(manager.saying("WATCHDOG"))
        assert fed <= 7, "a few at the start, none while it hung"
        assert "no other generation can stand in: worker: ended with status 1" in daemon.log
        build.mend()
        manager.wait_for(lambda: len(manager.saying("WATCHDOG")) > fed)  # there is none now that could hang


# a first start that goes wrong


def test_a_bad_configuration_at_the_first_start(fake: FakeAnthropic, manager: Manager) -> None:
    with Daemon(upstream=fake.url, config=BROKEN, environ=manager.environ) as daemon:
        message = error_of(post(daemon.port), 503)
        assert all(problem in message for problem in PROBLEMS)
        assert "claude-gatewayctl reload" in message
        assert f"{daemon.config_file}:2 " in message
        manager.wait_for(lambda: manager.saying("READY", "1"))
        assert "cannot serve: " in manager.saying("READY")[0]["STATUS"]
        status = daemon.status()
        assert status["state"] == "refusing"
        assert len(status["problems"]) == len(PROBLEMS)
        assert all(problem in daemon.ctl("status").stdout for problem in PROBLEMS)
        assert all(problem in daemon.log for problem in PROBLEMS)
        health = daemon.ctl("health")
        assert health.returncode == 1
        assert all(problem in health.stdout for problem in PROBLEMS)

        again = daemon.ctl("reload")
        assert again.returncode == 1
        assert all(problem in again.stderr for problem in PROBLEMS)

        daemon.config_file.write_text("[listen]\ndrain_timeout = 900\n")
        done = daemon.ctl("reload")
        assert (done.returncode, done.stderr) == (0, "")
        assert post(daemon.port)[0] == 200
        assert daemon.status()["state"] == "serving"
        assert daemon.ctl("health").returncode == 0
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0


def test_a_bad_configuration_with_an_inherited_socket(fake: FakeAnthropic, listener: socket.socket) -> None:
    with Daemon(upstream=fake.url, config=BROKEN, inherited=listener) as daemon:
        assert PROBLEMS[0] in error_of(post(daemon.port), 503)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0


def test_a_bad_build_at_the_first_start(fake: FakeAnthropic, manager: Manager, build: Build) -> None:
    build.spoil()
    with Daemon(upstream=fake.url, environ={**manager.environ, **build.environ}) as daemon:
        message = error_of(post(daemon.port), 503)
        assert "worker: ended with status 1 before it served" in message
        manager.wait_for(lambda: manager.saying("READY", "1"))
        assert daemon.status()["state"] == "refusing"
        assert daemon.ctl("health").returncode == 1
        build.mend()
        assert daemon.ctl("reload").returncode == 0
        assert post(daemon.port)[0] == 200


def test_the_refusal_reads_what_it_refuses(fake: FakeAnthropic, manager: Manager) -> None:
    """A large body that nobody reads would come back as a reset, which hides the answer."""
    with Daemon(upstream=fake.url, config=BROKEN, environ=manager.environ) as daemon:
        assert PROBLEMS[0] in error_of(post(daemon.port, message("x" * 3_000_000)), 503)
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=60) as sock:
            sock.sendall(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            sock.shutdown(socket.SHUT_WR)
            with sock.makefile("rb") as file:
                head, _, body = file.read().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert body == b""


# the socket that is given


def test_an_inherited_socket_wins_over_any_port(fake: FakeAnthropic, listener: socket.socket) -> None:
    other = free_port()
    environ = {"CLAUDE_GATEWAY_LISTEN_PORT": str(other), "LITELLM_PORT": str(other)}
    with Daemon(upstream=fake.url, environ=environ, inherited=listener) as daemon:
        assert post(daemon.port)[0] == 200
        status = daemon.status()
        assert status["inherited"] is True
        assert status["address"] == f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", other), timeout=5)
        assert daemon.ctl("reload").returncode == 0
        assert post(daemon.port)[0] == 200


def serves_all_that_wait(daemon: Daemon, number: int = 20) -> None:
    """Connect and ask while there is no daemon, start it, and see every one answered."""
    body = message()
    request = (
        b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        + b"".join(f"{name}: {value}\r\n".encode() for name, value in HEADERS.items())
        + b"Content-Length: %d\r\n\r\n" % len(body)
    )
    waiting: list[socket.socket] = []
    try:
        for _ in range(number):
            sock = socket.create_connection(("127.0.0.1", daemon.port), timeout=60)
            waiting.append(sock)
            sock.sendall(request + body)
        daemon.spawn()
        for sock in waiting:
            with sock.makefile("rb") as file:
                assert file.read().startswith(b"HTTP/1.1 200 ")
    finally:
        for sock in waiting:
            sock.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_who_connects_while_the_daemon_is_down_is_served_later(
    fake: FakeAnthropic, listener: socket.socket, number: signal.Signals
) -> None:
    with Daemon(upstream=fake.url, inherited=listener) as daemon:
        daemon.signal(number)
        daemon.wait()
        wait_until(lambda: daemon.workers() == [])
        serves_all_that_wait(daemon)


def test_a_restart_refuses_nobody(fake: FakeAnthropic, listener: socket.socket) -> None:
    """While the stopped daemon waits for a stream, new callers wait for the next daemon, and get it."""
    with Daemon(upstream=fake.url, inherited=listener) as daemon:
        hold = fake.hold_next("end")
        with Stream(daemon.port) as stream:
            hold.wait_reached()
            daemon.signal(signal.SIGTERM)
            wait_until(lambda: "stopping: " in daemon.log)
            answers: list[int] = []
            threads = [threading.Thread(target=lambda: answers.append(post(daemon.port)[0])) for _ in range(5)]
            for thread in threads:
                thread.start()
            hold.release()
            stream.rest()
            assert stream.is_whole
            assert daemon.wait() == 0
            daemon.spawn()
            for thread in threads:
                thread.join()
        assert answers == [200] * 5
