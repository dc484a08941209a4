"""What a refusal names, and the request without it."""

from typing import Any

import pytest

from claude_gatewayd.bedrock.features import CONTEXT_1M, INTERLEAVED, TABLE, THINKING_COUNT, TOOL_SEARCH
from claude_gatewayd.bedrock.models import Family
from claude_gatewayd.bedrock.refused import RefusedFeature, drop, read, without
from claude_gatewayd.bedrock.request import shape

BETA = ",".join((
    "claude-code-20250219", INTERLEAVED, CONTEXT_1M, THINKING_COUNT, "effort-2025-11-24",
    "advanced-tool-use-2025-11-20",
))  # fmt: skip
TOOL = {"name": "Read", "description": "d", "input_schema": {"type": "object"}, "defer_loading": True}
BODY: dict[str, Any] = {
    "max_tokens": 64_000,
    "system": [{"type": "text", "text": "be brief"}],
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "Read", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": [
            {"type": "tool_reference", "tool_name": "Read"}]}]},
        {"role": "system", "content": "a reminder"},
    ],
    "tools": [TOOL],
    "thinking": {"type": "adaptive", "display": "summarized"},
    "output_config": {"effort": "xhigh"},
    "metadata": {"user_id": "me"},
    "temperature": 1,
}  # fmt: skip
NEWEST = Family.CLAUDE_5_1
EXTRA = "Extra inputs are not permitted"


def corrected(text: str, family: Family = NEWEST, body: dict[str, Any] = BODY) -> tuple[dict[str, Any], set[str]]:
    """Return body and betas of the request that follows a refusal."""
    first = shape(body, BETA, family)
    refused = read(text, TABLE[family], (*first.betas, *first.header_betas))
    assert refused, text
    again = shape(body, BETA, family, refused=refused)
    assert again != first
    assert again.body["messages"]
    assert len(again.body.get("tools", ())) == 1
    assert [block["text"] for block in again.body["system"]] == ["be brief"]
    return again.body, {*again.betas, *again.header_betas}


@pytest.mark.parametrize(
    ("text", "beta"),
    [
        (f"Unexpected value(s) `{THINKING_COUNT}` for the `anthropic-beta` header. Please consult", THINKING_COUNT),
        (f"capability_rejected: beta_header:{THINKING_COUNT}", THINKING_COUNT),
        (f"Unexpected value(s) `{TOOL_SEARCH}` for the `anthropic-beta` header", TOOL_SEARCH),
        ("Unexpected value(s) `claude-code-20250219` for the `anthropic-beta` header", "claude-code-20250219"),
    ],
)
def test_a_beta_that_is_named(text: str, beta: str) -> None:
    _body, betas = corrected(text)
    assert beta not in betas
    assert len(betas) >= 3


def test_a_beta_that_is_not_named() -> None:
    first = shape(BODY, BETA, NEWEST)
    text = "The model returned the following errors: invalid beta flag"
    refused = read(text, TABLE[NEWEST], (*first.betas, *first.header_betas))
    second = shape(BODY, BETA, NEWEST, refused=refused)
    assert second.header_betas == ()
    assert set(second.betas) == {INTERLEAVED, CONTEXT_1M, TOOL_SEARCH}
    more = read(text, without(TABLE[NEWEST], refused), second.betas)
    third = shape(BODY, BETA, NEWEST, refused=(*refused, *more))
    assert third.betas == ()
    assert "defer_loading" not in third.body["tools"][0]


@pytest.mark.parametrize(
    ("text", "family", "gone"),
    [
        (f"metadata.user_id: {EXTRA}", NEWEST, ("metadata", "user_id")),
        (f"tools.0.custom.defer_loading: {EXTRA}", NEWEST, ("tools", 0, "defer_loading")),
        (f"thinking.adaptive.display: {EXTRA}", NEWEST, ("thinking", "display")),
        (f"output_config.effort: {EXTRA}", NEWEST, ("output_config",)),
        (f"output_config: {EXTRA}", NEWEST, ("output_config",)),
        ("This model does not support the effort parameter.", NEWEST, ("output_config",)),
        ("`temperature` is deprecated for this model.", Family.CLAUDE_4_5, ("temperature",)),
        (
            "Malformed input request: #: extraneous key [metadata] is not permitted, please reformat your input",
            NEWEST, ("metadata",),
        ),
        (
            "Malformed input request: #/tools/0/custom: extraneous key [description] is not permitted, please "
            "reformat", NEWEST, ("tools", 0, "description"),
        ),
    ],
)  # fmt: skip
def test_a_field(text: str, family: Family, gone: tuple[str | int, ...]) -> None:
    value: Any = shape(BODY, BETA, family).body
    for key in gone:
        value = value[key]  # it was there
    body, _betas = corrected(text, family)
    value = body
    for key in gone[:-1]:
        value = value[key]
    assert gone[-1] not in value


@pytest.mark.parametrize(
    "text",
    [
        "messages.3.role: Input should be 'user' or 'assistant'",
        'Unexpected role "system". Allowed roles are "user" or "assistant"',
        "The model returned the following errors: messages.3.role: Input should be 'user' or 'assistant'",
    ],
)
def test_a_role(text: str) -> None:
    body, _betas = corrected(text)
    assert {message["role"] for message in body["messages"]} == {"user", "assistant"}
    assert "a reminder" in body["messages"][-1]["content"][-1]["text"]


def test_thinking_modes() -> None:
    body, _betas = corrected("adaptive thinking is not supported on this model")
    assert body["thinking"]["type"] == "enabled"
    assert 1024 <= body["thinking"]["budget_tokens"] < body["max_tokens"]
    text = '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive"'
    assert corrected(text, Family.CLAUDE_4_5)[0]["thinking"] == {"type": "adaptive"}
    both = (RefusedFeature("thinking", "enabled"), RefusedFeature("thinking", "adaptive"))
    assert "thinking" not in shape(BODY, BETA, NEWEST, refused=both).body


def test_effort_levels() -> None:
    text = "output_config.effort: Input should be 'low', 'medium' or 'high'"
    assert corrected(text)[0]["output_config"] == {"effort": "high"}


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens: 64000 > 8192, which is the maximum allowed number of output tokens for claude",
        "The maximum tokens you requested exceeds the model limit of 8192. Try again with a maximum tokens value that",
    ],
)
def test_max_tokens(text: str) -> None:
    assert corrected(text)[0]["max_tokens"] == 8192


def test_tool_references() -> None:
    text = (
        "messages.2.content.0.tool_result.content.0: Input tag 'tool_reference' found using 'type' does not match any "
        "of the expected tags: 'text', 'image'"
    )
    body, betas = corrected(text)
    assert TOOL_SEARCH not in betas
    assert body["messages"][2]["content"][0]["content"] == [{"type": "text", "text": "[tool references]"}]


@pytest.mark.parametrize(
    "text",
    [
        f"messages: {EXTRA}", f"system: {EXTRA}", f"tools: {EXTRA}", f"tools.0.custom.input_schema: {EXTRA}",
        f"messages.0.content.0.text.text: {EXTRA}", f"tool_choice: {EXTRA}", f"max_tokens: {EXTRA}", "", "no",
        "Input is too long.", "prompt is too long: 3 tokens > 2 maximum", "messages: at least one message is required",
        f"a user wrote: metadata: {EXTRA}", "x" * 100_000, f"#/{'a/' * 5000}: extraneous key [x] is not permitted",
        "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000",
    ],
)  # fmt: skip
def test_what_is_not_corrected(text: str) -> None:
    assert read(text, TABLE[NEWEST], (THINKING_COUNT,)) == ()


def test_drop_goes_by_keys_and_types() -> None:
    value = {
        "content": [{"type": "text", "text": "t", "citations": 1}, {"type": "image", "citations": 2}],
        "tools": [{"name": "n", "strict": True}, {"type": "bash", "strict": True}],
    }
    kept = drop(drop(value, "content.text.citations"), "tools.custom.strict")
    assert kept == {
        "content": [{"type": "text", "text": "t"}, {"type": "image", "citations": 2}],
        "tools": [{"name": "n"}, {"type": "bash", "strict": True}],
    }
    assert value["tools"][0]["strict"] is True
    assert drop(value, "no.such.place") == value
