"""Chat completions by Claude: tools over two turns, thinking, empty texts, JSON; as clients of OpenAI's send them."""

import json
from typing import Any

import pytest

from tests.support.stage import Reply, Stage

pytestmark = pytest.mark.slow

CHAT = "/v1/chat/completions"
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get",
            "description": "Get it.",
            "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
        },
    }
]
PROMPT = {"role": "user", "content": '[[think]] [[tool get {"a": "b"}]]'}
BOTH = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


def ask(
    stage: Stage, messages: list[dict[str, Any]], *, stream: bool = False, model: str = "claude-opus-4-8", **more: Any
) -> Reply:
    body = {"model": model, "messages": messages, "max_tokens": 9000, "stream": stream, **more}
    return stage.ask(json.dumps(body).encode(), path=CHAT)


def calls_of(reply: Reply) -> list[dict[str, Any]]:
    """Return the tool calls of an answer as a client puts them together, and sends them back."""
    assert reply.status == 200, reply
    if not reply.headers["content-type"].startswith("text/event-stream"):
        calls: list[dict[str, Any]] = reply.json["choices"][0]["message"]["tool_calls"]
        return [{"id": c["id"], "type": "function", "function": c["function"]} for c in calls]
    lines = [json.loads(line[6:]) for line in reply.body.decode().split("\n") if line.startswith("data: {")]
    deltas = [call for line in lines for call in line["choices"][0]["delta"].get("tool_calls") or ()]
    name = next(d["function"]["name"] for d in deltas if d["function"].get("name"))
    arguments = "".join(d["function"].get("arguments") or "" for d in deltas)
    return [{"id": next(d["id"] for d in deltas if d.get("id")), "type": "function",
             "function": {"name": name, "arguments": arguments}}]  # fmt: skip


def second_turn(stage: Stage, content: Any, *, stream: bool, **more: Any) -> list[dict[str, Any]]:
    """Let a tool be called, and give its result. Return the assistant's content as Anthropic was sent it then."""
    calls = calls_of(ask(stage, [PROMPT], stream=stream, tools=TOOLS, **more))
    turn = {"role": "assistant", "content": content, "tool_calls": calls}
    result = {"role": "tool", "tool_call_id": calls[0]["id"], "content": "42"}
    reply = ask(stage, [PROMPT, turn, result], stream=stream, tools=TOOLS, **more)
    assert reply.status == 200, reply
    sent = stage.to_anthropic()[-1].json()
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "user"]
    found: list[dict[str, Any]] = sent["messages"][1]["content"]
    return found


@BOTH
@pytest.mark.parametrize("content", ["", None, " \n", [], [{"type": "text", "text": ""}]])
def test_nothing_is_invented_where_a_turn_says_nothing_but_calls_a_tool(
    stage: Stage, content: Any, stream: bool
) -> None:
    (block,) = second_turn(stage, content, stream=stream)
    assert (block["type"], block["input"]) == ("tool_use", {"a": "b"})


@BOTH
@pytest.mark.parametrize("model", ["claude-opus-4-8", "claude-sonnet-4-5"])
def test_thinking_survives_the_call_of_a_tool(stage: Stage, model: str, stream: bool) -> None:
    first, last = second_turn(stage, "", stream=stream, model=model, reasoning_effort="high")
    assert first["type"] == "thinking"
    assert first["thinking"] == "Let me think about it."
    assert first["signature"]
    assert last["type"] == "tool_use"
    assert stage.to_anthropic()[-1].json()["thinking"]["type"] in ("adaptive", "enabled")


def test_thinking_is_the_callers_alone(stage: Stage) -> None:
    """Another caller who names the same tools gets none of it, and no refusal: its turn goes on without thinking."""
    model, effort = "claude-sonnet-4-5", "high"
    calls = calls_of(ask(stage, [PROMPT], tools=TOOLS, model=model, reasoning_effort=effort))
    other = Stage(stage.anthropic, stage.bedrock, stage.daemon)
    turn = {"role": "assistant", "content": "", "tool_calls": calls}
    result = {"role": "tool", "tool_call_id": calls[0]["id"], "content": "42"}
    assert ask(other, [PROMPT, turn, result], tools=TOOLS, model=model, reasoning_effort=effort).status == 200
    sent = stage.to_anthropic()[-1].json()
    assert [block["type"] for block in sent["messages"][1]["content"]] == ["tool_use"]
    assert "thinking" not in sent


def test_what_a_client_sends_back_itself_goes_before(stage: Stage) -> None:
    calls = calls_of(ask(stage, [PROMPT], tools=TOOLS, reasoning_effort="high"))
    block = {"type": "thinking", "thinking": "mine", "signature": "bWluZQ=="}
    turn = {"role": "assistant", "content": None, "tool_calls": calls, "thinking_blocks": [block]}
    result = {"role": "tool", "tool_call_id": calls[0]["id"], "content": "42"}
    ask(stage, [PROMPT, turn, result], tools=TOOLS, reasoning_effort="high")
    assert stage.to_anthropic()[-1].json()["messages"][1]["content"][0]["thinking"] == "mine"


@BOTH
def test_a_json_object(stage: Stage, stream: bool) -> None:
    prompt = {"role": "user", "content": '[[tool json_tool_call {"city": "Rome"}]] as JSON'}
    reply = ask(stage, [prompt], stream=stream, response_format={"type": "json_object"})
    assert reply.status == 200, reply
    sent = stage.to_anthropic()[-1].json()
    assert sent["tool_choice"]["name"] == sent["tools"][0]["name"] == "json_tool_call"
    if stream:
        lines = [json.loads(line[6:]) for line in reply.body.decode().split("\n") if line.startswith("data: {")]
        text = "".join(line["choices"][0]["delta"].get("content") or "" for line in lines)
        (finish,) = [c["finish_reason"] for line in lines for c in line["choices"] if c.get("finish_reason")]
    else:
        text = reply.json["choices"][0]["message"]["content"]
        finish = reply.json["choices"][0]["finish_reason"]
        assert not reply.json["choices"][0]["message"].get("tool_calls")
    assert json.loads(text[text.index("{") :]) == {"city": "Rome"}
    assert finish == "stop"


@pytest.mark.parametrize("more", [{"tools": TOOLS}, {"reasoning_effort": "high"}])
def test_a_json_object_that_cannot_be(stage: Stage, more: dict[str, Any]) -> None:
    reply = ask(stage, [PROMPT], response_format={"type": "json_object"}, **more)
    assert reply.status == 400, reply
    assert "json_schema" in reply.json["error"]["message"]
    assert stage.to_anthropic() == []


def test_a_schema_goes_on(stage: Stage) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    asked = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    reply = ask(stage, [PROMPT], response_format=asked)
    assert reply.status == 200, reply
    sent = stage.to_anthropic()[-1].json()
    assert sent.keys() & {"output_config", "output_format", "tools"}


@pytest.mark.parametrize("after", ["content_block_delta", "message_start"])
def test_a_stream_without_an_end_is_no_stop(stage: Stage, after: str) -> None:
    stage.anthropic.end_without_message_stop_next(after)
    reply = ask(stage, [{"role": "user", "content": "hi"}], stream=True)
    lines = [json.loads(line[6:]) for line in reply.body.decode().split("\n") if line.startswith("data: {")]
    assert "error" in (lines[-1] if lines else reply.json), reply
    assert not [c for line in lines for c in line.get("choices", ()) if c.get("finish_reason")]
