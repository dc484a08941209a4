"""Named keys of several gateways on one PostgreSQL, which hear of each other by [shared]; and by the ledger alone."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.scenarios.keys.people import ask, listed, made
from tests.support.calls import message
from tests.support.daemon import Daemon, wait_until
from tests.support.postgres import PostgresServer
from tests.support.sharing import secret_file, sharing, wait_shared
from tests.support.stage import MODEL, keys_of

pytestmark = pytest.mark.slow

TEAM = '[listen]\nremote = true\n[ledger]\nurl = "{url}"\n'
ROUTER = "[router]\nnum_retries = 0\n[bedrock]\nthrough = 'direct'\n"


@pytest.fixture
def two(
    anthropic: FakeAnthropic, bedrock: FakeBedrock, postgres: PostgresServer, tmp_path: Path
) -> Iterator[tuple[Daemon, Daemon]]:
    """Two gateways that have heard of each other."""
    url = postgres.new_database()
    config = sharing(url, secret_file(tmp_path)) + ROUTER + TEAM.format(url=url)
    gateway = {"upstream": anthropic.url, "config": config, "environ": keys_of(bedrock), "has_ledger": False}
    with Daemon(**gateway) as one, Daemon(**gateway) as other:  # type: ignore[arg-type]
        for daemon in (one, other):
            wait_shared(daemon, "connected", lambda how: bool(how["others"]))
        yield one, other


def test_a_key_that_is_revoked_is_refused_by_all_after_a_second(two: tuple[Daemon, Daemon]) -> None:
    alice, bob = made(two[0], "alice"), made(two[1], "bob")
    for daemon in two:  # at once: who does not know a key looks
        assert ask(daemon.port, alice).status == 200
        assert ask(daemon.port, bob).status == 200
        assert ask(daemon.port, daemon.key).status == 401
    assert two[0].ctl("keys", "revoke", "alice").returncode == 0
    time.sleep(1)  # what is promised
    assert [ask(daemon.port, alice).status for daemon in two] == [401, 401]
    assert [ask(daemon.port, bob).status for daemon in two] == [200, 200]


def test_a_budget_and_a_rate_hold_for_all(two: tuple[Daemon, Daemon], anthropic: FakeAnthropic) -> None:
    alice = made(two[0], "alice", "--budget", "0.0001", "--rpm", "6")
    anthropic.fail_next(529)
    assert ask(two[0].port, alice, body=message(model=MODEL)).headers["x-gateway-upstream"] == "bedrock"
    time.sleep(1.5)
    anthropic.fail_next(529)
    refused = ask(two[1].port, alice, body=message(model=MODEL))
    assert refused.status == 529
    assert "the budget of the key alice" in refused.error
    found = []
    for _ in range(5):
        for daemon in two:
            found.append(ask(daemon.port, alice).status)
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
