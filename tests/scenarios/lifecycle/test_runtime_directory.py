"""The runtime directory is cleaned while the daemon runs: by tmpfiles, a log-out, or a person."""

import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.scenarios.lifecycle.callers import calling
from tests.support.build import Build
from tests.support.calls import post
from tests.support.daemon import Daemon, wait_until

AGAIN = "the control socket or the lock was gone"


def place_of(daemon: Daemon) -> Path:
    return daemon.runtime / "claude-gateway"


def all_of_it(place: Path) -> None:
    shutil.rmtree(place)


def all_above_it(place: Path) -> None:
    shutil.rmtree(place.parent)


def the_socket(place: Path) -> None:
    (place / "control.sock").unlink()


def the_lock(place: Path) -> None:
    (place / "lock").unlink()


def the_socket_for_another(place: Path) -> None:
    """Put one in its place that nobody listens on."""
    (place / "control.sock").unlink()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(place / "control.sock"))


@pytest.mark.parametrize("vanishes", [all_of_it, all_above_it, the_socket, the_lock, the_socket_for_another])
def test_it_is_there_again(fake: FakeAnthropic, vanishes: Callable[[Path], None]) -> None:
    with Daemon(upstream=fake.url) as daemon:
        with calling(daemon.port) as callers:
            wait_until(lambda: callers.served > 5)
            vanishes(place_of(daemon))
            wait_until(lambda: AGAIN in daemon.log)
            before = callers.served
            wait_until(lambda: callers.served > before + 5)
        assert callers.failures == []
        assert daemon.status()["pid"] == daemon.pid
        assert place_of(daemon).stat().st_mode & 0o777 == 0o700
        assert (place_of(daemon) / "control.sock").stat().st_mode & 0o777 == 0o600
        second = Daemon(upstream=fake.url, environ={"XDG_RUNTIME_DIR": str(daemon.runtime)})
        second.spawn()
        assert second.wait() == 1
        assert f"is running already, pid {daemon.pid}" in second.log
        second.close()
        assert daemon.ctl("reload").returncode == 0
        assert daemon.ctl("stop").returncode == 0
        assert daemon.wait() == 0
        assert daemon.log.count(AGAIN) == 1
        assert not (place_of(daemon) / "control.sock").exists()


def test_a_hang_up_looks_at_once(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        shutil.rmtree(place_of(daemon))
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: "generation 1 drains" in daemon.log)
        assert daemon.status()["generations"][0]["number"] == 2


def test_while_it_cannot_be_made(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        shutil.rmtree(place_of(daemon))
        place_of(daemon).touch()
        wait_until(lambda: "claude-gatewayctl cannot reach this daemon: cannot use " in daemon.log)
        assert daemon.ctl("status").returncode == 3
        assert post(daemon.port)[0] == 200
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: "generation 1 drains" in daemon.log)
        place_of(daemon).unlink()
        wait_until(lambda: AGAIN in daemon.log)
        assert daemon.log.count("cannot reach this daemon") == 1, "the reason is logged once"
        assert daemon.status()["generations"][0]["number"] == 2


def test_another_daemon_that_has_taken_it_keeps_it(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as first:
        first.signal(signal.SIGSTOP)  # or it would be back before the other starts
        shutil.rmtree(place_of(first))
        with Daemon(upstream=fake.url, environ={"XDG_RUNTIME_DIR": str(first.runtime)}) as second:
            first.signal(signal.SIGCONT)
            wait_until(lambda: f"another claude-gatewayd is at {place_of(first)}" in first.log)
            assert second.status()["pid"] == second.pid
            assert [post(one.port)[0] for one in (first, second)] == [200, 200]
            first.signal(signal.SIGTERM)
            assert first.wait() == 0
            assert second.status()["pid"] == second.pid, "the first has not removed the second's socket"


def test_the_next_version_takes_over_what_was_made_anew(fake: FakeAnthropic, build: Build) -> None:
    with Daemon(upstream=fake.url, environ=build.environ) as daemon:
        shutil.rmtree(place_of(daemon))
        wait_until(lambda: AGAIN in daemon.log)
        build.set_version("0.1.1.dev7")
        assert daemon.ctl("reload").returncode == 0
        wait_until(lambda: " goes on as pid " in daemon.log)
        assert daemon.status()["pid"] == daemon.pid
        shutil.rmtree(place_of(daemon))
        wait_until(lambda: daemon.log.count(AGAIN) == 2)
        assert daemon.status()["pid"] == daemon.pid
