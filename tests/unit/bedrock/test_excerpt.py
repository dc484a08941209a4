"""What is shown of a refusal: its words, whole where they are Bedrock's own, and nothing of the request."""

import pytest

from claude_gatewayd.bedrock import errors, excerpt
from claude_gatewayd.bedrock.errors import BedrockFailure
from tests.support.canary import CANARY

_AGAIN = "please reformat your input and try again."


@pytest.mark.parametrize(
    "text",
    [
        "context_management: Extra inputs are not permitted",
        "Unexpected value(s) `thinking-token-count-2026-05-13` for the `anthropic-beta` header. Please consult",
        "invalid beta flag",
        "messages.1.role: Input should be 'user' or 'assistant'",
        'Unexpected role "system". Allowed roles are "user" or "assistant"',
        "This model does not support the effort parameter.",
        "output_config.effort: Input should be 'low', 'medium' or 'high'",
        "adaptive thinking is not supported on this model",
        '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive"',
        "messages.2.content.0.tool_result.content.0: Input tag 'tool_reference' found using 'type' does not match any "
        "of the expected tags: 'text', 'image'",
        "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000",
        "max_tokens: 128000 > 64000, which is the maximum allowed number of output tokens for claude-opus-4-8",
        "The maximum tokens you requested exceeds the model limit of 8192.",
        "prompt is too long: 207000 tokens > 200000 maximum",
        "messages.3.content.0: Invalid `signature` in `thinking` block",
        f"Malformed input request: #: required key [max_tokens] not found, {_AGAIN}",
        f"Malformed input request: #/tools/0/custom: extraneous key [defer_loading] is not permitted, {_AGAIN}",
        "Invocation of model ID us.anthropic.claude-opus-4-8 with on-demand throughput isn\u2019t supported.",
        "tools.3.custom.eager_input_streaming: Extra inputs are not permitted",
        "Too many requests, please wait before trying again.",
        "The security token included in the request is expired",
        "User: *** is not authorized to perform: bedrock:InvokeModel on resource: ***",
    ],
)
def test_bedrocks_own_words(text: str) -> None:
    assert excerpt.of(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Tool 'my tool' not found in provided tools", "Tool '***' not found in provided tools"),
        ("messages.0: Input tag 'private' found using 'type'", "messages.0: Input tag '***' found using 'type'"),
        ("x: Input should be a valid string [type=string_type, input_value='a prompt', input_type=str]",
         "x: Input should be a valid string ***"),
        ('Malformed input request: {"messages": ["a prompt"]}', "Malformed input request: ***"),
        ("the text \"a prompt that isn't closed", 'the text "***"'),
        ("it isn't `a prompt` but \u201canother\u201d", "it isn't `***` but \u201c***\u201d"),
        ("tools.0.custom.input_schema.properties.private: Extra", "tools.0.custom.input_schema.***: Extra"),
        ("output_config.format.schema.definitions.private: no", "output_config.format.schema.***: no"),
        ("messages: tool_use ids: toolu_01ABCdef9, toolu_02X", "messages: tool_use ids: ***"),
        ("capability_rejected: sk-ant-oat01-abcdef", "capability_rejected: ***"),
        ("x" * 5000, "***"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_is_quoted(text: str, shown: str) -> None:
    assert excerpt.of(text) == shown


def test_a_long_text_ends_at_a_word() -> None:
    shown = excerpt.of("word " * 100)
    assert len(shown) <= 202
    assert shown.endswith("word …")


@pytest.mark.parametrize(
    "text",
    [
        f"messages.0.content: '{CANARY}' is not permitted", f"unexpected `{CANARY}`", f'got "{CANARY}"', CANARY,
        f"{CANARY}: Extra inputs are not permitted", f"[type=x, input_value={CANARY}]", f"({CANARY})", f"a={CANARY}",
        f"arn:aws:bedrock:us-east-1:111122223333:{CANARY}", f"#/messages/{CANARY}: extraneous key [{CANARY}] is not",
    ],
)  # fmt: skip
def test_nothing_of_the_request_is_described(text: str) -> None:
    shown = errors.describe(BedrockFailure("ValidationException", 400, text))
    assert CANARY not in shown
    assert shown.startswith("Bedrock answered ValidationException: ")


def test_a_failure_is_described_by_its_words() -> None:
    failure = BedrockFailure("ValidationException", 400, "invalid beta flag.")
    assert errors.describe(failure) == "Bedrock answered ValidationException: invalid beta flag"
    assert errors.describe(failure._replace(message="")) == "Bedrock answered ValidationException"
    assert errors.describe(BedrockFailure("", 502, "")) == "Bedrock answered 502"
