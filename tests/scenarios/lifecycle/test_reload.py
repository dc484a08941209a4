"""A reload starts a new generation and lets the old one finish; what cannot start changes nothing."""

import http.client
import json
import signal
import socket
import subprocess
from typing import Any

import pytest

from claude_gatewayd.ipc import wire
from tests.fakes.anthropic import FakeAnthropic
from tests.scenarios.lifecycle.broken_config import BROKEN, PROBLEMS
from tests.support.build import Build
from tests.support.calls import HEADERS, Stream, message, post
from tests.support.daemon import BIN, Daemon, free_port, wait_until


def states(daemon: Daemon) -> dict[int, str]:
    return {g["number"]: g["state"] for g in daemon.status()["generations"]}


def serves(daemon: Daemon, number: int) -> bool:
    return states(daemon).get(number) == "serving"


@pytest.mark.parametrize("way", ["signal", "ctl"])
def test_the_new_one_serves_and_the_old_one_finishes(fake: FakeAnthropic, way: str) -> None:
    with Daemon(upstream=fake.url) as daemon:
        hold = fake.hold_next("end")
        with Stream(daemon.port) as stream:
            hold.wait_reached()
            if way == "signal":
                daemon.signal(signal.SIGHUP)
                wait_until(lambda: serves(daemon, 2))
            else:
                done = daemon.ctl("reload")
                assert (done.returncode, done.stderr) == (0, "")
                assert done.stdout.endswith("s: generation 2 is serving\n")
            assert states(daemon) == {2: "serving", 1: "draining"}
            assert post(daemon.port)[0] == 200
            assert daemon.status()["last_reload"]["applied"] is True
            assert len(daemon.workers()) == 2
            hold.release()
            stream.rest()
            assert stream.is_whole
        wait_until(lambda: states(daemon) == {2: "serving"})
        wait_until(lambda: len(daemon.workers()) == 1)
        assert daemon.status()["requests"]["200"] >= 2, "the counts of the old generation are lost"
        assert "Traceback" not in daemon.log


def test_a_stream_flows_on_through_a_drain(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon, Stream(daemon.port, "[[slow 50 0.1]]") as stream:
        assert daemon.ctl("reload").returncode == 0
        stream.read_to(b"word-40 ")
        assert b"message_stop" not in stream.data, "what came was held back to the end"
        stream.rest()
        assert stream.is_whole
        assert [n for n in range(1, 51) if f'"word-{n} "'.encode() not in stream.data] == []


def test_a_kept_connection_is_answered_by_the_old_one_and_told_to_close(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
        try:
            connection.request("POST", "/v1/messages", message(), HEADERS)
            first = connection.getresponse()
            first.read()
            assert first.getheader("connection") != "close"
            assert connection.sock is not None
            assert daemon.ctl("reload").returncode == 0
            connection.request("POST", "/v1/messages", message(), HEADERS)
            second = connection.getresponse()
            assert (second.status, second.getheader("connection")) == (200, "close")
            second.read()
        finally:
            connection.close()
        wait_until(lambda: len(daemon.workers()) == 1)


def ask_for_reload(daemon: Daemon) -> socket.socket:
    """Send the command; the answer is read later."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(30)
        sock.connect(str(daemon.runtime / "claude-gateway" / "control.sock"))
        sock.sendall(wire.encode({"command": "reload"}))
    except BaseException:
        sock.close()
        raise
    return sock


def answer_of(sock: socket.socket) -> dict[str, Any]:
    with sock, sock.makefile("rb") as file:
        answer: dict[str, Any] = json.loads(file.readline())["result"]
        return answer


def test_reloads_that_come_while_one_runs_are_carried_out_after_it(fake: FakeAnthropic, build: Build) -> None:
    with Daemon(upstream=fake.url, environ=build.environ) as daemon:
        build.hold()
        first = ask_for_reload(daemon)
        wait_until(lambda: len(daemon.workers()) == 2)
        second, third = ask_for_reload(daemon), ask_for_reload(daemon)
        daemon.signal(signal.SIGHUP)
        assert states(daemon) == {1: "serving", 2: "starting"}
        assert post(daemon.port)[0] == 200
        build.release()
        answers = [answer_of(sock) for sock in (first, second, third)]
        assert [(a["applied"], a["generation"]) for a in answers] == [(True, 2), (True, 3), (True, 3)]
        assert serves(daemon, 3)
        wait_until(lambda: len(daemon.workers()) == 1)
        assert serves(daemon, 3), "one reload was enough for the three that waited"


def test_each_of_many_callers_gets_an_outcome(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        command = [str(BIN / "claude-gatewayctl"), "reload"]
        callers = [
            subprocess.Popen(command, env=daemon.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        for caller in callers:
            out, err = caller.communicate(timeout=30)
            assert (caller.returncode, err) == (0, "")
            assert out.startswith("Reloaded in ")
        wait_until(lambda: len(daemon.workers()) == 1)


def test_a_broken_configuration_changes_nothing_and_is_told(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        worker = daemon.generation()["pid"]
        daemon.config_file.write_text(BROKEN)
        done = daemon.ctl("reload")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("Not reloaded, nothing has changed:\n")
        for problem in PROBLEMS:
            assert problem in done.stderr
            assert problem in daemon.log
        assert f"{daemon.config_file}:2 " in done.stderr
        assert daemon.generation()["pid"] == worker
        assert daemon.workers() == [worker]
        assert post(daemon.port)[0] == 200
        status = daemon.status()
        assert status["state"] == "serving"
        assert status["last_reload"]["applied"] is False
        assert len(status["last_reload"]["problems"]) == len(PROBLEMS)
        text = daemon.ctl("status").stdout
        assert "last reload  refused" in text
        assert all(problem in text for problem in PROBLEMS)
        assert daemon.ctl("health").returncode == 0, "what serves, serves"

        daemon.config_file.write_text('[aliases]\nmine = "claude-haiku-4-5"\n')
        done = daemon.ctl("reload")
        assert (done.returncode, done.stderr) == (0, "")
        assert daemon.status()["last_reload"]["applied"] is True
        assert daemon.status()["config"]["path"] == str(daemon.config_file)
        assert post(daemon.port, message(model="mine"))[0] == 200
        assert fake.requests[-1].json()["model"] == "claude-haiku-4-5"


def test_a_broken_configuration_by_signal_is_told_by_log_and_status(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        daemon.config_file.write_text(BROKEN)
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: daemon.status()["last_reload"] is not None)
        assert daemon.status()["last_reload"]["applied"] is False
        assert all(problem in daemon.log for problem in PROBLEMS)
        assert post(daemon.port)[0] == 200


def test_a_broken_build_changes_nothing_and_is_told(fake: FakeAnthropic, build: Build) -> None:
    with Daemon(upstream=fake.url, environ=build.environ) as daemon:
        worker = daemon.generation()["pid"]
        build.spoil()
        done = daemon.ctl("reload")
        assert (done.returncode, done.stdout) == (1, "")
        assert "worker: ended with status 1 before it served" in done.stderr
        assert "ImportError: a broken upgrade" in daemon.log
        assert daemon.generation()["pid"] == worker
        assert post(daemon.port)[0] == 200
        assert daemon.status()["last_reload"]["applied"] is False
        build.mend()
        assert daemon.ctl("reload").returncode == 0
        assert daemon.generation()["pid"] != worker
        assert post(daemon.port)[0] == 200


def test_the_address_cannot_change(fake: FakeAnthropic) -> None:
    port, other = free_port(), free_port()
    daemon = Daemon(upstream=fake.url, environ={"CLAUDE_GATEWAY_LISTEN_PORT": ""}, config=f"[listen]\nport = {port}\n")
    daemon.port = port
    with daemon:
        daemon.config_file.write_text(f"[listen]\nport = {other}\n")
        done = daemon.ctl("reload")
        assert done.returncode == 1
        assert f"cannot change from 127.0.0.1:{port} to 127.0.0.1:{other}" in done.stderr
        assert "claude-gatewayctl stop" in done.stderr
        assert post(port)[0] == 200
