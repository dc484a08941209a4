"""What a refusal names, and the request without it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.bedrock.features import CONTEXT_1M, INTERLEAVED, TABLE, THINKING_COUNT, TOOL_SEARCH
from claude_gatewayd.bedrock.models import Family
from claude_gatewayd.bedrock.refused import SCHEMA, RefusedFeature, drop, read, without
from claude_gatewayd.bedrock.request import shape
from tests.support.bedrock_bodies import NEW_HEADER, likely, turn

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
        f"tools.0.custom.input_schema.properties.x: {EXTRA}", f"messages.1.content.0.tool_use.input.x: {EXTRA}",
        f"messages.0.content.0.image.source.url: {EXTRA}", f"tools.0: {EXTRA}", f"system.0: {EXTRA}",
        f"output_config.format.schema: {EXTRA}", f"output_config.format.schema.minimum: {EXTRA}",
        "Malformed input request: #/tools/0: extraneous key [input_schema] is not permitted", f"messages.0: {EXTRA}",
        "Malformed input request: 2 schema violations found, please reformat your input and try again.",
        "capability_rejected: prompt_too_long", "capability_rejected: media_budget", "capability_rejected: nobodys",
    ],
)  # fmt: skip
def test_what_is_not_corrected(text: str) -> None:
    assert read(text, TABLE[NEWEST], (THINKING_COUNT,)) == ()


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("capability_rejected: mid_conv_system", [("role", "system")]),
        ("capability_rejected: effort_unsupported", [("effort", "*")]),
        ("capability_rejected: thinking_type:adaptive", [("thinking", "adaptive")]),
        ("capability_rejected: beta_header:effort-2025-11-24", [("beta", "effort-2025-11-24")]),
        ("thinking: Input tag 'adaptive' found using 'type' does not match any of the expected tags: 'disabled'",
         [("thinking", "adaptive")]),
        (f"thinking: {EXTRA}", [("thinking", "enabled"), ("thinking", "adaptive")]),
        ("thinking.adaptive.display: Input should be 'omitted'", [("thinking display", "*")]),
        (f"messages.3.output_config: {EXTRA}", [("field", "messages.output_config")]),
        (f"tools.3.custom.eager_input_streaming: {EXTRA}", [("field", "tools.custom.eager_input_streaming")]),
        (f"messages.0.content.1.text.cache_control: {EXTRA}", [("field", "messages.content.text.cache_control")]),
        (f"context_management: {EXTRA}", [("field", "context_management")]),
        ("The model returned the following errors: #: extraneous key [metadata] is not permitted#/tools/0: extraneous "
         "key [strict] is not permitted#/tools/1: extraneous key [strict] is not permitted",
         [("field", "metadata"), ("field", "tools.strict")]),
        (f"The model returned the following errors: metadata.user_id: {EXTRA}", [("field", "metadata.user_id")]),
        ("max_tokens: 128000 > 64000, which is the maximum", [("max_tokens above", "64000")]),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, refused: list[tuple[str, str]]) -> None:
    found = read(text, TABLE[NEWEST], ())
    assert [tuple(one) for one in found] == refused
    assert [RefusedFeature.of(*one) for one in found] == list(found)  # a file may hold it


PATHS = st.lists(
    st.sampled_from([
        "messages", "content", "0", "1", "text", "tool_use", "tool_result", "image", "source", "system", "tools",
        "custom", "input_schema", "properties", "input", "name", "description", "cache_control", "thinking", "adaptive",
        "output_config", "effort", "metadata", "user_id", "tool_choice", "max_tokens", "role", "a", "x", "type",
        "defer_loading", "display", "data",
    ]), min_size=1, max_size=7,
)  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=60),
    PATHS.map(lambda path: f"{'.'.join(path)}: {EXTRA}"),
    PATHS.map(lambda path: f"#/{'/'.join(path[:-1])}: extraneous key [{path[-1]}] is not permitted"),
    st.sampled_from([
        "invalid beta flag", "This model does not support the effort parameter.",
        "capability_rejected: mid_conv_system", "adaptive thinking is not supported on this model",
        '"thinking.type.enabled" is not supported for this model.',
        "thinking: Input tag 'disabled' found using 'type'", "output_config.effort: Input should be 'low'",
        "max_tokens: 9 > 1, which is the maximum", "messages.1.role: Input should be 'user' or 'assistant'",
        "'tool_reference' does not match any of the expected tags", "`temperature` is deprecated for this model.",
    ]),
)  # fmt: skip


def essence(body: Any) -> list[str]:
    """Return what a request is about, as JSON: all texts, calls of tools and their answers, images, and the tools."""
    found: list[Any] = []
    for holder in (*body["messages"], {"content": body.get("system")}):
        content = holder.get("content") if isinstance(holder, dict) else holder
        block: Any
        for block in content if isinstance(content, list) else [content]:
            match block:
                case {"type": "text", "text": words}:
                    found.append(words)
                case {"type": "tool_use", "input": given}:
                    found += [given, block.get("id"), block.get("name")]
                case {"type": "tool_result"}:
                    found.append(block.get("tool_use_id"))
                case {"type": "image" | "document", "source": source}:
                    found.append(source)
                case str():
                    found.append(block)
    for tool in body.get("tools") or ():
        if isinstance(tool, dict):
            found += [tool.get("name"), tool.get("input_schema")]
    return [json.dumps(one, default=repr).strip('"') for one in found if one is not None]


@pytest.mark.parametrize("beta", [BETA, NEW_HEADER])
@given(body=likely | st.just(BODY) | st.just(turn()), texts=st.lists(TEXTS, min_size=1, max_size=3),
       family=st.sampled_from(Family))  # fmt: skip
def test_nothing_that_matters_is_ever_left_out(
    beta: str, body: dict[str, Any], texts: list[str], family: Family
) -> None:
    """Whatever Bedrock says, however often: messages, system text and tools stay."""
    first = shape(body, beta, family)
    refused: tuple[RefusedFeature, ...] = ()
    for text in texts:
        refused += read(text, without(TABLE[family], refused), (*first.betas, *first.header_betas))
    assert all(RefusedFeature.of(*one) == one for one in refused)
    again = shape(body, beta, family, refused=refused)
    whole = json.dumps(again.body, default=repr)
    assert [one for one in essence(first.body) if one not in whole] == []
    assert len(again.body.get("tools", ())) == len(first.body.get("tools", ()))
    assert {*again.betas, *again.header_betas} <= {*first.betas, *first.header_betas}
    assert shape(body, beta, family, refused=(*refused, *refused)) == again


def test_a_schema_is_left_to_who_asks() -> None:
    """A tool can stand in for it, unless there are tools."""
    body = BODY | {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}
    shaped = shape(body, BETA, Family.CLAUDE_4_6, refused=[SCHEMA])
    assert shaped == shape(body, BETA, Family.CLAUDE_4_6)
    assert [tool["name"] for tool in shaped.body["tools"]] == ["Read"]
    assert RefusedFeature.of(*SCHEMA) == SCHEMA


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


def test_drop_goes_no_deeper_than_a_path() -> None:
    """No request of Claude Code's has lists in lists, but anybody's may."""
    deep: list[Any] = []
    for _ in range(2000):
        deep = [deep]
    kept = drop({"messages": [{"content": deep}, {"content": [{"type": "text", "x": 1}]}]}, "messages.content.x")
    assert kept["messages"][0]["content"][0] is deep[0]
    assert kept["messages"][1]["content"] == [{"type": "text"}]
