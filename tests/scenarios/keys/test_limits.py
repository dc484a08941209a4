"""What a key may do at Bedrock: not at all, or up to a budget, which holds for all workers."""

import time
from collections.abc import Iterator

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.scenarios.keys.people import REMOTE, ask, listed, made
from tests.support.calls import message
from tests.support.daemon import Daemon, wait_until
from tests.support.stage import MODEL, Reply, keys_of
from tests.support.workers import all_serve

pytestmark = pytest.mark.slow

OFTEN_DOWN = "allowed_fails = 100\n"


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def daemon(request: pytest.FixtureRequest, anthropic: FakeAnthropic, bedrock: FakeBedrock) -> Iterator[Daemon]:
    config = REMOTE.format(workers=request.param).replace("[bedrock]", f"{OFTEN_DOWN}[bedrock]")
    with Daemon(upstream=anthropic.url, config=config, environ=keys_of(bedrock)) as daemon:
        if request.param > 1:
            all_serve(daemon)
        yield daemon
        assert "Traceback" not in daemon.log


def ask_while_down(anthropic: FakeAnthropic, daemon: Daemon, key: str) -> Reply:
    anthropic.fail_next(529)
    return ask(daemon.port, key, body=message(model=MODEL))


def test_a_key_that_may_not_use_bedrock(daemon: Daemon, anthropic: FakeAnthropic, bedrock: FakeBedrock) -> None:
    alice, bob = made(daemon, "alice", "--no-bedrock"), made(daemon, "bob")
    refused = ask_while_down(anthropic, daemon, alice)
    assert refused.status == 529, "Anthropic's answer stays"
    assert refused.headers["x-gateway-fallback"] == "none; the key alice may not use Bedrock"
    assert refused.error.endswith(
        ". Bedrock does not answer in its place: the key alice may not use Bedrock "
        "(`claude-gatewayctl keys set alice --bedrock`)"
    )
    named = ask(daemon.port, alice, body=message(model=f"{MODEL}-bedrock"))
    assert named.status == 403
    assert "cannot use Bedrock: the key alice may not use Bedrock" in named.error
    assert bedrock.requests == []
    assert ask_while_down(anthropic, daemon, bob).headers["x-gateway-upstream"] == "bedrock"
    assert daemon.ctl("keys", "set", "alice", "--bedrock").returncode == 0
    wait_until(
        lambda: ask_while_down(anthropic, daemon, alice).headers["x-gateway-upstream"] == "bedrock",
        describe=daemon.describe,
    )


def test_a_budget(daemon: Daemon, anthropic: FakeAnthropic, bedrock: FakeBedrock) -> None:
    alice, bob = made(daemon, "alice", "--budget", "0.0001"), made(daemon, "bob")
    first = ask_while_down(anthropic, daemon, alice)
    assert first.headers["x-gateway-upstream"] == "bedrock", first
    time.sleep(1)  # until another worker has heard
    for _ in range(6):  # each a connection of its own, so the kernel chooses the worker
        refused = ask_while_down(anthropic, daemon, alice)
        assert refused.status == 529
        assert "the budget of the key alice for " in refused.headers["x-gateway-fallback"]
        assert "$0.00, is spent (`claude-gatewayctl keys set alice --budget 0.0002`)" in refused.error
    assert ask(daemon.port, alice, body=message(model=f"{MODEL}-bedrock")).status == 403
    assert len(bedrock.requests) == 1
    assert ask_while_down(anthropic, daemon, bob).headers["x-gateway-upstream"] == "bedrock"
    wait_until(lambda: listed(daemon)["alice"]["spent"] > 0.0001, describe=daemon.describe)
    mine = ask(daemon.port, alice, path="/whoami", method="GET").json
    assert mine["left"] == 0
    assert abs(mine["spent"] - listed(daemon)["alice"]["spent"]) < 1e-5
    assert daemon.ctl("reload").returncode == 0
    refused = ask_while_down(anthropic, daemon, alice)
    assert refused.status == 529, "the next generation knows it too"
    assert daemon.ctl("keys", "set", "alice", "--budget", "100").returncode == 0
    wait_until(
        lambda: ask_while_down(anthropic, daemon, alice).headers["x-gateway-upstream"] == "bedrock",
        describe=daemon.describe,
    )


def test_defaults(anthropic: FakeAnthropic, bedrock: FakeBedrock) -> None:
    config = REMOTE.format(workers=1) + "[keys]\nbedrock = false\nrequests_per_minute = 3\n"
    with Daemon(upstream=anthropic.url, config=config, environ=keys_of(bedrock)) as daemon:
        alice, bob = made(daemon, "alice"), made(daemon, "bob", "--bedrock", "--rpm", "0")
        assert ask_while_down(anthropic, daemon, alice).status == 529
        assert [ask(daemon.port, alice).status for _ in range(3)] == [200, 200, 429]
        assert ask_while_down(anthropic, daemon, bob).headers["x-gateway-upstream"] == "bedrock"
        assert [ask(daemon.port, bob).status for _ in range(5)] == [200] * 5


def test_where_no_key_is_asked_for_one_is_an_identity_all_the_same(anthropic: FakeAnthropic) -> None:
    with Daemon(upstream=anthropic.url) as daemon:
        alice = made(daemon, "alice")
        assert ask(daemon.port, "").status == 200
        assert ask(daemon.port, daemon.key).status == 200
        assert ask(daemon.port, alice).status == 200
        assert ask(daemon.port, "cgk_" + "x" * 43).status == 401
        assert daemon.ctl("keys", "revoke", "alice").returncode == 0
        wait_until(lambda: ask(daemon.port, alice).status == 401, describe=daemon.describe)
        assert ask(daemon.port, "").status == 200
