"""Named keys of several gateways on one PostgreSQL, which hear of each other by [shared]; and by the ledger alone."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.scenarios.keys.people import ask, listed, made
from tests.scenarios.shared.conftest import Gateways
from tests.support.calls import message
from tests.support.daemon import Daemon, wait_until
from tests.support.postgres import PostgresServer
from tests.support.stage import MODEL, keys_of

pytestmark = pytest.mark.slow

TEAM = '[listen]\nremote = true\n[ledger]\nurl = "{url}"\n'


@pytest.fixture
def gateways(
    anthropic: FakeAnthropic, bedrock: FakeBedrock, postgres: PostgresServer, tmp_path: Path
) -> Iterator[Gateways]:
    made = Gateways(anthropic, bedrock, postgres.new_database(), tmp_path)
    yield made
    made.close()


def test_a_key_that_is_revoked_is_refused_by_all_after_a_second(gateways: Gateways) -> None:
    one, other = gateways.two(more=TEAM.format(url=gateways.url))
    alice = made(one.daemon, "alice")
    bob = made(other.daemon, "bob")
    for stage in (one, other):  # at once: who does not know a key looks
        assert ask(stage.daemon.port, alice).status == 200
        assert ask(stage.daemon.port, bob).status == 200
        assert ask(stage.daemon.port, stage.daemon.key).status == 401
    assert one.daemon.ctl("keys", "revoke", "alice").returncode == 0
    time.sleep(1)  # what is promised
    assert [ask(stage.daemon.port, alice).status for stage in (one, other)] == [401, 401]
    assert [ask(stage.daemon.port, bob).status for stage in (one, other)] == [200, 200]


def test_a_budget_and_a_rate_hold_for_all(gateways: Gateways) -> None:
    one, other = gateways.two(more=TEAM.format(url=gateways.url))
    alice = made(one.daemon, "alice", "--budget", "0.0001", "--rpm", "6")
    gateways.anthropic.fail_next(529)
    assert ask(one.daemon.port, alice, body=message(model=MODEL)).headers["x-gateway-upstream"] == "bedrock"
    time.sleep(1.5)
    gateways.anthropic.fail_next(529)
    refused = ask(other.daemon.port, alice, body=message(model=MODEL))
    assert refused.status == 529
    assert "the budget of the key alice" in refused.error
    found = []
    for _ in range(5):
        for stage in (one, other):
            found.append(ask(stage.daemon.port, alice).status)
            time.sleep(0.7)
    assert found.count(200) in (4, 5, 6), found
    assert found[-2:] == [429, 429]


def test_without_shared_state_they_look_while_requests_come(
    anthropic: FakeAnthropic, bedrock: FakeBedrock, postgres: PostgresServer
) -> None:
    config = TEAM.format(url=postgres.new_database())
    gateway = {"upstream": anthropic.url, "config": config, "environ": keys_of(bedrock), "has_ledger": False}
    with Daemon(**gateway) as one, Daemon(**gateway) as other:  # type: ignore[arg-type]
        wait_until(lambda: one.status()["ledger"]["state"] == "ok", describe=one.describe)
        alice = made(one, "alice")
        assert ask(other.port, alice).status == 200
        assert one.ctl("keys", "revoke", "alice").returncode == 0
        began = time.monotonic()
        wait_until(lambda: ask(other.port, alice).status == 401, describe=other.describe)
        assert time.monotonic() - began < 5
        wait_until(lambda: listed(one, "--all")["alice"]["last_used_at"] is not None, describe=one.describe)


def test_a_gateway_that_starts_while_the_database_is_down_knows_them(
    anthropic: FakeAnthropic, postgres: PostgresServer
) -> None:
    url = postgres.new_database()
    with Daemon(upstream=anthropic.url, config=TEAM.format(url=url), has_ledger=False) as daemon:
        wait_until(lambda: daemon.status()["ledger"]["state"] == "ok", describe=daemon.describe)
        alice = made(daemon, "alice")
        assert ask(daemon.port, alice).status == 200
        postgres.stop()
        try:
            daemon.process.terminate()  # type: ignore[union-attr]
            daemon.wait()
            daemon.spawn()
            daemon.wait_serving()
            assert ask(daemon.port, alice).status == 200
            assert ask(daemon.port, daemon.key).status == 401
            assert ask(daemon.port, "cgk_" + "x" * 43).status == 401
            refused = daemon.ctl("keys", "add", "bob")
            assert refused.returncode == 1
            assert refused.stdout == ""
            assert refused.stderr.startswith("Cannot write the ledger postgresql://")
        finally:
            postgres.start()
        wait_until(lambda: daemon.ctl("keys", "add", "bob").returncode == 0, describe=daemon.describe)
