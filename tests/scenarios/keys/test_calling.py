"""Who may call a gateway for a team, and what is said to who may not."""

import http.client
import json
import time
from collections.abc import Iterator

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.scenarios.keys.people import REMOTE, ask, ask_on, files_with, listed, made
from tests.support.daemon import Daemon, wait_until
from tests.support.workers import all_serve

pytestmark = pytest.mark.slow


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def daemon(request: pytest.FixtureRequest, anthropic: FakeAnthropic) -> Iterator[Daemon]:
    config = REMOTE.format(workers=request.param)
    with Daemon(upstream=anthropic.url, config=config) as daemon:
        if request.param > 1:
            all_serve(daemon)
        yield daemon
        assert "Traceback" not in daemon.log


def test_without_named_keys_the_gateways_own_is_everybodys(daemon: Daemon) -> None:
    assert ask(daemon.port, daemon.key).status == 200
    assert ask(daemon.port, "cgk_" + "x" * 43).status == 401


def test_a_key_from_its_making_to_its_end(daemon: Daemon) -> None:
    alice, bob = made(daemon, "alice"), made(daemon, "bob")
    assert alice.startswith("cgk_")
    assert len(alice) == 47
    for _ in range(6):  # whichever worker accepts
        assert ask(daemon.port, alice).status == 200
        assert ask(daemon.port, bob).status == 200
    own = ask(daemon.port, daemon.key)
    assert own.status == 401
    assert "the gateway's own key is its operator's alone" in own.error
    assert own.headers["x-should-retry"] == "false"
    assert "missing or wrong" in ask(daemon.port, "").error
    kept = [http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30) for _ in range(6)]
    for connection in kept:
        for _ in range(2):  # so that each remembers the head of the request before
            assert ask_on(connection, alice).status == 200
    assert daemon.ctl("keys", "revoke", "alice").returncode == 0
    time.sleep(1)  # what is promised
    for connection in kept:
        refused = ask_on(connection, alice)
        assert (refused.status, "the key of alice is revoked" in refused.error) == (401, True)
        connection.close()
    assert ask(daemon.port, bob).status == 200
    assert set(listed(daemon)) == {"bob"}
    assert listed(daemon, "--all")["alice"]["state"] == "revoked"


def test_a_key_that_was_replaced(daemon: Daemon) -> None:
    first = made(daemon, "alice", "--expires", "1d")
    second = daemon.ctl("keys", "rotate", "alice", "--overlap", "1h").stdout.strip()
    assert [ask(daemon.port, key).status for key in (first, second)] == [200, 200]
    third = daemon.ctl("keys", "rotate", "alice").stdout.strip()
    time.sleep(1)
    assert [ask(daemon.port, key).status for key in (first, second, third)] == [401, 401, 200]
    assert "this key of alice is no longer good" in ask(daemon.port, second).error
    [row] = listed(daemon).values()
    assert 0.9 < (row["expires_at"] - time.time()) / 86400 < 1.1, "for as long as the one before"


def test_who_am_i(daemon: Daemon) -> None:
    before = ask(daemon.port, daemon.key, path="/whoami", method="GET")
    assert (before.status, before.json) == (200, {"name": None})
    alice = made(daemon, "alice", "--expires", "90d", "--budget", "50", "--rpm", "1000")
    reply = ask(daemon.port, alice, path="/whoami", method="GET")
    assert reply.status == 200
    assert reply.json | {"expires_at": 0, "month": ""} == {
        "name": "alice", "expires_at": 0, "bedrock": True, "month": "", "monthly_budget": 50.0, "spent": 0.0,
        "left": 50.0, "requests_per_minute": 1000,
    }  # fmt: skip
    assert ask(daemon.port, daemon.key, path="/whoami", method="GET").status == 403
    assert ask(daemon.port, "", path="/whoami", method="GET").status == 401
    assert ask(daemon.port, alice, path="/metrics", method="GET").status == 401, "the numbers of the whole team"
    assert ask(daemon.port, daemon.key, path="/metrics", method="GET").status == 200


def test_the_ledger_knows_the_name_and_nobody_the_key(daemon: Daemon, anthropic: FakeAnthropic) -> None:
    alice = made(daemon, "alice")
    for _ in range(3):
        assert ask(daemon.port, alice).status == 200
    assert daemon.ctl("keys", "revoke", "alice").returncode == 0
    bob = made(daemon, "bob")
    wait_until(lambda: ask(daemon.port, alice).status == 401, describe=daemon.describe)
    assert ask(daemon.port, bob).status == 200

    def used() -> dict[str, int]:
        rows = json.loads(daemon.ctl("usage", "--by", "key", "--json").stdout)["rows"]
        return {row["key"]: row["requests"] for row in rows}

    wait_until(lambda: used().get("bob") == 1, describe=daemon.describe)
    assert used()["alice"] >= 4, "refused ones, too"
    of_alice = json.loads(daemon.ctl("usage", "--key", "alice", "--by", "model", "--json").stdout)
    assert of_alice["total"]["requests"] == used()["alice"]
    assert of_alice["key"] == "alice"
    # uses are noted once a minute, and alice's has just been
    wait_until(lambda: listed(daemon)["bob"]["last_used_at"] is not None, 120.0, describe=daemon.describe)
    daemon.status()
    for key in (alice, bob):
        assert files_with(key, daemon.home) == []
        assert anthropic.requests
        assert not any(key.encode() in request.head + request.body for request in anthropic.requests)


def test_the_copy_knows_keys_while_the_database_is_away(anthropic: FakeAnthropic) -> None:
    with Daemon(upstream=anthropic.url, config=REMOTE.format(workers=1)) as daemon:
        alice = made(daemon, "alice")
        assert ask(daemon.port, alice).status == 200
        copy = daemon.home / "s" / "claude-gateway" / "named-keys.json"
        assert copy.stat().st_mode & 0o777 == 0o600
        ledger = daemon.home / "s" / "claude-gateway" / "ledger.sqlite3"
        daemon.process.terminate()  # type: ignore[union-attr]
        daemon.wait()
        for file in ledger.parent.glob("ledger.sqlite3*"):
            file.unlink()
        ledger.mkdir()  # nobody can make a database of it
        daemon.spawn()
        daemon.wait_serving()
        assert ask(daemon.port, alice).status == 200
        assert ask(daemon.port, daemon.key).status == 401
        assert ask(daemon.port, "cgk_" + "x" * 43).status == 401


def test_too_many_requests(daemon: Daemon) -> None:
    alice, bob = made(daemon, "alice", "--rpm", "5"), made(daemon, "bob")
    answers = []
    for _ in range(12):
        answers.append(ask(daemon.port, alice))
        time.sleep(0.3)  # so that another worker has heard
    assert [one.status for one in answers].count(200) in (5, 6, 7), [one.status for one in answers]
    refused = answers[-1]
    assert refused.status == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 61
    assert refused.json["error"]["type"] == "rate_limit_error"
    assert "the key alice has made 5 requests within a minute" in refused.error
    assert ask(daemon.port, bob).status == 200
    assert ask(daemon.port, alice, path="/whoami", method="GET").status == 200
    assert daemon.ctl("keys", "set", "alice", "--rpm", "0").returncode == 0
    wait_until(lambda: ask(daemon.port, alice).status == 200, describe=daemon.describe)
