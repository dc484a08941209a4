"""What several workers of one daemon have used, is used by all: today's totals, and the month's budget."""

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.support.calls import post
from tests.support.daemon import Daemon, wait_until
from tests.support.daily import CONFIG, failing, usage, wait_usage
from tests.support.stage import Stage, keys_of
from tests.support.workers import TWO, all_serve

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("ledger", ["", "[ledger]\nenabled = false\n"], ids=["a ledger", "no ledger"])
def test_totals_are_of_all(anthropic: FakeAnthropic, ledger: str) -> None:
    with Daemon(upstream=anthropic.url, config=TWO + ledger) as daemon:
        all_serve(daemon)
        for count in (20, 40):
            for _ in range(20):
                assert post(daemon.port)[0] == 200
            if ledger:
                wait_until(lambda: usage(daemon)["requests"] == count, describe=lambda: str(usage(daemon)))  # noqa: B023
            else:
                wait_usage(daemon, count)
        if not ledger:
            daemon.kill(daemon.generation()["pids"][0])  # another one's word counts in the status
            all_serve(daemon)
            wait_usage(daemon, 40)
        assert "Traceback" not in daemon.log


def test_a_budget_holds_for_all(anthropic: FakeAnthropic) -> None:
    config = TWO + CONFIG.replace("MORE", "monthly_budget = 0.0001\n")
    with FakeBedrock() as bedrock, Daemon(upstream=anthropic.url, config=config, environ=keys_of(bedrock)) as daemon:
        all_serve(daemon)
        stage = Stage(anthropic, bedrock, daemon)
        stage.prove()
        assert failing(stage).headers["x-gateway-upstream"] == "bedrock"
        wait_until(lambda: usage(daemon)["month"]["bedrock_cost"] > 0.0001, describe=lambda: str(usage(daemon)))
        for _ in range(10):  # each a connection of its own, so the kernel chooses the worker
            assert failing(stage).headers["x-gateway-fallback"] == "none; budget reached"
        assert len(bedrock.requests) == 1
        assert "Traceback" not in daemon.log


def test_a_notice_of_all_is_sent_once(anthropic: FakeAnthropic) -> None:
    """Each of them sees only some of the requests; what they have seen together is told."""
    with FakeBedrock() as bedrock:
        config = TWO + CONFIG.replace("MORE", "")
        with Daemon(upstream=anthropic.url, config=config, environ=keys_of(bedrock)) as daemon:
            all_serve(daemon)
            stage = Stage(anthropic, bedrock, daemon)
            for _ in range(10):
                stage.prove()  # Anthropic answers both of them
            stage.anthropic_is_down()
            for _ in range(10):
                assert stage.ask().headers["x-gateway-upstream"] == "bedrock"
            wait_until(lambda: [one["event"] for one in daemon.status()["notices"]] == ["bedrock-serves"])
            daemon.kill(daemon.generation()["pids"][0])
            all_serve(daemon)
            wait_until(lambda: [one["event"] for one in daemon.status()["notices"]] == ["bedrock-serves"])
            sent = [line for line in daemon.log.splitlines() if "served by Bedrock since" in line or "is back" in line]
            assert len(sent) == 1, sent
