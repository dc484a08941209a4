"""What is tried after a failure at Bedrock, a failure a row."""

import logging
from typing import Any

import pytest

from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.bedrock.models import Family, Target
from claude_gatewayd.bedrock.refused import SCHEMA, RefusedFeature
from claude_gatewayd.worker.bedrock.correction import BedrockAttempt, Correction, Question, correct

TARGET = Target("claude-opus-4-6", "us.anthropic.claude-opus-4-6-v1", Family.CLAUDE_4_6)
EFFORT = RefusedFeature("effort", "*")
ADAPTIVE = RefusedFeature("thinking", "adaptive")
SIGNED = {"type": "thinking", "thinking": "so", "signature": "abc"}
DOCUMENT: dict[str, Any] = {
    "model": "claude-opus-4-6",
    "max_tokens": 100,
    "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [SIGNED, {"type": "text", "text": "hello"}]},
        {"role": "user", "content": "go on"},
    ],
}
NO_EFFORT = "This model does not support the effort parameter."


def attempt(*known: RefusedFeature, through_litellm: bool = False, **changes: Any) -> BedrockAttempt:
    first = BedrockAttempt.first(Question(DOCUMENT, "", True, False), TARGET, known, through_litellm=through_litellm)
    return first._replace(**changes)


def corrected(
    asked: BedrockAttempt, message: str, status: int = 400, kind: str = "ValidationException"
) -> Correction | None:
    return correct(asked, asked.shaped(), BedrockFailure(kind, status, message))


@pytest.mark.parametrize(
    ("asked", "message", "expected"),
    [
        (attempt(), NO_EFFORT, attempt(refused=(EFFORT,), corrections=1)),
        (attempt(corrections=2), NO_EFFORT, attempt(refused=(EFFORT,), corrections=3)),
        (attempt(corrections=3), NO_EFFORT, None),
        (attempt(EFFORT), NO_EFFORT, None),  # it was not sent
        (attempt(EFFORT, through_litellm=True), NO_EFFORT, attempt(EFFORT)),  # but LiteLLM may have sent it
        (attempt(), "output_config.format: Extra inputs are not permitted",
         attempt(is_bound=False, refused=(SCHEMA,))),
        (attempt(SCHEMA), "output_config.format: Extra inputs are not permitted", None),
        (attempt(), "prompt is too long: 207000 tokens > 200000 maximum", None),
    ],
)  # fmt: skip
def test_a_refusal(asked: BedrockAttempt, message: str, expected: BedrockAttempt | None) -> None:
    found = corrected(asked, message)
    assert (found.attempt if found is not None else None) == expected


def test_a_signature_of_thinking_is_refused_once() -> None:
    asked = attempt()
    found = corrected(asked, "messages.1.content.0: Invalid `signature` in `thinking` block")
    assert found is not None
    assert SIGNED not in found.attempt.question.document["messages"][1]["content"]
    assert SIGNED in DOCUMENT["messages"][1]["content"], "the call still has it, for another model"
    assert corrected(found.attempt, "messages.1.content.0: Invalid `signature` in `thinking` block") is None


@pytest.mark.parametrize("status", [403, 429, 500])
def test_no_feature_is_left_out_for_another_failure(status: int) -> None:
    assert corrected(attempt(), NO_EFFORT, status, "") is None


def test_litellm_that_does_not_answer() -> None:
    found = corrected(attempt(through_litellm=True), "it is gone", 503, "EngineFailed")
    assert found == (attempt(), "LiteLLM does not answer (it is gone): asking Bedrock directly", logging.WARNING)
    assert corrected(attempt(), "it is gone", 503, "EngineFailed") is None


def test_who_is_asked() -> None:
    assert not attempt(EFFORT, through_litellm=True).is_direct
    assert attempt(ADAPTIVE, through_litellm=True).is_direct, "LiteLLM would write thinking as it thinks fit"
    assert attempt().is_direct
