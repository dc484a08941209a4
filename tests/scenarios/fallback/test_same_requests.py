"""Bedrock is asked the same by both transports, for every shape of Claude Code's and a model of each kind."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fakes import shapes
from tests.fakes.shapes import Shape
from tests.scenarios.fallback.conftest import has_learned
from tests.scenarios.fallback.same import Both, same, same_or_no_request
from tests.support.bedrock_bodies import NEW_HEADER, OLD_HEADER, at, bodies, likely, names, places, turn, values
from tests.support.stage import Reply, Stage

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


# -- anything at all --------------------------------------------------------------------------------------------------

# One of each kind of thinking, of effort, of betas.
FUZZED: Final = ("claude-opus-5-5", "claude-opus-4-7", "claude-sonnet-4-6", "claude-sonnet-4-5", "claude-opus-4-1")
asked_for = st.sampled_from(FUZZED).map(lambda name: f"{name}-bedrock")
betas_sent = st.none() | st.sampled_from([NEW_HEADER, OLD_HEADER])
the_same_each_time = settings(
    max_examples=30, deadline=None, database=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip


def with_messages(body: dict[str, Any]) -> dict[str, Any]:
    """Put the rest of a body around messages that are good, so that more than what is wrong with those is seen."""
    return turn() | {name: value for name, value in body.items() if name not in ("messages", "stream", "max_tokens")}


@seed(14)
@the_same_each_time
@given(places, names, values, betas_sent, asked_for)
def test_a_turn_in_which_one_thing_is_another(
    both: Both, place: str, name: str, value: Any, betas: str | None, model: str
) -> None:
    body = turn()
    at(body, place)[name] = value
    with alone(both):
        same(both, lambda stage: ask(stage, body | {"model": model}, betas))


@seed(14)
@the_same_each_time
@given(likely.map(with_messages) | bodies, betas_sent, asked_for)
def test_anything(both: Both, body: dict[str, Any], betas: str | None, model: str) -> None:
    try:
        json.dumps(body, allow_nan=False)
    except ValueError:
        return  # it is no JSON, so it is Anthropic's
    with alone(both):
        same_or_no_request(both, lambda stage: ask(stage, body | {"model": model}, betas))


def ask(stage: Stage, body: dict[str, Any], betas: str | None) -> Reply:
    return stage.ask(json.dumps(body).encode(), headers={"anthropic-beta": betas} if betas else {})


@contextmanager
def alone(both: Both) -> Iterator[None]:
    """Do something that leaves nothing behind, even if it fails: Hypothesis does it once more, and shows only that."""
    try:
        yield
    finally:
        for stage in both:
            stage.forget()
            stage.bedrock.refusals.clear()
    assert not any(map(has_learned, both))  # the next request would go without something
