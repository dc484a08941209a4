"""Today's totals and the month's budget: over a reload, a restart, a drain, and with the ledger off."""

import json
from collections.abc import Iterator

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.support.calls import Stream, post
from tests.support.daemon import Daemon, wait_until
from tests.support.daily import CONFIG, failing, usage, wait_usage
from tests.support.rows import of_session, rows
from tests.support.stage import MODEL, Stage, keys_of, turn

pytestmark = pytest.mark.slow


def test_two_generations_and_a_restart(anthropic: FakeAnthropic) -> None:
    with Daemon(upstream=anthropic.url) as daemon:
        assert post(daemon.port)[0] == 200
        first = wait_usage(daemon, 1)
        assert (first["billed"], first["tokens"] > 0, first["cost"] > 0) == (0.0, True, True)
        hold = anthropic.hold_next("end")
        with Stream(daemon.port) as stream:
            hold.wait_reached()
            assert daemon.ctl("reload").returncode == 0
            wait_usage(daemon, 1)
            assert post(daemon.port)[0] == 200
            wait_usage(daemon, 2)
            hold.release()
            stream.rest()
        wait_until(lambda: len(daemon.workers()) == 1)
        wait_usage(daemon, 3)  # the older one's last row has been read by the newer one
        daemon.kill(daemon.generation()["pid"])
        daemon.wait_serving()
        wait_usage(daemon, 3)
        assert "3 requests, " in daemon.ctl("status").stdout
        assert "today, not billed" in daemon.ctl("statusline").stdout
        assert "Traceback" not in daemon.log


@pytest.fixture
def spending(anthropic: FakeAnthropic, bedrock: FakeBedrock, request: pytest.FixtureRequest) -> Iterator[Stage]:
    config = CONFIG.replace("MORE", f"monthly_budget = 0.0001\n{getattr(request, 'param', '')}")
    with Daemon(upstream=anthropic.url, config=config, environ=keys_of(bedrock)) as daemon:
        stage = Stage(anthropic, bedrock, daemon)
        stage.prove()
        yield stage
        assert "Traceback" not in daemon.log


def test_beyond_the_budget(spending: Stage) -> None:
    daemon = spending.daemon
    assert failing(spending).headers["x-gateway-upstream"] == "bedrock"
    for _ in range(2):  # before and after a reload
        wait_until(lambda: usage(daemon)["month"]["bedrock_cost"] > 0.0001, describe=lambda: str(usage(daemon)))
        reply = failing(spending)
        assert (reply.status, reply.headers["x-gateway-upstream"]) == (529, "anthropic")
        assert reply.headers["x-gateway-fallback"] == "none; budget reached"
        assert spending.ask(turn(model=f"{MODEL}-bedrock")).status == 200
        assert spending.ask(path="/v1/messages/count_tokens").status == 200
        wait_until(lambda: any(one["event"] == "budget-reached" for one in daemon.status()["notices"]))
        assert "This month's budget for Bedrock is spent: no fallback until " in daemon.ctl("statusline").stdout
        status = daemon.ctl("status").stdout
        assert " of $0.0001 spent at Bedrock this month: no more fallback" in status
        spending.ask()  # Anthropic answers again
        health = daemon.ctl("health")
        assert (health.returncode, health.stdout) == (
            0, "healthy, but Bedrock does not step in: [bedrock] monthly_budget is spent\n",
        )  # fmt: skip
        findings = json.loads(daemon.ctl("doctor", "--json").stdout)["findings"]
        (row,) = [one for one in findings if one["check"] == "budget"]
        assert (row["state"], row["mend"]) == (
            "note", "claude-gatewayctl config set bedrock.monthly_budget 0.0002 --reload",
        )  # fmt: skip
        assert daemon.ctl("reload").returncode == 0
    assert daemon.log.count("This month's budget for Bedrock is spent") == 1, "told once, and not after a reload again"
    assert daemon.ctl("config", "set", "bedrock.monthly_budget", "1000", "--reload").returncode == 0
    assert failing(spending).headers["x-gateway-upstream"] == "bedrock"


@pytest.mark.parametrize("spending", ["[ledger]\nenabled = false"], indirect=True)
def test_without_a_ledger_it_is_counted_since_the_start(spending: Stage) -> None:
    assert failing(spending).headers["x-gateway-upstream"] == "bedrock"
    assert failing(spending).headers["x-gateway-fallback"] == "none; budget reached"
    wait_until(lambda: usage(spending.daemon)["requests"] == 3)
    assert not usage(spending.daemon)["is_complete"]
    assert "without the ledger" in spending.daemon.ctl("status").stdout
    assert rows(spending.daemon) == []
    assert spending.daemon.ctl("reload").returncode == 0
    assert failing(spending).headers["x-gateway-upstream"] == "bedrock"


def test_a_request_under_way_is_recorded_by_the_generation_that_serves_it(anthropic: FakeAnthropic) -> None:
    with Daemon(upstream=anthropic.url) as daemon:
        hold = anthropic.hold_next("end")
        stage = Stage(anthropic, None, daemon)  # type: ignore[arg-type]
        with Stream(daemon.port) as stream:
            hold.wait_reached()
            assert daemon.ctl("reload").returncode == 0
            stage.ask(headers={"x-claude-code-session-id": "new"})
            hold.release()
            stream.rest()
        of_session(daemon, "new")
        wait_until(lambda: len([one for one in rows(daemon) if one["kind"] == "messages"]) == 2)
        messages = [one for one in rows(daemon) if one["kind"] == "messages"]
        assert len({one["id"][11:19] for one in messages}) == 2, "by two workers"
        assert all(one["output_tokens"] > 0 for one in messages)
