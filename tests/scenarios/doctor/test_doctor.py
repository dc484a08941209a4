"""`claude-gatewayctl doctor` on a machine where all is well, and where it is not."""

import http.server
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.aws.clock import SET_CLOCK
from claude_gatewayd.aws.profiles.source import find_source
from claude_gatewayd.config.model import Anthropic, Config
from claude_gatewayd.ctl.doctor import gather
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.shapes import OAUTH_TOKEN
from tests.support.daemon import BIN, Daemon
from tests.support.stopwatch import Stopwatch


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic() as fake:
        yield fake


@pytest.fixture(scope="module")
def daemon(fake: FakeAnthropic) -> Iterator[Daemon]:
    with Daemon(upstream=fake.url) as daemon:
        client = daemon.home / "bin" / "claude"
        client.parent.mkdir()
        client.write_text("#!/bin/sh\necho '2.1.330 (Claude Code)'\n")
        client.chmod(0o755)
        login = {"claudeAiOauth": {"accessToken": OAUTH_TOKEN, "expiresAt": 4102444800000, "subscriptionType": "max"}}
        (daemon.home / ".claude").mkdir()
        (daemon.home / ".claude" / ".credentials.json").write_text(json.dumps(login))
        daemon.environ["PATH"] = f"{client.parent}:{daemon.environ['PATH']}"
        yield daemon


@pytest.fixture(scope="module")
def punctual() -> Iterator[str]:
    """An Anthropic, as far as a HEAD goes, whose clock is right: that of the other fake is of a day of its own."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def doctor(daemon: Daemon, *words: str, **environ: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [str(BIN / "claude-gatewayctl"), "doctor", "--json", *words], env={**daemon.environ, **environ},
        cwd=daemon.home, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert OAUTH_TOKEN not in done.stdout
    report: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode == 0) == report["healthy"]
    return done.returncode, report


def states(report: dict[str, Any]) -> dict[str, str]:
    worst: dict[str, str] = {}
    for one in report["findings"]:
        if one["state"] == "fail" or one["check"] not in worst:
            worst[one["check"]] = one["state"]
    return worst


def test_what_is_wrong_is_mended_and_then_all_is_well(daemon: Daemon, punctual: str) -> None:
    there = {"CLAUDE_GATEWAY_ANTHROPIC_BASE_URL": punctual}
    code, report = doctor(daemon, **there)
    assert code == 1
    assert [one["mend"] for one in report["findings"] if one["state"] == "fail"] == [
        "claude-gatewayctl configure-claude"
    ]
    state = daemon.home / "s" / "claude-gateway"
    (state / "gateway.key").chmod(0o644)
    daemon.config_file.write_text("[log]\nlevel = 'debug'\n")
    _, report = doctor(daemon, **there)
    failing = {name for name, state in states(report).items() if state == "fail"}
    assert failing == {"configuration", "settings", "permissions"}
    code, report = doctor(daemon, "--fix", **there)
    assert code == 0, report
    assert len(report["fixed"]) == 3
    assert all(line.startswith("Fixed: ") for line in report["fixed"])
    assert (state / "gateway.key").stat().st_mode & 0o777 == 0o600
    assert daemon.generation()["number"] == 2
    assert doctor(daemon, "--fix", **there)[1]["fixed"] == []


def test_a_clock_that_is_wrong(daemon: Daemon) -> None:
    clock = next(one for one in doctor(daemon)[1]["findings"] if one["check"] == "clock")
    assert clock["state"] == "fail"
    assert clock["mend"] == SET_CLOCK


def test_it_takes_less_than_five_seconds_though_nothing_answers(daemon: Daemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nowhere = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Stopwatch() as watch:
            _, report = doctor(daemon, CLAUDE_GATEWAY_ANTHROPIC_BASE_URL=nowhere)
        assert watch.elapsed < 4.5 + watch.pace, watch
    assert states(report)["Anthropic"] == "fail"


def test_what_leads_elsewhere_is_named(daemon: Daemon) -> None:
    (daemon.home / ".bashrc").write_text("export CLAUDE_CODE_USE_BEDROCK=1\n")
    _, report = doctor(daemon, ANTHROPIC_AUTH_TOKEN="sk-1234")
    found = {one["found"]: one["state"] for one in report["findings"] if one["check"] == "variables"}
    assert found == {
        f"CLAUDE_CODE_USE_BEDROCK in {daemon.home}/.bashrc:1": "fail", "ANTHROPIC_AUTH_TOKEN in this shell": "fail"
    }  # fmt: skip
    (daemon.home / ".bashrc").unlink()


def test_without_a_daemon_and_with_another_on_its_port() -> None:
    daemon = Daemon()
    try:
        with socket.create_server(("127.0.0.1", daemon.port)):
            code, report = doctor(daemon)
        assert code == 1
        found = {one["check"]: one for one in report["findings"]}
        assert found["daemon"]["mend"] == "claude-gatewayctl setup"
        assert " listens there, and does not prove to be your gateway" in found["port"]["found"]
        assert "(pid " in found["port"]["found"]
    finally:
        daemon.close()


def test_the_text_says_what_why_and_what_to_type(daemon: Daemon) -> None:
    done = daemon.ctl("doctor")
    lines = done.stdout.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("FAIL  clock          is "))
    margin = " " * lines[at].index("is ")
    assert lines[at + 1 : at + 3] == [f"{margin}AWS rejects signatures made with this clock", f"{margin}{SET_CLOCK}"]
    assert lines[-1].endswith(" failed")


def test_ways_that_fail(fake: FakeAnthropic) -> None:
    def reach(url: str, proxy: str = "") -> str:
        return gather.reach(Config(anthropic=Anthropic(base_url=url, proxy=proxy)), {}).failed

    assert reach("https://no-such-host.invalid") == "name"
    assert reach("http://127.0.0.1:9") == "connection"
    assert reach("https://api.example", "http://127.0.0.1:9") == "connection"
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def refuse() -> None:
            connection, _ = proxy.accept()
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=refuse)
        thread.start()
        assert reach("https://api.example", f"http://127.0.0.1:{proxy.getsockname()[1]}") == "proxy"
        thread.join()
    assert reach(fake.url) == ""


def test_logins_at_aws_by_their_files(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    config = tmp_path / ".aws" / "config"
    config.parent.mkdir()
    session = "[sso-session S]\nsso_start_url = https://d.example/start\nsso_region = us-west-2\n"
    role = "sso_session = S\nsso_account_id = 123456789012\nsso_role_name = R\n"
    config.write_text(f"[profile P]\n{role}[profile static]\nregion = us-west-2\n{session}")
    found = gather.sso(find_source(environ, "P"), 0.0)
    assert found is not None
    assert (found.why, found.hint) == ("nobody has logged in on this machine", "")
    assert gather.sso(find_source(environ, "static"), 0.0) is None
    assert gather.sso(find_source(environ, "nowhere"), 0.0) is None
    config.write_text(f"[profile P]\n{role}")
    found = gather.sso(find_source(environ, "P"), 0.0)
    assert found is not None
    assert "there is no [sso-session S]" in found.why


def test_what_claude_code_is_signed_in_with(tmp_path: Path) -> None:
    """By the order in which it looks; settings go before the shell. What only it can read, is not sent by us."""
    settings, file = tmp_path / "settings.json", tmp_path / ".credentials.json"
    assert gather.login({}, settings).kind == ""
    file.write_text(json.dumps({"claudeAiOauth": {"accessToken": OAUTH_TOKEN, "expiresAt": 1000}}))
    assert gather.login({}, settings) == ("a login", str(file), 1.0)
    assert gather.credential_headers({}, settings)["authorization"] == f"Bearer {OAUTH_TOKEN}"
    settings.write_text('{"apiKeyHelper": "secret-tool lookup x"}')
    assert gather.login({}, settings) == ("a key helper", f"apiKeyHelper in {settings}", None)
    assert gather.credential_headers({}, settings) == {}
    shell = {"ANTHROPIC_API_KEY": "sk-ant-api03-shell"}
    assert gather.login(shell, settings) == ("an API key", "ANTHROPIC_API_KEY", None)
    settings.write_text('{"env": {"ANTHROPIC_API_KEY": "sk-ant-api03-settings"}}')
    assert gather.login(shell, settings) == ("an API key", f"ANTHROPIC_API_KEY in {settings}", None)
    assert gather.credential_headers(shell, settings) == {"x-api-key": "sk-ant-api03-settings"}


def test_what_the_shell_can_reach_and_the_daemon_cannot(punctual: str) -> None:
    """As with Local Network privacy on macOS, or another environment."""
    with Daemon(upstream="http://127.0.0.1:9") as daemon:
        daemon.environ["CLAUDE_GATEWAY_ANTHROPIC_BASE_URL"] = punctual
        found = daemon.ctl("doctor").stdout
    assert "the daemon cannot reach it, though this shell can" in found
    assert "127.0.0.1 could not be reached: connection refused" in found
