import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.worker.cluster.envelope import LONGEST, messages, opened, sealed
from claude_gatewayd.worker.sharing.facts import (
    CircuitChanged,
    CredentialAccepted,
    Fact,
    LinkIssued,
    RefusalLearned,
    UsageShared,
    UsageWanted,
)

KEY, OTHER = b"k" * 32, b"o" * 32
SOME: tuple[Fact, ...] = (
    CredentialAccepted("ab" * 16),
    CircuitChanged("c", "modèle \0\n", is_open=True, ends_in=3.5, reason="“limit”"),
    UsageShared("w", [[1, [1, 2, 0.5], []]]),
    UsageWanted(),
)


def test_there_and_back() -> None:
    message = sealed(KEY, "d1", SOME)
    assert message.isascii()
    assert opened(KEY, message) == ("d1", SOME)


@pytest.mark.parametrize(
    "message",
    [
        sealed(OTHER, "d1", SOME),
        sealed(KEY, "d1", SOME)[1:],
        sealed(KEY, "d1", SOME).replace("3.5", "9.5"),
        "",
        "x" * 31,
        "{}",
        "\udcff" * 40,
    ],
)
def test_what_is_of_nobody_who_has_the_secret(message: str) -> None:
    assert opened(KEY, message) is None


@given(st.text())
def test_anybody_may_send_anything(text: str) -> None:
    assert opened(KEY, text) is None


@pytest.mark.parametrize("content", ["[]", "{}", '{"daemon": 1}', '{"daemon":"d","facts":3}', "[" * 5000, "1e999"])
def test_of_another_version(content: str) -> None:
    from claude_gatewayd.worker.cluster import envelope

    assert opened(KEY, envelope._seal(KEY, content) + content) is None


def test_only_what_travels_is_taken() -> None:
    """A gateway cannot let people into another one's dashboard."""
    found = opened(KEY, sealed(KEY, "d", [LinkIssued("digest", 60.0), UsageWanted()]))
    assert found is not None
    assert found.facts == (UsageWanted(),)


def test_many_are_in_few_messages_that_postgresql_takes() -> None:
    facts = [CircuitChanged("c" * 32, f"m{number}" + "é" * 90, is_open=True) for number in range(100)]
    found = list(messages(KEY, "d", facts))
    assert 2 < len(found) < 20
    assert all(len(message.encode()) <= LONGEST for message in found)
    assert [fact for message in found for fact in opened_facts(message)] == facts


def test_one_that_is_too_long_is_left_out() -> None:
    long = RefusalLearned("m" * 8000, "beta", "x", "no")
    assert [opened_facts(one) for one in messages(KEY, "d", [UsageWanted(), long, UsageWanted()])] == [
        [UsageWanted(), UsageWanted()]
    ]
    assert list(messages(KEY, "d", [])) == []


def opened_facts(message: str) -> list[Any]:
    found = opened(KEY, message)
    assert found is not None
    assert json.loads(message[32:])["daemon"] == "d"
    return list(found.facts)
