"""An answer by a tool in place of one that is bound to a schema: asked for, checked, and given as it was asked for."""

import itertools
import json
import threading
import time
from typing import Any

import pytest

from claude_gatewayd.bedrock import structured_output
from tests.support.stage import Reply

SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "year": {"type": "integer"}},
    "required": ["title"],
    "additionalProperties": False,
}
USAGE = {"input_tokens": 3, "output_tokens": 5}


def call(value: object, name: str = "answer") -> dict[str, Any]:
    return {"type": "tool_use", "id": "toolu_1", "name": name, "input": value}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def message(*content: object, stop_reason: str = "tool_use") -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": list(content),
            "stop_reason": stop_reason, "stop_sequence": None, "usage": USAGE}  # fmt: skip


THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}


@pytest.mark.parametrize(
    ("given", "content", "stop_reason"),
    [
        (message(call({"title": "naïve"})), [text('{"title": "naïve"}')], "end_turn"),
        (message(text("Here it is."), call({"title": "a"})), [text('{"title": "a"}')], "end_turn"),
        (message(THOUGHT, call({"title": "a"})), [THOUGHT, text('{"title": "a"}')], "end_turn"),
        (message(text('{"title":"a","year":1}'), stop_reason="end_turn"), [text('{"title":"a","year":1}')], "end_turn"),
        (message(call({}), stop_reason="max_tokens"), [text("{}")], "max_tokens"),
        (message(text("No."), stop_reason="refusal"), [text("No.")], "refusal"),
        (message(stop_reason="refusal"), [], "refusal"),
    ],
)  # fmt: skip
def test_what_fits(given: dict[str, Any], content: list[Any], stop_reason: str) -> None:
    restored = structured_output.as_asked(given, SCHEMA)
    assert restored == given | {"content": content, "stop_reason": stop_reason}


@pytest.mark.parametrize(
    "given",
    [
        message(text("A title: lake"), stop_reason="end_turn"),
        message(call({"year": 1})),
        message(call({"title": "a", "more": 1})),
        message(call({"title": "a"}), call({"title": "b"})),
        message(call({"title": "a"}, name="Bash")),
        message(stop_reason="end_turn"),
        message("no block", stop_reason="end_turn"),
        {"content": None},
    ],
)
def test_what_does_not_fit_is_no_answer(given: dict[str, Any]) -> None:
    assert structured_output.as_asked(given, SCHEMA) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"title": {"$ref": "http://127.0.0.1:9/schema.json"}}},
        {"type": "object", "properties": {"title": {"type": "string", "pattern": "("}}},
    ],
)
def test_what_cannot_be_checked_is_no_answer(schema: dict[str, Any]) -> None:
    assert structured_output.as_asked(message(call({"title": "a"})), schema) is None


@pytest.mark.parametrize(("title", "fits"), [("aaa", True), ("aab", False), ("a" * 60 + "!", False)])
def test_a_pattern_that_takes_ages_holds_nobody_up(title: str, *, fits: bool) -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string", "pattern": "^((a+)+)+$"}}}
    pauses = [time.monotonic()]
    thread = threading.Thread(target=lambda: found.append(structured_output.as_asked(given, schema)))
    found: list[object] = []
    given = message(call({"title": title}))
    thread.start()
    while thread.is_alive() and len(pauses) < 2000:
        thread.join(0.005)
        pauses.append(time.monotonic())
    assert [one is not None for one in found] == [fits]
    assert max((after - before for before, after in itertools.pairwise(pauses)), default=0.0) < 5


def test_a_definition_within_the_schema_is_followed() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"type": "integer"}}}
    assert structured_output.as_asked(message(call({"a": 1})), schema)
    assert not structured_output.as_asked(message(call({"a": "1"})), schema)


def test_a_whole_message_as_a_stream() -> None:
    redacted = {"type": "redacted_thinking", "data": "eA=="}
    restored = message(THOUGHT, redacted, text("{}"), stop_reason="end_turn")
    reply = Reply(200, {"content-type": "text/event-stream"}, structured_output.events(restored))
    names = [name for name, _ in reply.events]
    assert names == [
        "message_start",
        *("content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"),
        *("content_block_start", "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop"),
    ]
    assert all(data["type"] == name for name, data in reply.events)
    assert reply.events[0][1]["message"]["content"] == []
    assert reply.events[-2][1]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert reply.text == "{}"
    assert json.loads(reply.text) == {}
