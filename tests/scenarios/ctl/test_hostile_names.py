"""Names and files of somebody who means ill, shown by ctl and logged by the daemon: nothing of them acts."""

import http.client
import json
import re
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.stage import LOADED_WITHIN
from tests.support.terminal import Terminal

CTL = str(BIN / "claude-gatewayctl")
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2028"
LINE = f"{EVIL}\r\n12:00:00 ERROR   supervisor: forged"
OWN = re.compile(r"\x1b\[[0-9;]*m|\r\n|\r\x1b\[K")  # colours, line ends of a terminal, the line of `progress`
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with FakeAnthropic() as anthropic:
        evil = f"p{EVIL}"
        daemon = Daemon(upstream=anthropic.url, environ={"AWS_PROFILE": evil})
        aws = daemon.home / ".aws"
        aws.mkdir()
        (aws / "config").write_text(f"[profile {evil.replace(chr(0x2028), '')}]\ncredential_process = false\n")
        (daemon.home / f"x{EVIL}").mkdir()
        with daemon:
            yield daemon


@pytest.mark.parametrize(
    "words",
    [["status"], ["health"], [], ["doctor"], ["config", "show"], ["credentials"], ["statusline"], [f"sta{LINE}"],
     ["status", f"--{LINE}"], ["config", "set", f"listen.{LINE}", "1"], ["config", "set", "listen.port", LINE],
     ["import", f"x{EVIL}"], ["sso-login", "--profile", LINE], ["setup", "--yes", "--dry-run", "--profile", LINE],
     ["upgrade", LINE], ["install", "--dry-run"], ["setup", "--dry-run", "--yes", "--no-aws"]],
    ids=lambda words: " ".join(words).encode("unicode_escape").decode()[:40],
)  # fmt: skip
def test_nothing_acts(daemon: Daemon, words: list[str]) -> None:
    environ = {**daemon.environ, "NO_COLOR": "1"}
    done = subprocess.run([CTL, *words], env=environ, capture_output=True, timeout=60, check=False, cwd=daemon.home)
    output = (done.stdout + done.stderr).decode()
    assert output.strip()
    assert "Traceback" not in output
    assert not ACTS.search(output)
    with Terminal([CTL, *words], daemon.environ | {"NO_COLOR": ""}, cwd=daemon.home) as terminal:
        shown = terminal.rest()
        assert shown.strip()
        assert not ACTS.search(OWN.sub("", shown)), shown


def test_the_log(daemon: Daemon) -> None:
    wait_until(lambda: "AWS credentials" in daemon.log, describe=daemon.describe)
    assert "owned" in daemon.log
    assert not ACTS.search(daemon.log)


def test_a_litellm_configuration() -> None:
    with FakeAnthropic() as anthropic:
        daemon = Daemon(upstream=anthropic.url)
        own = daemon.config_file.parent / "own.yaml"
        daemon.config_file.write_text(f'[litellm]\nload = "eager"\nconfig = "{own}"\n')
        evil = LINE.encode("unicode_escape").decode()
        own.write_text(f'"{evil}": 1\nmodel_list: []\nlitellm_settings: {{callbacks: ["{evil}.b"]}}\n')
        with daemon:
            wait_until(
                lambda: daemon.status()["litellm"]["state"] in ("ready", "failed"), LOADED_WITHIN, daemon.describe
            )
            output = daemon.ctl("status").stdout + daemon.ctl("doctor").stdout
            assert "forged" in output
            assert "forged" in daemon.log
            assert not ACTS.search(output + daemon.log)
            assert not [line for line in daemon.log.splitlines() if line.startswith("12:00:00 ERROR   supervisor: f")]
            assert "\\u001b" not in daemon.ctl("status", "--json").stdout


def test_what_a_proxy_says() -> None:
    """It goes to the log, to `status`, and to Claude Code's terminal."""
    with socket.create_server(("127.0.0.1", 0)) as proxy, ThreadPoolExecutor(1) as pool:

        def refuse() -> None:
            while True:
                try:
                    connection, _ = proxy.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 407 no\x9b31m\xc2\x9d\x85 way\tthere\r\nContent-Length: 0\r\n\r\n")

        pool.submit(refuse)
        environ = {
            "HTTPS_PROXY": f"http://127.0.0.1:{proxy.getsockname()[1]}",
            "CLAUDE_GATEWAY_ROUTER_NUM_RETRIES": "0",
        }
        with Daemon(upstream="https://upstream.test", environ=environ) as daemon:
            call = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
            call.request("POST", "/v1/messages", b'{"model": "claude-x"}', {"authorization": "Bearer sk-ant-oat01-x"})
            message = json.loads(call.getresponse().read())["error"]["message"]
            call.close()
            assert "407" in message
            assert not ACTS.search(message + daemon.log + daemon.ctl("status").stdout)
        proxy.shutdown(socket.SHUT_RDWR)
