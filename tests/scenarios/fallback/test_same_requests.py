"""Bedrock is asked the same by both transports, for every shape of Claude Code's and a model of each kind."""

import re
from typing import Final

import pytest

from tests.fakes import shapes
from tests.fakes.shapes import Shape
from tests.scenarios.fallback.same import Both, same

pytestmark = pytest.mark.slow

TURNS: Final = [shape for shape in shapes.SHAPES if shape.target.startswith("/v1/messages?")]
MODELS: Final = ("claude-sonnet-4-5", "claude-opus-9-9")  # with a version in its id; unknown, to Bedrock as well
_MODEL: Final = re.compile(rb'"model"\s*:\s*"([^"]+)"')


@pytest.mark.parametrize("model", ["", *MODELS])
@pytest.mark.parametrize("sent", TURNS, ids=str)
def test_a_shape(both: Both, sent: Shape, model: str) -> None:
    body = sent.body.replace(b"\\ud800", b"")  # with it the body is no JSON to us, and so is Anthropic's alone
    body = _MODEL.sub(lambda found: b'"model":"%b-bedrock"' % (model.encode() or found[1]), body, count=1)
    betas = sent.header("anthropic-beta")
    found = same(
        both, lambda stage: stage.ask(body, path=sent.target, headers={"anthropic-beta": betas} if betas else {})
    )
    assert len(found.asked) == 1 or sent is shapes.WEB_SEARCH  # which only Anthropic has
    for stage in both:
        stage.bedrock.refusals.clear()  # of the model that there is not
