"""An answer that is to have a form: bound to a schema where the model can be, by a tool where not, or not at all."""

import json
from typing import Any

import pytest

from tests.fakes import shapes
from tests.support.stage import Stage, turn

pytestmark = pytest.mark.slow

SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}},
    "required": ["title"],
    "additionalProperties": False,
}
CONFIG: dict[str, Any] = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
STRICT: dict[str, Any] = {"tools": [{"name": "Bash", "description": "runs", "input_schema": SCHEMA, "strict": True}]}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(
    ("model", "choice"),
    [
        ("claude-sonnet-4-5", None),
        ("claude-haiku-4-5", None),
        ("claude-opus-4-6", None),
        ("claude-opus-4-1", "tool"),
        ("claude-opus-4-8", "tool"),
        ("claude-opus-5-5", "auto"),
    ],
)
def test_the_answer_has_the_form(stage: Stage, model: str, choice: str | None, stream: bool) -> None:
    stage.anthropic.fail_next(529)
    reply = stage.ask(turn("a title", model=model, stream=stream, **CONFIG))
    assert (reply.status, reply.headers["x-gateway-upstream"]) == (200, "bedrock"), reply
    assert json.loads(reply.text) == {"title": "fake"}
    (asked,) = stage.to_bedrock()
    body = asked.json()
    if choice is None:
        assert body["output_config"] == CONFIG["output_config"]
    else:
        assert body["tool_choice"]["type"] == choice
        assert body["tools"][0]["input_schema"] == SCHEMA
    if stream:
        assert reply.events[0][1]["message"]["model"] == model
        assert reply.events[-1][0] == "message_stop"
    else:
        assert (reply.json["model"], reply.json["stop_reason"]) == (model, "end_turn")


def test_the_title_of_a_session(stage: Stage) -> None:
    stage.anthropic.fail_next(529)
    beta = shapes.TITLE.header("anthropic-beta") or ""
    reply = stage.ask(shapes.TITLE.body, headers={"anthropic-beta": beta})
    assert json.loads(reply.text).keys() == {"title"}
    assert reply.headers["x-gateway-upstream"] == "bedrock"


def test_an_answer_without_the_form_is_none(stage: Stage) -> None:
    stage.anthropic.fail_next(529, message="so it is")
    reply = stage.ask(turn("[[say a title: the lake]]", model="claude-opus-5-5", **CONFIG))
    assert (reply.status, reply.error) == (529, "so it is")
    assert "NotAsAsked" in reply.headers["x-gateway-fallback"]


@pytest.mark.parametrize(
    ("model", "asked_for"),
    [
        ("claude-opus-5-5", STRICT),
        ("claude-opus-4-8", CONFIG | {"tools": [{"name": "Bash", "input_schema": SCHEMA}]}),
        ("claude-opus-4-8", {"tools": [{"type": "computer_toolset_20260801"}]}),
        ("claude-opus-4-8", {"inference_geo": "us"}),
    ],
)
def test_what_bedrock_cannot_answer_as_asked(stage: Stage, model: str, asked_for: dict[str, Any]) -> None:
    stage.anthropic_is_down()
    reply = stage.ask(turn(model=model, **asked_for))
    assert reply.status == 529
    assert reply.headers["x-gateway-fallback"].startswith("none; Bedrock does not serve")
    assert stage.to_bedrock() == []


@pytest.mark.parametrize(
    ("model", "kind", "beta"),
    [
        ("claude-sonnet-4-5", "computer_20250124", "computer-use-2025-01-24"),
        ("claude-opus-5-5", "computer_20251124", "computer-use-2025-11-24"),
        ("claude-opus-4-8", "text_editor_20250728", None),
        ("claude-opus-4-8", "bash_20250124", None),
        ("claude-opus-4-8", "memory_20250818", None),
    ],
)
def test_anthropics_own_tools(stage: Stage, model: str, kind: str, beta: str | None) -> None:
    tool = {"type": kind, "name": kind.rpartition("_")[0]}
    if kind.startswith("computer"):
        tool |= {"display_width_px": 1024, "display_height_px": 768}  # type: ignore[dict-item]
    stage.anthropic.fail_next(529)
    reply = stage.ask(turn(model=model, tools=[tool]))
    assert reply.status == 200, reply
    (asked,) = stage.to_bedrock()
    assert asked.json()["tools"] == [tool]
    assert asked.json().get("anthropic_beta", []) == ([beta] if beta else [])


def test_strict_tools(stage: Stage) -> None:
    stage.anthropic.fail_next(529)
    assert stage.ask(turn(model="claude-opus-4-6", **STRICT)).status == 200
    (asked,) = stage.to_bedrock()
    assert asked.json()["tools"][0]["strict"] is True


def test_what_nobody_knows_is_left_out_and_named(stage: Stage) -> None:
    stage.anthropic.fail_next(529)
    reply = stage.ask(turn(of_next_year={"a": 1}))
    assert (reply.status, reply.headers["x-gateway-fallback"]) == (200, "529; left out: of_next_year")
    assert "of_next_year" in stage.daemon.log
