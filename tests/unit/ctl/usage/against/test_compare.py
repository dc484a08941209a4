"""The ledger beside the transcripts: what is the same, and why the rest is not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.ctl.usage.against.compare import Comparison, Counts, LedgerRow, Scope, compare, counts_of
from claude_gatewayd.ctl.usage.against.transcripts import Message, Transcripts
from claude_gatewayd.ledger.token_counts import TokenCounts

TOKENS = TokenCounts(3, 21, 1000, 20, 100)
NOW = 1_000_000.0
ALL = Scope(since=0.0, until=NOW, began=1000.0, now=NOW)


def message(message_id: str = "msg_1", **changed: Any) -> Message:
    known = Message(message_id, "one", 5000.0, "claude-opus-5", "/work", False, TOKENS)
    return known._replace(**changed)


def row(message_id: str = "msg_1", **changed: Any) -> LedgerRow:
    known = LedgerRow(message_id, "one", 4990.0, "us.anthropic.opus", "work", "bedrock", False, counts_of(TOKENS))
    return known._replace(**changed)


def compared(messages: list[Message], rows: list[LedgerRow], scope: Scope = ALL) -> Comparison:
    found = Transcripts(
        messages={one.message_id: one for one in messages if one.message_id},
        nameless=[one for one in messages if not one.message_id],
    )
    return compare(found, rows, scope, lambda at, whose, upstream: f"{at:.0f} {whose.model} {upstream}")


def test_the_same_on_both_sides() -> None:
    result = compared([message()], [row()])
    assert result.total.transcripts.counts == result.total.ledger.counts == Counts(1, 3, 21, 1000, 20, 100)
    assert list(result.by_key) == ["4990 claude-opus-5 bedrock"]
    assert not result.differs
    assert (result.unrecorded, result.unwritten) == ({}, {})


def test_tokens_that_differ() -> None:
    result = compared([message()], [row(counts=Counts(1, 3, 20, 1000, 120, 0))])
    assert result.differs
    assert [(one.message.message_id, one.ledger.output) for one in result.differences] == [("msg_1", 20)]
    assert result.total.difference == Counts(0, 0, -1, 0, 100, -100)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"is_aborted": True}, "aborted"),
        ({}, "in the background"),
        ({"session_id": "two"}, "of other sessions"),
        ({"session_id": ""}, "of other programs"),
        ({"message_id": "msg_1"}, "recorded twice"),
        ({"message_id": ""}, "in the background"),
    ],
)
def test_only_in_the_ledger(changed: dict[str, Any], why: str) -> None:
    result = compared([message()], [row(), row("msg_2")._replace(**changed)])
    assert {reason: total.counts.messages for reason, total in result.unwritten.items()} == {why: 1}
    assert result.total.difference == counts_of(TOKENS)
    assert not result.differs


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"at": 999.0}, "before the ledger"),
        ({"session_id": "two"}, "not through the gateway"),
        ({"message_id": ""}, "without an id"),
        ({"at": NOW - 1}, "under way"),
        ({}, "missing"),
    ],
)
def test_only_in_the_transcripts(changed: dict[str, Any], why: str) -> None:
    result = compared([message(), message("msg_2")._replace(**changed)], [row()])
    assert {reason: total.counts.messages for reason, total in result.unrecorded.items()} == {why: 1}
    assert result.differs == (why == "missing") == bool(result.missing)


@pytest.mark.parametrize(("begun", "written"), [(4000, 4100), (3990, 4010), (4990, 5010), (5010, 5050), (100, 200)])
def test_a_message_is_at_the_time_at_which_its_request_began(begun: float, written: float) -> None:
    """So both sides have it on the same day, whichever side of midnight its answer was on."""
    scope = ALL._replace(since=4000.0, until=5000.0)
    result = compared([message(at=written)], [row(at=begun)], scope)
    assert result.total.transcripts.counts == result.total.ledger.counts
    assert result.total.ledger.counts.messages == (4000 <= begun < 5000)
    assert not result.unrecorded


SIDE = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["one", "two", ""]), st.integers(0, 2)), max_size=8)


@given(SIDE, SIDE)
def test_each_token_of_a_difference_has_its_reason(transcripts: list[Any], ledger: list[Any]) -> None:
    messages = [
        message(f"msg_{n}" if n else "", session_id=session, counts=TOKENS._replace(output=tokens))
        for n, session, tokens in transcripts
    ]
    rows = [
        row(f"msg_{n}" if n else "", session_id=session, counts=counts_of(TOKENS._replace(output=tokens)))
        for n, session, tokens in ledger
    ]
    result = compared(messages, rows)
    more = sum(total.counts.output for total in result.unwritten.values())
    less = sum(total.counts.output for total in result.unrecorded.values())
    differing = sum(one.ledger.output - one.transcripts.output for one in result.differences)
    assert result.total.difference.output == more - less + differing
    assert result.total.ledger.counts.messages == len(rows)
