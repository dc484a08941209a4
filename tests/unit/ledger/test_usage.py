"""What a usage counts: Anthropic's, OpenAI's, and what is none."""

import json
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.ledger.token_counts import TokenCounts
from claude_gatewayd.ledger.usage import PlainUsage, advised, counted, merged, name

ODD: tuple[Any, ...] = ("3", -1, 3.0, float("inf"), True, None, [], {}, 10**13)
HOLDERS = ("cache_creation", "iterations", "server_tool_use", "input_tokens_details", "prompt_tokens_details")
ITERATION = {"input_tokens": 180, "output_tokens": 35, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 0}


class Case(NamedTuple):
    """A usage, and its tokens."""

    why: str
    usage: dict[str, Any]
    counts: TokenCounts


CASES = [
    Case("nothing", {}, TokenCounts()),
    Case(
        "Anthropic's, all of it",
        {
            "input_tokens": 3,
            "cache_creation_input_tokens": 30,
            "cache_read_input_tokens": 2000,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
            "output_tokens": 503,
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
            "service_tier": "standard",
            "inference_geo": "us",
            "speed": "fast",
        },
        TokenCounts(3, 503, 2000, 10, 20, 2, "standard", "fast", "us"),
    ),
    Case("a cache of five minutes has no split", {"cache_creation_input_tokens": 30}, TokenCounts(cache_write_5m=30)),
    Case(
        "a split alone",
        {"cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2}},
        TokenCounts(cache_write_5m=1, cache_write_1h=2),
    ),
    Case(
        "the total holds, whatever its split says",
        {"cache_creation_input_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": 9}},
        TokenCounts(cache_write_1h=5),
    ),
    Case(
        "a compaction is billed, and not in the total",
        {"input_tokens": 23, "output_tokens": 10, "iterations": [{"type": "compaction", **ITERATION}]},
        TokenCounts(203, 45, 7),
    ),
    Case(
        "iterations of the message are in the total",
        {"input_tokens": 23, "output_tokens": 10, "iterations": [{"type": "message", **ITERATION}]},
        TokenCounts(23, 10),
    ),
    Case(
        "OpenAI's, whose total has the cached ones in it",
        {
            "prompt_tokens": 100,
            "completion_tokens": 7,
            "total_tokens": 107,
            "prompt_tokens_details": {"cached_tokens": 40},
        },
        TokenCounts(60, 7, 40),
    ),
    Case(
        "LiteLLM's of Claude, with the caches of Anthropic",
        {
            "prompt_tokens": 2112,
            "completion_tokens": 5,
            "prompt_tokens_details": {
                "cached_tokens": 2000,
                "cache_creation_tokens": 100,
                "cache_creation_token_details": {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 60},
            },
            "cache_creation_input_tokens": 100,
            "cache_read_input_tokens": 2000,
        },
        TokenCounts(12, 5, 2000, 40, 60),
    ),
    Case("embeddings", {"prompt_tokens": 8, "total_tokens": 8}, TokenCounts(8)),
    Case("no details", {"prompt_tokens": 8, "prompt_tokens_details": None}, TokenCounts(8)),
    Case(
        "OpenAI's responses",
        {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 30}, "output_tokens": 7},
        TokenCounts(70, 7, 30),
    ),
    Case(
        "more cached than there is",
        {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}},
        TokenCounts(0, 0, 9),
    ),
    *(
        Case(f"no count: {value!r}", {"input_tokens": value, "output_tokens": 4}, TokenCounts(output=4))
        for value in ODD
    ),
    *(
        Case(f"not as it should be: {value!r}", dict.fromkeys(HOLDERS, value), TokenCounts())
        for value in (None, 1, "x", [1], {"type": 1})
    ),
    Case("a word that is none", {"speed": "x" * 33, "service_tier": "a\nb", "inference_geo": "\x00"}, TokenCounts()),
]


def plainly(usage: dict[str, Any]) -> TokenCounts | None:
    """Return what is counted of a plain usage, None of any other."""
    try:
        found = msgspec.json.decode(json.dumps(usage), type=PlainUsage)
    except msgspec.DecodeError:
        return None
    return found.counts() if found.is_plain else None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_counts(case: Case) -> None:
    assert counted(case.usage) == case.counts
    assert plainly(case.usage) in (case.counts, None)


def test_what_anthropic_sends_is_plain() -> None:
    assert plainly(CASES[1].usage) == CASES[1].counts
    assert plainly(
        {"input_tokens": 1, "cache_creation": None, "server_tool_use": None, "service_tier": None, "new": {}}
    )
    assert plainly({"input_tokens": 1, "iterations": [{"type": "compaction", "output_tokens": 5}]}) is None


def test_an_advisor_is_another_model() -> None:
    usage = {
        "input_tokens": 1,
        "output_tokens": 2,
        "iterations": [{"type": "advisor_message", "model": "claude-opus-5-5", **ITERATION}, "x", {"type": "message"}],
    }
    assert advised(usage) == [("claude-opus-5-5", TokenCounts(180, 35, 7))]
    assert counted(usage) == TokenCounts(1, 2)
    assert advised({}) == []


class Merge(NamedTuple):
    """The usage of message_start, of message_delta, and of both."""

    why: str
    start: dict[str, Any]
    delta: dict[str, Any]
    both: TokenCounts


MERGES = [
    Merge("output grows", {"input_tokens": 5, "output_tokens": 1}, {"output_tokens": 90}, TokenCounts(5, 90)),
    Merge("0 is no news", {"input_tokens": 5}, {"input_tokens": 0, "output_tokens": 9}, TokenCounts(5, 9)),
    Merge("null is no news", {"input_tokens": 5}, {"input_tokens": None, "output_tokens": None}, TokenCounts(5)),
    Merge("but output may be 0", {"output_tokens": 3}, {"output_tokens": 0}, TokenCounts()),
    Merge(
        "all is cumulative, after server tools",
        {"input_tokens": 5, "cache_read_input_tokens": 10},
        {"input_tokens": 50, "cache_read_input_tokens": 100, "server_tool_use": {"web_search_requests": 1}},
        TokenCounts(50, 0, 100, web_searches=1),
    ),
    Merge(
        "a cache of an hour stays one",
        {"cache_creation_input_tokens": 8, "cache_creation": {"ephemeral_1h_input_tokens": 8}},
        {"cache_creation_input_tokens": 8, "output_tokens": 2},
        TokenCounts(output=2, cache_write_1h=8),
    ),
    Merge(
        "a later split is a total, too",
        {"cache_creation_input_tokens": 8},
        {"cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 20}},
        TokenCounts(cache_write_5m=1, cache_write_1h=20),
    ),
    Merge("OpenAI's is the whole", {"prompt_tokens": 5, "completion_tokens": 1}, {"prompt_tokens": 7}, TokenCounts(7)),
    Merge("no count is no news", {"output_tokens": 3}, {"output_tokens": "4"}, TokenCounts(output=3)),
    Merge("nor is true", {"output_tokens": 3}, {"output_tokens": True}, TokenCounts(output=3)),
]


@pytest.mark.parametrize("case", MERGES, ids=lambda case: case.why)
def test_a_streams_usage(case: Merge) -> None:
    assert counted(merged(case.start, case.delta)) == case.both


@pytest.mark.parametrize("value", [None, 3, "", "x" * 300, "a\nb", "\x00", "\ud800", ["x"]])
def test_what_cannot_be_a_name(value: object) -> None:
    assert name(value) == ""


FIELDS = sorted({field for case in CASES for field in case.usage} | {"type"})
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab\n", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3),
    max_leaves=4,
)
usages = st.dictionaries(st.sampled_from(FIELDS), anything | st.dictionaries(st.sampled_from(FIELDS), anything))


@given(usages)
def test_what_is_plain_counts_as_all_others_do(usage: dict[str, Any]) -> None:
    assert plainly(usage) in (counted(usage), None)


@given(usages, usages)
def test_nothing_is_too_strange(start: dict[str, Any], delta: dict[str, Any]) -> None:
    both = merged(start, delta)
    for counts in (counted(both), *(counts for _, counts in advised(both))):
        assert all(type(count) is int and 0 <= count <= 10**13 for count in counts[:6])
        assert all(type(word) is str for word in counts[6:])
