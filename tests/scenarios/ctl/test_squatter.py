"""Somebody else has the port: no token, no key and no Claude Code is led there, and a free port is offered."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.daemon import Daemon, wait_until
from tests.support.other_user import OtherUser, needs_root

pytestmark = pytest.mark.slow


@pytest.fixture
def theirs(anthropic: FakeAnthropic) -> Iterator[Daemon]:
    """The gateway of the first person."""
    with Daemon(upstream=anthropic.url) as daemon:
        yield daemon


@pytest.fixture
def second(theirs: Daemon) -> Iterator[Daemon]:
    """The second person: a home of their own, the same port, and no daemon."""
    daemon = Daemon(environ={"CLAUDE_GATEWAY_LISTEN_PORT": str(theirs.port)})
    try:
        _fake_claude(daemon)
        yield daemon
    finally:
        daemon.close()


def _fake_claude(daemon: Daemon) -> None:
    program = daemon.home / "bin" / "claude"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nenv > "$HOME/claude-ran"\n')
    program.chmod(0o755)
    daemon.environ["PATH"] = f"{program.parent}:{daemon.environ['PATH']}"


def _settings(daemon: Daemon) -> Path:
    return daemon.home / ".claude" / "settings.json"


def test_claude_code_is_not_pointed_at_the_first_persons_gateway(theirs: Daemon, second: Daemon) -> None:
    for verb in (["configure-claude"], ["configure-claude", "--dry-run"]):
        done = second.ctl(*verb)
        assert done.returncode == 1
        assert f"Cannot use http://127.0.0.1:{theirs.port}" in done.stderr
        assert "does not prove to be your gateway" in done.stderr
        assert re.search(r"claude-gatewayctl setup --port \d+$", done.stderr.strip()), done.stderr
        assert not _settings(second).exists()


def test_the_offered_port_works(theirs: Daemon, second: Daemon) -> None:
    hint = second.ctl("configure-claude").stderr.split()[-1]
    second.environ["CLAUDE_GATEWAY_LISTEN_PORT"] = hint
    assert second.ctl("configure-claude").returncode == 0
    assert f"http://127.0.0.1:{hint}" in _settings(second).read_text()


def test_run_leads_nobody_there(theirs: Daemon, second: Daemon) -> None:
    done = second.ctl("run", "--", "-p", "hello")
    assert done.returncode == 1
    assert "has the port" in done.stderr
    assert "claude-gatewayctl config set listen.port" in done.stderr
    assert not (second.home / "claude-ran").exists()


def test_status_and_the_status_line_name_it(theirs: Daemon, second: Daemon) -> None:
    done = second.ctl("status")
    assert done.returncode == 3
    assert f"must not use http://127.0.0.1:{theirs.port}" in done.stderr
    assert "setup --port" in done.stderr
    assert "NOT YOUR GATEWAY" in second.ctl("statusline").stdout
    assert "setup --port" in second.ctl().stdout


def test_doctor_names_it_and_sends_no_credential(theirs: Daemon, second: Daemon, anthropic: FakeAnthropic) -> None:
    second.environ["ANTHROPIC_API_KEY"] = "sk-ant-api03-invented"
    done = second.ctl("doctor", "--deep", "--fix", "--json", timeout=180)
    found = {one["check"]: one for one in json.loads(done.stdout)["findings"]}
    assert found["port"]["state"] == "fail"
    assert anthropic.requests == []
    assert not _settings(second).exists()


def test_setup_offers_a_free_port(theirs: Daemon, second: Daemon) -> None:
    done = second.ctl("setup", "--yes", "--no-service", "--no-aws")
    assert done.returncode == 1
    assert re.search(r"setup --port \d+$", done.stderr.strip()), done.stderr


def test_the_daemon_says_who_has_its_port_and_ends(theirs: Daemon, second: Daemon) -> None:
    second.spawn()
    assert second.wait() == 1
    assert f"Cannot listen on 127.0.0.1:{theirs.port}" in second.log
    assert re.search(r"claude-gatewayctl config set listen\.port \d+ && claude-gatewayd", second.log), second.log


@needs_root
def test_a_squatter_that_relays_to_the_real_gateway_is_found_out(theirs: Daemon) -> None:
    """The person's own gateway is on another port; the squatter passes all on to it, the challenge too."""
    assert theirs.ctl("status", "--json").returncode == 0
    with OtherUser(theirs.port) as squatter:
        theirs.environ["CLAUDE_GATEWAY_LISTEN_PORT"] = str(squatter.port)
        theirs.environ["XDG_RUNTIME_DIR"] = str(theirs.home / "elsewhere")  # so that its daemon is out of sight
        Path(theirs.environ["XDG_RUNTIME_DIR"]).mkdir(mode=0o700)
        done = theirs.ctl("configure-claude")
        assert done.returncode == 1
        assert "does not prove to be your gateway" in done.stderr
        assert not _settings(theirs).exists()


def test_ones_own_gateway_is_ones_own(theirs: Daemon) -> None:
    assert theirs.status_printed()["proven"] is True
    assert "WARNING" not in theirs.ctl("status").stdout
    assert theirs.ctl("configure-claude").returncode == 0
    assert "is not yours" not in theirs.ctl("doctor").stdout


def test_it_proves_also_while_it_cannot_serve() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as sock,
        Daemon(config="[listen]\nmax_body = true\n", inherited=sock) as daemon,
    ):
        wait_until(lambda: daemon.status()["state"] == "refusing", describe=daemon.describe)
        assert daemon.status_printed()["proven"] is True


def test_the_key_is_sent_to_nobody_who_asks_for_it(theirs: Daemon) -> None:
    key = theirs.ctl("key").stdout.strip()
    for challenge in (b"", b"x-gateway-challenge: 00\r\n", b"x-gateway-challenge: " + b"ab" * 32 + b"\r\n"):
        with socket.create_connection(("127.0.0.1", theirs.port)) as sock:
            head = b"GET /claude-gateway/proof HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            sock.sendall(head + challenge + b"\r\n")
            answered = b"".join(iter(lambda: sock.recv(4096), b""))
        assert key.encode() not in answered
        assert answered.startswith(b"HTTP/1.1 200" if b"ab" in challenge else b"HTTP/1.1 400")
