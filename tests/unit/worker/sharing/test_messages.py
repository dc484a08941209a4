"""Facts between versions: what one sends the other understands, or ignores."""

import json

import pytest

from claude_gatewayd.worker.sharing import messages
from claude_gatewayd.worker.sharing.facts import (
    CircuitChanged,
    CredentialAccepted,
    Fact,
    FactsWanted,
    LinkIssued,
    LinkUsed,
    MetricsCounted,
    MetricsWanted,
    RefusalLearned,
    RowsEnded,
    RowsWanted,
    ServedBy,
    UsageShared,
)


@pytest.mark.parametrize(
    "fact",
    [
        CredentialAccepted("ab" * 16),
        CircuitChanged("1f3a", "claude-opus-4-8", "", True, True, 3600.0, 300.0, "limit reached"),
        FactsWanted(),
        LinkIssued("ab" * 32, 59.5),
        LinkUsed("ab" * 32),
        RowsWanted(60.0, anew=True),
        RowsEnded([{"id": "a", "status": 200, "cost": None}], 3),
        ServedBy("1f3a", "claude-opus-4-8", "nobody", "529", "no keys", "claude-gatewayctl sso-login"),
        RefusalLearned("anthropic.claude-opus-4-8", "beta", "some-2026-01-01", "invalid beta flag"),
        MetricsWanted(7, "0a", "aaaaaaaa", ("bbbbbbbb",)),
        UsageShared("aaaaaaaa", [[1995600, [1, 15, 1.0, 0.0, 0.0, 0.0, 0, 0], [0, 0, 0.0, 0.0, 0.0, 0.0, 0, 0]]]),
        MetricsCounted(7, "0a", "aaaaaaaa", 0, 1, {"keys": []}),
    ],
    ids=lambda fact: type(fact).__name__,
)
def test_as_json_and_back(fact: Fact) -> None:
    assert messages.from_message(json.loads(json.dumps(messages.as_message(fact)))) == fact


@pytest.mark.parametrize(
    ("message", "fact"),
    [
        ({"kind": "of-tomorrow", "x": 1}, None),
        ({"kind": "credential-accepted", "digest": "a", "of_tomorrow": 1}, CredentialAccepted("a")),
        ({"kind": "circuit-changed", "credential": "a", "model": "b"}, CircuitChanged("a", "b")),
        ({"kind": "credential-accepted"}, None),
        ({"kind": "credential-accepted", "digest": 1}, None),
        ({}, None),
        (None, None),
        ("x", None),
    ],
)
def test_of_another_version_or_of_nobody(message: object, fact: Fact | None) -> None:
    assert messages.from_message(message) == fact
