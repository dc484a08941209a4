"""A daemon that nobody uses lets the machine sleep, and is there at once for whoever comes."""

import json
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.support.calls import post
from tests.support.daemon import Daemon, wait_until
from tests.support.stage import EAGER, LOADED_WITHIN, keys_of
from tests.support.stopwatch import Stopwatch

SECONDS = 30.0
_KEPT = b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: sk-ant-api03-x\r\n\r\n"

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="it counts context switches in /proc")


def at_rest(daemon: Daemon) -> bool:
    """Return whether its only worker rests."""
    generations = daemon.status()["generations"]
    return len(generations) == 1 and generations[0]["at_rest"]


def look(pids: list[int]) -> tuple[int, float]:
    """Return the voluntary context switches of all threads, and the CPU time in seconds."""
    switches, nanoseconds = 0, 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            status = (task / "status").read_text()
            switches += int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
            nanoseconds += int((task / "schedstat").read_text().split()[0])
    return switches, nanoseconds / 1e9


def quiet(pids: list[int]) -> bool:
    """Return whether nearly nothing happens within a second: what was asked of it has been done."""
    before, _ = look(pids)
    time.sleep(1)
    return look(pids)[0] - before <= 1


def idle(daemon: Daemon, name: str) -> tuple[float, float]:
    """Return the wake-ups a second and the share of a core of a daemon at rest, and print them."""
    pids = [daemon.pid, *daemon.workers()]
    wait_until(lambda: quiet(pids), describe=daemon.describe)
    switches, seconds = look(pids)
    begun = time.monotonic()
    time.sleep(SECONDS)  # that nothing happens has no event
    took = time.monotonic() - begun
    later, later_seconds = look(pids)
    wakes, share = (later - switches) / took, (later_seconds - seconds) / took
    print(f"idle, {name}: {wakes:.2f} wake-ups a second, {share:.3%} of a core")
    return wakes, share


@on_linux
@pytest.mark.slow
def test_without_litellm(fake: FakeAnthropic) -> None:
    with FakeBedrock() as bedrock, Daemon(upstream=fake.url, environ=keys_of(bedrock)) as daemon:
        assert post(daemon.port)[0] == 200
        wait_until(lambda: at_rest(daemon), describe=daemon.describe)
        wakes, share = idle(daemon, "without LiteLLM")
        assert wakes <= 1
        assert share <= 0.0005


@on_linux
@pytest.mark.slow
def test_with_litellm(fake: FakeAnthropic) -> None:
    with FakeBedrock() as bedrock, Daemon(upstream=fake.url, environ=keys_of(bedrock) | EAGER) as daemon:
        wait_until(lambda: daemon.status()["litellm"]["state"] == "ready", LOADED_WITHIN, daemon.describe)
        assert post(daemon.port)[0] == 200
        wait_until(lambda: at_rest(daemon), describe=daemon.describe)
        wakes, share = idle(daemon, "with LiteLLM")
        assert wakes <= 2
        assert share <= 0.0005


def test_whoever_connects_to_a_hung_worker_at_rest_is_served_within_seconds(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        wait_until(lambda: at_rest(daemon), describe=daemon.describe)
        (worker,) = daemon.workers()
        daemon.kill(worker, signal.SIGSTOP)
        with Stopwatch() as watch:
            assert post(daemon.port)[0] == 200
        assert watch.elapsed < 2 + watch.pace, f"nobody has waited for the next look: {watch}"
        assert "generation 1 is silent: another one stands in" in daemon.log
        daemon.kill(worker, signal.SIGCONT)


def test_a_hung_worker_at_rest_is_found_although_nobody_connects(fake: FakeAnthropic) -> None:
    """A client's connection is open: the kernel takes its next request without asking anybody."""
    with Daemon(upstream=fake.url) as daemon, socket.create_connection(("127.0.0.1", daemon.port)) as client:
        client.sendall(_KEPT)
        assert client.recv(100).startswith(b"HTTP/1.1 ")
        wait_until(lambda: at_rest(daemon), describe=daemon.describe)
        (worker,) = daemon.workers()
        daemon.kill(worker, signal.SIGSTOP)
        wait_until(lambda: "generation 1 is silent: another one stands in" in daemon.log, 10, daemon.describe)
        daemon.kill(worker, signal.SIGCONT)


def test_a_connection_that_says_nothing_wakes_nobody_for_long(fake: FakeAnthropic) -> None:
    """Claude Code opens one early. The supervisor sees it come, and does not look again and again."""
    with Daemon(upstream=fake.url) as daemon:
        wait_until(lambda: at_rest(daemon), describe=daemon.describe)
        with socket.create_connection(("127.0.0.1", daemon.port)):
            wait_until(lambda: daemon.generation()["connections"] == 1, describe=daemon.describe)
            wait_until(lambda: at_rest(daemon), 5, daemon.describe)


def test_the_status_of_a_daemon_at_rest_is_fresh(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        wait_until(lambda: at_rest(daemon), describe=daemon.describe)
        with socket.create_connection(("127.0.0.1", daemon.port)) as client:
            client.sendall(_KEPT)
            assert client.recv(100).startswith(b"HTTP/1.1 ")
            assert daemon.generation()["connections"] == 1


def test_a_reload_and_a_stop_do_not_wait_for_the_rest_to_end(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        wait_until(lambda: at_rest(daemon), describe=daemon.describe)
        with Stopwatch() as watch:
            assert daemon.ctl("reload").returncode == 0
        assert watch.elapsed < 3 + watch.pace, watch
        assert daemon.generation()["number"] == 2
        wait_until(lambda: at_rest(daemon), describe=daemon.describe)
        with Stopwatch() as watch:
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
        assert watch.elapsed < 3 + watch.pace, watch


@on_linux
def test_what_many_uploads_took_is_given_back(fake: FakeAnthropic) -> None:
    """The C library keeps it, in pieces between those in use: 80 MB stayed."""
    body = json.dumps({"model": "claude-opus-4-8", "messages": [{"role": "user", "content": "x" * (1 << 20)}]}).encode()
    with Daemon(upstream=fake.url) as daemon:
        assert post(daemon.port)[0] == 200
        wait_until(lambda: at_rest(daemon), describe=daemon.describe)
        before = daemon.generation()["memory"]
        with ThreadPoolExecutor(100) as clients:
            asked = [clients.submit(post, daemon.port, body=body) for _ in range(100)]
            assert {one.result()[0] for one in asked} == {200}
        wait_until(lambda: at_rest(daemon), describe=daemon.describe)
        grown = daemon.generation()["memory"] - before
        print(f"100 uploads of 1 MiB at once: {grown / 1e6:+.1f} MB at rest")
        assert grown < 30e6
