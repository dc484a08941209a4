"""The tables of keys, in both databases."""

import time

import pytest

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.keys import store
from claude_gatewayd.ledger.keys.named_key import KeyLimits
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import open_for_writing
from tests.support.usage_records import put, usage_record

DAY = 86400.0


@pytest.fixture
def ledger(database: Database) -> Database:
    migrate(database)
    return database


def test_a_key_from_its_making_to_its_end(ledger: Database) -> None:
    engine = open_for_writing(ledger)
    with engine.begin() as connection:
        now = store.now_of(connection)
        assert abs(now - time.time()) < 60
        until = store.add(connection, "alice", "d1", KeyLimits(False, 5.0, 7), 90 * DAY)
        assert until == pytest.approx(now + 90 * DAY, abs=60)
        assert store.add(connection, "bob", "d2", KeyLimits(), None) is None
    with engine.begin() as connection:
        for name in ("alice", "bob"):
            with pytest.raises(GatewayError, match=f"cannot add {name}: there is a key of this name"):
                store.add(connection, name, "d3", KeyLimits(), None)
        store.change(connection, "alice", {"monthly_budget": None, "requests_per_minute": 9})
        store.revoke(connection, "bob")
        for change in (store.revoke, lambda c, n: store.change(c, n, {"bedrock": True})):
            with pytest.raises(GatewayError, match="bob: it is revoked"):
                change(connection, "bob")
            with pytest.raises(GatewayError, match="carol: there is no key of this name"):
                change(connection, "carol")
        with pytest.raises(GatewayError, match="a revoked key has this name"):
            store.add(connection, "bob", "d3", KeyLimits(), None)
    with engine.begin() as connection:
        alice, bob = store.listed(connection, 0, 10)
        assert store.count(connection) == 2
    assert alice.limits == KeyLimits(False, None, 9)
    assert (alice.revoked_at, bob.revoked_at is None) == (None, False)
    assert (alice.spent, alice.last_used_at) == (0.0, None)


def test_a_key_is_replaced(ledger: Database) -> None:
    engine = open_for_writing(ledger)
    with engine.begin() as connection:
        now = store.now_of(connection)
        store.add(connection, "alice", "d1", KeyLimits(), 90 * DAY)
        until = store.rotate(connection, "alice", "d2", DAY, None, as_before=True)
        assert until == pytest.approx(now + 90 * DAY, abs=60), "for as long as the one before"
        [alice] = store.listed(connection, 0, 10)
        newest, before = alice.secrets
        assert newest.expires_at == until
        assert before.expires_at == pytest.approx(now + DAY, abs=60)
        assert store.rotate(connection, "alice", "d3", 0.0, None, as_before=False) is None
        [alice] = store.listed(connection, 0, 10)
        assert alice.expires_at is None
        assert all(one.expires_at is not None and one.expires_at < now + 60 for one in alice.secrets[1:])


def test_what_a_key_has_cost_is_of_the_month_and_of_aws(ledger: Database) -> None:
    put(
        ledger,
        [
            usage_record(900.0 * 5, key_name="alice", billing="aws", cost=2.0),
            usage_record(900.0 * 5 + 1, key_name="alice", billing="subscription", cost=3.0),
            usage_record(900.0 * 10, key_name="alice", billing="aws", cost=4.0),
        ],
    )
    with open_for_writing(ledger).begin() as connection:
        store.add(connection, "alice", "d1", KeyLimits(), None)
        [alice] = store.listed(connection, 5, 10)
    assert alice.spent == 2.0
