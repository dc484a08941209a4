"""What reaches Bedrock through LiteLLM is what `bedrock` has made of a turn, byte for byte of its JSON."""

import json

import pytest

from claude_gatewayd import bedrock, catalog
from tests.fakes import shapes
from tests.fakes.bedrock import model_of
from tests.fakes.shapes import Shape
from tests.fallback.stage import Stage

pytestmark = pytest.mark.slow

TURNS = (
    shapes.MAIN, shapes.MAIN_KEY, shapes.AUTO, shapes.TOOL_RESULT, shapes.IMAGE, shapes.TOOL_SEARCH, shapes.SUBAGENT,
    shapes.HAIKU, shapes.OLDER_MODEL, shapes.TITLE, shapes.NOT_STREAMED, shapes.MAIN_197, shapes.TOOL_RESULT_197,
)  # fmt: skip
# One of each family that the fake has, and one that neither LiteLLM nor we have heard of.
MODELS = (
    "", "claude-opus-4-1", "claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-6", "claude-sonnet-4-6",
    "claude-opus-4-7", "claude-opus-4-8", "claude-opus-5-5", "claude-opus-9-9",
)  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_a_turn(stage: Stage, turn: Shape, model: str) -> None:
    body = turn.json()
    name = model or body["model"]
    body["model"] = f"{name}-bedrock"
    beta = turn.header("anthropic-beta")
    reply = stage.ask(json.dumps(body).encode(), headers={"anthropic-beta": beta} if beta else {})
    (asked,) = stage.to_bedrock()
    target = catalog.find(name, stage.bedrock.region)
    assert target is not None
    assert model_of(asked) == target.model
    made = bedrock.shape(body, beta, target.family)
    got = asked.json()
    assert got.pop("anthropic_version") == "bedrock-2023-05-31"
    assert sorted(got.pop("anthropic_beta", [])) == sorted(made.betas)
    assert got == json.loads(json.dumps(made.body))
    if name == "claude-opus-9-9":  # which Bedrock has not heard of either
        assert reply.status == 404
        stage.bedrock.refusals.clear()
    else:
        assert reply.status == 200, reply
