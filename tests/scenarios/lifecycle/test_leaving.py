"""Behind a load balancer: health checks, and an end that the balancer notices before anybody is refused."""

import http.client
import signal
import socket
import time

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.calls import CUT, PATIENCE, Stream, check_health, post
from tests.support.daemon import Daemon, wait_until


def test_health_checks_need_neither_key_nor_name_and_say_nothing_else(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url, config="[listen]\nremote = true\n") as daemon:
        for path in ("/healthz", "/readyz", "/readyz?verbose"):
            assert check_health(daemon.port, path) == (200, b"ok\n")
            assert check_health(daemon.port, path, method="HEAD") == (200, b"")
        assert check_health(daemon.port, "/healthz/x")[0] == 421
        # the 200 is the daemon's start: somebody asked whether it answers
        wait_until(lambda: daemon.status()["requests"] == {"200": 1, "421": 1})
    assert fake.requests == []


def test_it_serves_until_the_balancer_has_noticed(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url, config="[listen]\nleave_after = 2\n") as daemon:
        daemon.signal(signal.SIGTERM)
        begun = time.monotonic()
        wait_until(lambda: check_health(daemon.port, "/readyz") == (503, b"leaving\n"))
        assert check_health(daemon.port, "/healthz") == (200, b"ok\n")
        assert post(daemon.port)[0] == 200
        assert "leaving: serving on for 2 s" in daemon.log
        assert daemon.wait() == 0
        assert time.monotonic() - begun > 1.9
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", daemon.port), timeout=5)
        assert "Traceback" not in daemon.log


def test_a_balancer_keeps_no_connection_to_one_that_leaves(fake: FakeAnthropic) -> None:
    """It would send a request on one that is just being closed, and could not tell whether that was paid for."""
    with Daemon(upstream=fake.url, config="[listen]\nleave_after = 60\n") as daemon:
        kept = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE)
        try:
            kept.request("GET", "/healthz")
            answer = kept.getresponse()
            assert answer.read() == b"ok\n"
            assert answer.headers["connection"] != "close"
            daemon.signal(signal.SIGTERM)
            wait_until(lambda: check_health(daemon.port, "/readyz")[0] == 503)
            kept.request("GET", "/healthz")  # it is open still
            assert kept.getresponse().headers["connection"] == "close"
        finally:
            kept.close()
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0


def test_a_request_that_comes_as_the_port_closes_is_answered(fake: FakeAnthropic) -> None:
    """A balancer has just opened the connection for it, and may not send it a second time."""
    with Daemon(upstream=fake.url, config="[listen]\nleave_after = 1\n") as daemon:
        opened = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE)
        try:
            opened.connect()
            daemon.signal(signal.SIGTERM)
            wait_until(lambda: "stopping: 0 requests under way" in daemon.log)
            opened.request("GET", "/healthz")
            assert opened.getresponse().read() == b"ok\n"
        finally:
            opened.close()
        assert daemon.wait() == 0


def test_a_generation_that_stands_in_meanwhile_says_no_too(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url, config="[listen]\nleave_after = 60\n") as daemon:
        daemon.signal(signal.SIGTERM)
        wait_until(lambda: check_health(daemon.port, "/readyz")[0] == 503)
        (worker,) = daemon.workers()
        daemon.kill(worker)
        wait_until(lambda: daemon.workers() not in ([], [worker]) and daemon.answers())
        wait_until(lambda: check_health(daemon.port, "/readyz")[0] == 503)
        daemon.signal(signal.SIGTERM)
        begun = time.monotonic()
        assert daemon.wait() == 0
        assert time.monotonic() - begun < 20, "asked again, it ends at once"


def test_without_a_balancer_nothing_waits(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        hold = fake.hold_next("end")
        with Stream(daemon.port) as stream:
            hold.wait_reached()
            wait_until(lambda: daemon.status()["under_way"] == 1)
            daemon.signal(signal.SIGTERM)
            wait_until(lambda: "stopping: 1 request under way" in daemon.log)
            assert "leaving" not in daemon.log
            hold.release()
            stream.rest()
        assert daemon.wait() == 0


def test_a_reload_is_nothing_to_a_balancer(fake: FakeAnthropic) -> None:
    """Its connection may lead to the generation that drains."""
    with Daemon(upstream=fake.url) as daemon:
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE)
        connection.request("GET", "/readyz")
        assert connection.getresponse().read() == b"ok\n"
        assert daemon.ctl("reload").returncode == 0
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"ok\n")
        except CUT:  # closed between two requests: a balancer opens another
            assert check_health(daemon.port, "/readyz") == (200, b"ok\n")
        connection.close()
