"""Whose circuit a limit opens, and what falls back for which word of `fallback_on`, with a daemon of its own each."""

import time

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.support.daemon import Daemon, wait_until
from tests.support.stage import Stage, Through, asking, by_each_transport

pytestmark = pytest.mark.slow

LONG = "Extra usage is required for long context requests."
LOW = "Your credit balance is too low to access the Anthropic API."
REACHED = "You have reached your specified API usage limits."


@by_each_transport
def test_circuits(through: Through) -> None:
    config = "[router]\nretry_after = 0\nallowed_fails = 1\n"
    with (
        FakeAnthropic() as anthropic,
        FakeBedrock() as bedrock,
        Daemon(upstream=anthropic.url, config=config, environ=asking(bedrock, through)) as daemon,
    ):
        stage = Stage(anthropic, bedrock, daemon)
        stage.wait_asking(through)
        stage.prove()
        # Two refusals of a long context: the third goes to Bedrock at once, and plain requests to Anthropic.
        beta = {"anthropic-beta": "oauth-2025-04-20,context-1m-2025-08-07"}
        for _ in range(2):
            anthropic.fail_next(429, message=LONG, times=2)
            assert stage.ask(headers=beta).headers["x-gateway-fallback"] == "429"
        assert len(stage.to_anthropic()) == 4
        assert stage.ask(headers=beta).headers["x-gateway-fallback"] == "circuit open (429)"
        assert stage.ask().headers["x-gateway-upstream"] == "anthropic"
        wait_until(lambda: "with 1M context" in daemon.ctl("status").stdout)
        # Requests a minute: until the reset that the header names.
        reset = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))
        limits = {"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": reset}
        stage.token += "-by-the-minute"
        stage.prove()
        anthropic.fail_next(429, headers=limits)
        assert stage.ask().headers["x-gateway-fallback"] == "429"
        assert stage.ask().headers["x-gateway-fallback"] == "circuit open (limit reached)"
        # No money.
        stage.token += "-broke"
        stage.prove()
        anthropic.fail_next(400, message=LOW)
        assert stage.ask().headers["x-gateway-fallback"] == "400 billing"
        assert stage.ask().headers["x-gateway-fallback"] == "circuit open (400 billing)"


def test_a_circuit_outlives_a_reload() -> None:
    """The generation that begins asks the one that serves what it has found out."""
    with (
        FakeAnthropic() as anthropic,
        FakeBedrock() as bedrock,
        Daemon(upstream=anthropic.url, environ=asking(bedrock, "direct")) as daemon,
    ):
        stage = Stage(anthropic, bedrock, daemon)
        stage.wait_asking("direct")
        stage.prove()
        reset = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))
        limits = {"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": reset}
        anthropic.fail_next(429, headers=limits)
        assert stage.ask().headers["x-gateway-fallback"] == "429"
        asked = len(stage.to_anthropic())
        assert daemon.ctl("reload").returncode == 0
        wait_until(
            lambda: daemon.generation()["number"] == 2 and bool(daemon.status()["circuits"]), describe=daemon.describe
        )
        assert stage.ask().headers["x-gateway-fallback"] == "circuit open (limit reached)"
        assert len(stage.to_anthropic()) == asked


@pytest.mark.parametrize(
    ("words", "falls"),
    [
        ('["429"]', {"429": True, "limit 429": True, "limit 400": False, "billing": False}),
        ('["limit"]', {"429": False, "limit 429": True, "limit 400": True, "billing": False}),
        ('["billing"]', {"429": False, "limit 429": False, "limit 400": False, "billing": True}),
        ('["502", "529"]', {"429": False, "limit 429": False, "limit 400": False, "billing": False}),
    ],
)
def test_the_words(words: str, falls: dict[str, bool]) -> None:
    config = f"[router]\nretry_after = 0\nnum_retries = 0\nallowed_fails = 100\nfallback_on = {words}\n"
    with (
        FakeAnthropic() as anthropic,
        FakeBedrock() as bedrock,
        Daemon(upstream=anthropic.url, config=config, environ=asking(bedrock, "direct")) as daemon,
    ):
        stage = Stage(anthropic, bedrock, daemon)
        for what, upstream in falls.items():
            stage.token += "-next"
            stage.prove()
            match what:
                case "429":
                    anthropic.fail_next(429)
                case "limit 429":
                    anthropic.limit_next()
                case "limit 400":
                    anthropic.fail_next(400, message=REACHED)
                case _:
                    anthropic.fail_next(402)
            found = stage.ask().headers["x-gateway-upstream"]
            assert found == ("bedrock" if upstream else "anthropic"), what
