"""Models of the person's own, at who speaks OpenAI's format or Anthropic's: on /v1/messages and on OpenAI's routes."""

import json
from typing import Any

import pytest

from tests.fakes.bedrock_frames import EVENT_STREAM, chunk_piece, event_frame
from tests.fakes.upstream import Script, says
from tests.scenarios.fallback.elsewhere import Elsewhere
from tests.scenarios.fallback.frames import (
    DONE,
    END,
    HELLO,
    PING,
    START,
    STOP,
    TEXT,
    WHY,
    event,
    stream,
)
from tests.support.stage import Reply

pytestmark = pytest.mark.slow

MESSAGES, CHAT = "/v1/messages", "/v1/chat/completions"

EVENTS = [json.loads(line[6:]) for line in (START + TEXT).split(b"\n") if line.startswith(b"data: ")]
PART = {"content": {"parts": [{"text": "hello"}], "role": "model"}, "index": 0}
OF_GEMINI = b"data: " + json.dumps({"candidates": [PART]}).encode() + b"\r\n\r\n"
OF_CONVERSE = event_frame("messageStart", b'{"role":"assistant"}') + event_frame(
    "contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"hello"}}'
)


def ask(elsewhere: Elsewhere, path: str, model: str, *, stream: bool = True, **more: Any) -> Reply:
    messages = [{"role": "user", "content": "the prompt"}]
    body = {"model": model, "messages": messages, "max_tokens": 99, "stream": stream, **more}
    return elsewhere.stage.ask(json.dumps(body).encode(), path=path)


def whole(text: str) -> Script:
    """Return what answers with a whole chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "own", "choices": [choice],
              "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}  # fmt: skip
    body = json.dumps(answer).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return says(head + body)


@pytest.mark.parametrize(("model", "passed"), [("own-openai", False), ("own-lenient", True)])
def test_a_field_that_the_persons_model_allows(elsewhere: Elsewhere, model: str, passed: bool) -> None:
    """Any other is left out, and the caller is told so."""
    elsewhere.upstream.will(stream(HELLO, STOP, DONE))
    reply = ask(elsewhere, CHAT, model, top_p=0.5, of_theirs=7, api_base="http://127.0.0.1:9")
    assert reply.status == 200, reply
    sent = json.loads(elsewhere.upstream.request().partition(b"\r\n\r\n")[2])
    assert (sent["top_p"], sent.get("of_theirs")) == (0.5, 7 if passed else None)
    left_out = "api_base" if passed else "of_theirs, api_base"
    assert reply.headers["x-gateway-fallback"] == f"none; left out: {left_out}"


def last_of_chat(reply: Reply) -> Any:
    """Return what the last event of a stream in OpenAI's form says, [DONE] left aside."""
    lines = [line[6:] for line in reply.body.decode().split("\n") if line.startswith("data: ")]
    return json.loads([line for line in lines if line != "[DONE]"][-1])


def reasons(reply: Reply) -> list[str]:
    lines = [line[6:] for line in reply.body.decode().split("\n") if line.startswith("data: {")]
    return [c["finish_reason"] for line in lines for c in json.loads(line).get("choices", ()) if c.get("finish_reason")]


@pytest.mark.parametrize("events", [(HELLO, STOP, DONE), (HELLO, STOP), (HELLO, DONE)], ids=["all", "reason", "mark"])
@pytest.mark.parametrize("path", [MESSAGES, CHAT])
def test_a_server_that_knows_chat_completions_alone(elsewhere: Elsewhere, path: str, events: tuple[bytes, ...]) -> None:
    elsewhere.upstream.will(stream(*events))
    reply = ask(elsewhere, path, "own-openai")
    assert elsewhere.upstream.request().startswith(b"POST /v1/chat/completions ")
    assert reply.status == 200, reply
    if path == MESSAGES:
        assert reply.text == "hello"
        assert reply.events[-1][0] == "message_stop"
    else:
        assert reasons(reply) == ["stop"]
        assert "error" not in last_of_chat(reply)


TOOL = {"name": "Bash", "description": "runs", "input_schema": {"type": "object", "properties": {}}}
TOOL_TURN = [
    {"role": "user", "content": "the prompt"},
    {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                                      {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}]},
]  # fmt: skip


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(
    "thinking",
    [{"type": "enabled", "budget_tokens": 1024}, {"type": "enabled", "budget_tokens": 31_999}, {"type": "adaptive"}],
    ids=["little", "much", "adaptive"],
)
def test_with_thinking_and_tools_as_claude_code_asks(
    elsewhere: Elsewhere, thinking: dict[str, Any], streamed: bool
) -> None:
    elsewhere.upstream.will(stream(HELLO, STOP, DONE) if streamed else whole("hello"))
    more: dict[str, Any] = {"messages": TOOL_TURN, "tools": [TOOL], "thinking": thinking, "max_tokens": 32_000}
    reply = ask(elsewhere, MESSAGES, "own-openai", stream=streamed, **more)
    asked = elsewhere.upstream.request()
    assert asked.startswith(b"POST /v1/chat/completions "), asked[:60]
    assert b'"role":"tool"' in asked
    assert (reply.status, reply.text) == (200, "hello"), reply


def test_the_same_whole(elsewhere: Elsewhere) -> None:
    elsewhere.upstream.will(whole("hello"))
    reply = ask(elsewhere, MESSAGES, "own-openai", stream=False)
    assert reply.status == 200, reply
    assert (reply.text, reply.json["stop_reason"]) == ("hello", "end_turn")


@pytest.mark.parametrize("ends", [True, False], ids=["ends", "breaks"])
@pytest.mark.parametrize(
    ("model", "events"),
    [
        ("own-openai", (HELLO,)),
        ("own-azure", (HELLO,)),
        ("own-anthropic", (START, TEXT)),
        ("own-anthropic", (START, TEXT[:40])),
        ("own-anthropic", (START,)),
        ("own-gemini", (OF_GEMINI,)),
        ("own-invoke", (b"".join(chunk_piece(event, number=0).data for event in EVENTS),)),
        ("own-converse", (OF_CONVERSE,)),
    ],
)
@pytest.mark.parametrize("path", [MESSAGES, CHAT])
def test_a_stream_without_an_end_has_none(
    elsewhere: Elsewhere, path: str, model: str, events: tuple[bytes, ...], ends: bool
) -> None:
    kind = EVENT_STREAM if model in ("own-invoke", "own-converse") else b"text/event-stream"
    elsewhere.upstream.will(stream(*events, ends=ends, kind=kind))
    reply = ask(elsewhere, path, model)
    if reply.status != 200:
        assert reply.status >= 500, reply
        return
    if path == MESSAGES:
        assert reply.events[-1][0] == "error", reply
        assert not {"message_stop", "message_delta"} & {name for name, _ in reply.events}
    else:
        assert "error" in last_of_chat(reply), reply
        assert reasons(reply) == []


@pytest.mark.parametrize("path", [MESSAGES, CHAT])
def test_a_stream_of_geminis(elsewhere: Elsewhere, path: str) -> None:
    last = {**PART, "finishReason": "STOP"}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3, "x": "y" * 500}
    whole = b"data: " + json.dumps({"candidates": [last], "usageMetadata": usage}).encode() + b"\r\n\r\n"
    elsewhere.upstream.will(stream(OF_GEMINI, whole))
    reply = ask(elsewhere, path, "own-gemini")
    assert reply.status == 200, reply
    if path == MESSAGES:
        assert reply.events[-1][0] == "message_stop"
    else:
        assert reasons(reply) == ["stop"]


def test_a_stream_of_anthropics_own_form(elsewhere: Elsewhere) -> None:
    elsewhere.upstream.will(stream(START, PING, TEXT, WHY, END))
    reply = ask(elsewhere, MESSAGES, "own-anthropic")
    assert reply.status == 200, reply
    assert reply.text == "hello"
    assert [name for name, _ in reply.events][-2:] == ["message_delta", "message_stop"]


def test_a_stream_that_begins_with_an_error_is_one(elsewhere: Elsewhere) -> None:
    error = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    elsewhere.upstream.will(stream(error))
    reply = ask(elsewhere, MESSAGES, "own-anthropic")
    assert reply.status in (500, 529), reply
    assert "verloaded" in reply.error


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
def test_an_error_about_the_length_in_words_that_claude_code_acts_on(elsewhere: Elsewhere, streamed: bool) -> None:
    error = {
        "message": "This model's maximum context length is 128000 tokens. However, your messages resulted in 130001 "
        "tokens. Please reduce the length of the messages.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }
    body = json.dumps({"error": error}).encode()
    elsewhere.upstream.will(
        says(b"HTTP/1.1 400 B\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    )
    reply = ask(elsewhere, MESSAGES, "own-openai", stream=streamed)
    assert reply.status == 400, reply
    assert reply.json["error"] == {
        "type": "invalid_request_error", "message": "prompt is too long: 130001 tokens > 128000 maximum",
    }  # fmt: skip
