"""The real Claude Code, through a real daemon, to an Anthropic that is strict: as if there were nothing between."""

import contextlib
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic_faults import MESSAGES
from tests.fakes.anthropic_requests import Recorded
from tests.fakes.shapes import API_KEY, OAUTH_TOKEN
from tests.scenarios.client.claude import KEY, OAUTH, SUBSCRIPTION, Claude, Credential
from tests.scenarios.client.scenarios import SCENARIOS, hello
from tests.support.calls import post
from tests.support.daemon import Daemon, free_port, wait_until
from tests.support.stopwatch import Stopwatch

pytestmark = [pytest.mark.client, pytest.mark.timeout(60)]

Scenario = Callable[[Claude, FakeAnthropic], None]

HELLO = "Hello from the fake. You said: good morning"
SLOW = "[[slow 20 0.05]]"
WORDS = [f"word-{n}" for n in range(1, 21)]


@contextlib.contextmanager
def gateway(fake: FakeAnthropic, daemon: Daemon) -> Iterator[Daemon]:
    """Run the daemon; see that Anthropic had nothing to object to, and that the log is clean."""
    with daemon:
        yield daemon
        judge(fake, daemon)


def judge(fake: FakeAnthropic, daemon: Daemon) -> None:
    assert fake.violations == []
    assert "Traceback" not in daemon.log
    for secret in (OAUTH_TOKEN, API_KEY):
        assert secret not in daemon.log


def turns(fake: FakeAnthropic) -> list[Recorded]:
    """Return the requests to the model."""
    return [request for request in fake.requests if request.path == MESSAGES]


def is_text(event: dict[str, Any]) -> bool:
    return bool(event["type"] == "stream_event" and event["event"]["type"] == "content_block_delta")


# what works without a gateway


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_works(scenario: Scenario, version: str, fake: FakeAnthropic, home: Path) -> None:
    with gateway(fake, Daemon(upstream=fake.url)) as daemon:
        scenario(Claude(version, daemon.url, home), fake)


@pytest.mark.parametrize("credential", [OAUTH, SUBSCRIPTION, KEY], ids=str)
def test_signs_in_with(credential: Credential, version: str, fake: FakeAnthropic, home: Path) -> None:
    with gateway(fake, Daemon(upstream=fake.url)) as daemon:
        hello(Claude(version, daemon.url, home, credential), fake)


def test_a_base_url_with_a_path(version: str, fake: FakeAnthropic, home: Path) -> None:
    """`hello` holds that Anthropic sees none of it."""
    with gateway(fake, Daemon(upstream=fake.url)) as daemon:
        hello(Claude(version, f"{daemon.url}/anthropic", home), fake)


def test_an_upstream_with_a_name_and_a_certificate(version: str, home: Path, tmp_path: Path) -> None:
    authority, ca_file = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    config = f'[anthropic]\nca_file = "{ca_file}"\n'
    with (
        FakeAnthropic(tls=tls) as fake,
        gateway(fake, Daemon(upstream=f"https://localhost:{fake.port}", config=config)) as daemon,
    ):
        hello(Claude(version, daemon.url, home), fake)
        assert turns(fake)[0].header("host") == f"localhost:{fake.port}"


def test_the_two_lines_of_the_greeting(version: str, fake: FakeAnthropic, home: Path) -> None:
    """A proxy in the environment, which the client would use for loopback too, does no harm after them."""
    with gateway(fake, Daemon(upstream=fake.url, environ={"NO_PROXY": "*"})) as daemon:
        wait_until(lambda: "export NO_PROXY" in daemon.log)
        lines = [line.strip() for line in daemon.log.splitlines() if line.strip().startswith("export ")]
        nowhere = f"http://127.0.0.1:{free_port()}"
        proxied = {"HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "NO_PROXY": "company.example"}
        script = "; ".join([*lines, "env"])
        said = subprocess.run(["sh", "-c", script], env=proxied, capture_output=True, text=True, check=True).stdout
        env = dict(line.split("=", 1) for line in said.splitlines())
        assert env["NO_PROXY"] == "127.0.0.1,localhost,company.example"
        given = {name: env[name] for name in (*proxied, "ANTHROPIC_BASE_URL")}
        hello(Claude(version, "http://not.used.example", home, env=given), fake)


# what is the gateway's own


def test_what_is_for_the_gateway_goes_no_further(version: str, fake: FakeAnthropic, home: Path) -> None:
    custom = "x-gateway-key: cgw-canary\nx-litellm-api-key: Bearer sk-canary\nx-of-my-own: heron"
    with gateway(fake, Daemon(upstream=fake.url)) as daemon:
        hello(Claude(version, daemon.url, home, env={"ANTHROPIC_CUSTOM_HEADERS": custom}), fake)
        assert [request for request in fake.requests if b"canary" in request.head] == []
        assert turns(fake)[0].header("x-of-my-own") == "heron"
        assert "canary" not in daemon.log


def test_a_gateway_that_wants_its_key(version: str, fake: FakeAnthropic, home: Path) -> None:
    with gateway(fake, Daemon(upstream=fake.url, config="[listen]\nremote = true\n")) as daemon:
        claude = Claude(version, daemon.url, home)
        refused = claude.ask("good morning")
        assert not refused.succeeded
        assert "the gateway key is missing or wrong" in refused.text, refused
        assert turns(fake) == []
        key = daemon.ctl("key").stdout.strip()
        assert key
        hello(replace(claude, env={"ANTHROPIC_CUSTOM_HEADERS": f"x-gateway-key: {key}"}), fake)


# when Anthropic fails


def test_a_short_overload_is_not_seen(version: str, fake: FakeAnthropic, home: Path) -> None:
    fake.fail_next(529, times=2)
    with gateway(fake, Daemon(upstream=fake.url, config="[router]\nretry_after = 0.2\n")) as daemon:
        result = Claude(version, daemon.url, home).ask("good morning")
        assert result.succeeded, result
        assert result.text == HELLO
        assert result.of("system", "api_retry") == []
        seen = turns(fake)
        assert [turn.status for turn in seen] == [529, 529, 200]
        assert len({turn.body for turn in seen}) == 1
        assert daemon.status()["retries"] == 2


def test_a_refusal_reads_as_it_does_without_a_gateway(version: str, fake: FakeAnthropic, home: Path) -> None:
    message = "not for herons, \N{RIGHTWARDS ARROW} says the lake (4711)"
    with FakeAnthropic(direct=True) as anthropic:
        anthropic.fail_next(403, message=message, times=3)
        direct = Claude(version, anthropic.url, home).ask("good morning")
    fake.fail_next(403, message=message, times=3)
    with gateway(fake, Daemon(upstream=fake.url)) as daemon:
        through = Claude(version, daemon.url, home).ask("good morning")
        assert not through.succeeded
        assert message in through.text
        assert through.text == direct.text
        assert [turn.status for turn in turns(fake)] == [403]


# when the gateway is not as it was


def test_a_stream_outlives_a_reload(version: str, fake: FakeAnthropic, home: Path) -> None:
    hold = fake.hold_next("message_delta")
    with gateway(fake, Daemon(upstream=fake.url)) as daemon:
        claude = Claude(version, daemon.url, home)
        with claude.start(SLOW, "--include-partial-messages") as running:
            running.wait_for_event(is_text)
            done = daemon.ctl("reload")
            assert (done.returncode, done.stderr) == (0, "")
            hold.wait_reached()
            states = {g["number"]: g["state"] for g in daemon.status()["generations"]}
            assert states == {1: "draining", 2: "serving"}
            hold.release()
            result = running.finish()
        assert result.succeeded, result
        assert result.text.split() == WORDS
        assert result.of("system", "api_retry") == []
        assert len(turns(fake)) == 1
        hello(claude, fake)


def test_a_worker_that_is_killed_in_mid_stream(version: str, fake: FakeAnthropic, home: Path) -> None:
    """The next request is served at once. What becomes of the stream is the client's.

    Seen: cut inside a block, 2.1.330 asks for the stream again (one api_retry), 2.1.197 for the answer in one piece.
    Cut after its last block, 2.1.330 asks to be told the rest, 2.1.197 runs a tool that was asked for, but ends a
    text with "Connection closed mid-response".
    """
    hold = fake.hold_next("content_block_stop")
    with gateway(fake, Daemon(upstream=fake.url)) as daemon:
        claude = Claude(version, daemon.url, home)
        with claude.start(SLOW, "--include-partial-messages") as running:
            running.wait_for_event(is_text)
            hold.wait_reached()
            daemon.kill(daemon.generation()["pid"])
            with Stopwatch() as watch:
                assert post(daemon.port)[0] == 200
            assert watch.elapsed < 2 * watch.pace, watch
            result = running.finish()
        if version != "2.1.197":
            assert result.succeeded, result
            assert result.text.split() == WORDS
        hello(claude, fake)


@pytest.mark.slow
def test_a_gateway_that_comes_15_s_late(version: str, fake: FakeAnthropic, home: Path) -> None:
    """Behind a socket that is kept open the client waits, and notices nothing else."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=256) as listener,
        contextlib.closing(Daemon(upstream=fake.url, inherited=listener)) as daemon,
        Claude(version, daemon.url, home).start("good morning") as running,
    ):
        time.sleep(15)
        daemon.spawn()
        result = running.finish()
        assert result.succeeded, f"{result}\n{daemon.log}"
        assert result.text == HELLO
        assert result.of("system", "api_retry") == []
        assert len(turns(fake)) == 1
        assert 15 < result.seconds < 25
        judge(fake, daemon)
