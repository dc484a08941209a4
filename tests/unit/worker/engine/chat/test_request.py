"""What a request for chat completions by Claude is changed to, and what is not."""

from typing import Any

import pytest

from claude_gatewayd.worker.engine.chat.request import (
    UnsupportedRequest,
    as_json_object,
    continues_without_thinking,
    turns_without_thinking,
    wants_thinking,
    with_thinking,
    without_empty_texts,
)

CALLS = [{"id": "t1", "type": "function", "function": {"name": "get", "arguments": "{}"}}]
USER: dict[str, Any] = {"role": "user", "content": "hi"}
RESULT: dict[str, Any] = {"role": "tool", "tool_call_id": "t1", "content": ""}
CALLING: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": CALLS}
BLOCKS = [{"type": "thinking", "thinking": "hm", "signature": "s"}]
EMPTY = {"type": "text", "text": " "}
TEXT = {"type": "text", "text": "hi"}


@pytest.mark.parametrize(
    ("message", "left"),
    [
        (USER, [USER]),
        ({"role": "assistant", "content": "", "tool_calls": CALLS}, [CALLING]),
        ({"role": "assistant", "content": [EMPTY], "tool_calls": CALLS}, [CALLING]),
        (CALLING, [CALLING]),
        (RESULT, [RESULT]),
        ({"role": "assistant", "content": "\n"}, []),
        ({"role": "user", "content": ""}, []),
        ({"role": "user", "content": [EMPTY, TEXT]}, [{"role": "user", "content": [TEXT]}]),
        ({"role": "user", "content": []}, [{"role": "user", "content": []}]),
        ({"role": "system", "content": ""}, [{"role": "system", "content": ""}]),
        ({"role": "user", "content": 7}, [{"role": "user", "content": 7}]),
    ],
)
def test_empty_texts(message: dict[str, Any], left: list[dict[str, Any]]) -> None:
    assert without_empty_texts([USER, message, USER]) == [USER, *left, USER]


def test_a_json_object() -> None:
    asked = {"response_format": {"type": "json_object"}}
    changed = as_json_object(asked)
    assert changed["tool_choice"]["function"]["name"] == changed["tools"][0]["function"]["name"]
    for other in (
        None,
        {"type": "text"},
        {"type": "json_schema"},
        {"type": "json_object", "response_schema": {"a": 1}},
    ):
        assert as_json_object({"response_format": other, "tools": [1]}) == {}
    for more in ({"tools": [1]}, {"reasoning_effort": "low"}, {"thinking": {"type": "adaptive"}}):
        with pytest.raises(UnsupportedRequest, match="json_schema"):
            as_json_object(asked | more)


@pytest.mark.parametrize(
    ("arguments", "does"),
    [
        ({}, False),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning_effort": "low"}, True),
        ({"thinking": {"type": "disabled"}, "reasoning_effort": "low"}, False),
        ({"thinking": {"type": "enabled", "budget_tokens": 1}}, True),
    ],
)
def test_thinking(arguments: dict[str, Any], does: bool) -> None:
    assert wants_thinking(arguments) is does


def test_the_thinking_of_a_turn_comes_back() -> None:
    messages = [USER, CALLING, RESULT]
    assert turns_without_thinking(messages) == [("t1",)]
    assert continues_without_thinking(messages)
    whole = with_thinking(messages, {("t1",): BLOCKS})
    assert whole == [USER, {**CALLING, "thinking_blocks": BLOCKS}, RESULT]
    assert turns_without_thinking(whole) == []
    assert not continues_without_thinking(whole)
    assert with_thinking(messages, {("t2",): BLOCKS}) == messages
    assert not continues_without_thinking([*messages, USER]), "a turn that is over is no turn to go on with"
    assert turns_without_thinking([{**CALLING, "content": BLOCKS}]) == [], "it stands in the content"
