"""When a key is good, and what it may do."""

import pytest

from claude_gatewayd.config.model import KeysConfig
from claude_gatewayd.ledger.keys.named_key import KeyLimits, NamedKey
from claude_gatewayd.worker.keys.limits import Allowed, Standing, allowed, obstacle, remedy, standing

NOW = 1_800_000_000.0
GOOD = NamedKey("d", "alice", None, False, KeyLimits())


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        (None, "unknown"),
        (GOOD, "good"),
        (GOOD._replace(expires_at=NOW + 1), "good"),
        (GOOD._replace(expires_at=NOW), "expired"),
        (GOOD._replace(is_revoked=True), "revoked"),
        (GOOD._replace(is_revoked=True, expires_at=NOW - 1), "revoked"),
    ],
)
def test_standing(key: NamedKey | None, wanted: Standing) -> None:
    assert standing(key, NOW) == wanted


@pytest.mark.parametrize(
    ("own", "defaults", "wanted"),
    [
        (KeyLimits(), KeysConfig(), Allowed(True, 0.0, 0)),
        (KeyLimits(), KeysConfig(False, 5.0, 7), Allowed(False, 5.0, 7)),
        (KeyLimits(True, 0.0, 0), KeysConfig(False, 5.0, 7), Allowed(True, 0.0, 0)),
        (KeyLimits(False, 1.0, 2), KeysConfig(), Allowed(False, 1.0, 2)),
    ],
)
def test_a_keys_own_limits_come_first(own: KeyLimits, defaults: KeysConfig, wanted: Allowed) -> None:
    assert allowed(own, defaults) == wanted


@pytest.mark.parametrize(
    ("may", "spent", "why", "command"),
    [
        (Allowed(True, 0.0, 0), 1e6, "", ""),
        (Allowed(True, 5.0, 0), 4.99, "", ""),
        (Allowed(True, 5.0, 0), 5.0, "the budget of the key alice for 2027-01, $5.00, is spent", "alice --budget 10"),
        (Allowed(False, 5.0, 0), 9.0, "the key alice may not use Bedrock", "alice --bedrock"),
    ],
)
def test_obstacles(may: Allowed, spent: float, why: str, command: str) -> None:
    assert obstacle("alice", may, spent, "2027-01") == why
    assert not why or remedy("alice", may) == f"claude-gatewayctl keys set {command}"
