"""What reaches Bedrock through LiteLLM is what `bedrock` has made of a turn, byte for byte of its JSON."""

import json

import pytest

from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.bedrock import request as bedrock_request
from claude_gatewayd.bedrock.features import ASKED_BETAS
from tests.fakes import shapes
from tests.fakes.bedrock import model_of
from tests.fakes.shapes import Shape
from tests.support.stage import Stage, turn

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
@pytest.mark.parametrize("sent", TURNS, ids=str)
def test_a_turn(stage: Stage, sent: Shape, model: str) -> None:
    body = sent.json()
    name = model or body["model"]
    body["model"] = f"{name}-bedrock"
    beta = sent.header("anthropic-beta")
    reply = stage.ask(json.dumps(body).encode(), headers={"anthropic-beta": beta} if beta else {})
    (asked,) = stage.to_bedrock()
    target = bedrock_models.find(name, stage.bedrock.region)
    assert target is not None
    assert model_of(asked) == target.model
    made = bedrock_request.shape(body, beta, target.family)
    got = asked.json()
    assert got.pop("anthropic_version") == "bedrock-2023-05-31"
    assert sorted(got.pop("anthropic_beta", [])) == sorted(made.betas)
    assert got == json.loads(json.dumps(made.body))
    if name == "claude-opus-9-9":  # which Bedrock has not heard of either
        assert reply.status == 404
        stage.bedrock.refusals.clear()
    else:
        assert reply.status == 200, reply


def test_the_betas_of_the_newest(stage: Stage) -> None:
    """All that the client's own Bedrock mode asks for arrives, and what display "updates" needs."""
    beta = ",".join(("claude-code-20250219", *ASKED_BETAS))
    thinking = {"type": "adaptive", "display": "updates"}
    reply = stage.ask(turn(model="claude-opus-5-5-bedrock", thinking=thinking), headers={"anthropic-beta": beta})
    assert reply.status == 200, reply
    (asked,) = stage.to_bedrock()
    assert sorted(asked.json()["anthropic_beta"]) == sorted(ASKED_BETAS)
    assert asked.json()["thinking"] == thinking


def test_no_thinking(stage: Stage) -> None:
    """Said to a model that would think by itself."""
    assert stage.ask(turn(model="claude-opus-5-bedrock", thinking={"type": "disabled"})).status == 200
    (asked,) = stage.to_bedrock()
    assert asked.json()["thinking"] == {"type": "disabled"}
