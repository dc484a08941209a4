"""Counting tokens: Anthropic's own answer, else Bedrock's, else 501 at once, so that Claude Code estimates."""

import base64
import json
from collections.abc import Iterator
from typing import Final

import pytest

from tests.fakes.bedrock import COUNT, model_of, operation_of
from tests.scenarios.fallback.counts import PATH, count, counted_at_bedrock, estimates, fails
from tests.support.stage import MODEL, Stage
from tests.support.stopwatch import Stopwatch

TOOL: Final = {"name": "Bash", "description": "Run", "input_schema": {"type": "object"}, "defer_loading": True}
PROFILE: Final = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc"


@pytest.fixture(autouse=True)
def clean(stage: Stage) -> Iterator[None]:
    """Forget what Bedrock refused on purpose."""
    yield
    stage.bedrock.refusals.clear()


def test_anthropic_counts(stage: Stage) -> None:
    reply = count(stage)
    assert reply.headers["x-gateway-upstream"] == "anthropic"
    assert reply.json["input_tokens"] > 0
    assert stage.to_bedrock() == []


@pytest.mark.parametrize("status", [429, 500, 529])
def test_bedrock_counts_where_anthropic_fails(stage: Stage, status: int) -> None:
    """At once: with none of the retries that a message is worth."""
    fails(stage, status)
    with Stopwatch() as watch:
        reply = count(stage, tools=[TOOL])
    assert watch.elapsed < 0.9 * watch.pace, watch
    assert counted_at_bedrock(reply)
    assert reply.headers["x-gateway-fallback"] == str(status)
    assert reply.headers["x-gateway-bedrock"] == "direct"
    assert len(stage.anthropic.requests) == 1
    [asked] = stage.to_bedrock()
    assert (operation_of(asked), model_of(asked)) == (COUNT, "anthropic.claude-opus-4-8")
    inner = json.loads(base64.b64decode(asked.json()["input"]["invokeModel"]["body"]))
    assert (inner["max_tokens"], inner["anthropic_version"]) == (1, "bedrock-2023-05-31")
    assert inner["anthropic_beta"] == ["claude-code-20250219"]
    assert "defer_loading" not in inner["tools"][0]
    assert asked.header("anthropic-beta") is None


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-haiku-4-5-20251001", "claude-sonnet-5"])
def test_thinking_and_no_tools(stage: Stage, model: str) -> None:
    fails(stage)
    assert counted_at_bedrock(count(stage, model, thinking={"type": "enabled", "budget_tokens": 9000}, system="Be."))


def test_anthropic_refuses(stage: Stage) -> None:
    """The request, or the credential: that is the client's to know."""
    fails(stage, 401)
    assert count(stage).status == 401
    assert stage.to_bedrock() == []


def test_anthropic_cannot_be_reached(stage: Stage) -> None:
    stage.anthropic.refuse_connections()
    stage.anthropic.close_idle_now()
    try:
        assert counted_at_bedrock(count(stage))
    finally:
        stage.anthropic.accept_connections()


def test_anthropic_is_silent(stage: Stage) -> None:
    """Somebody waits: it gets a first byte's time at most, and never the ten minutes of a message."""
    hold = stage.anthropic.hold_next("head", path=PATH)
    try:
        reply = count(stage)
    finally:
        hold.release()
    assert counted_at_bedrock(reply)
    assert reply.headers["x-gateway-fallback"] == "timeout"


@pytest.mark.parametrize("kind", ["AccessDeniedException", "ValidationException", "ThrottlingException"])
def test_nobody_counts(stage: Stage, kind: str) -> None:
    """And that says nothing about messages."""
    fails(stage)
    stage.bedrock.fail_next(kind=kind, path=COUNT, private=True)
    text = estimates(count(stage))
    assert f"Bedrock answered {kind}: " in text
    assert "arn:" not in text
    assert stage.daemon.status()["bedrock"]["failure"] != f"Bedrock answered {kind}"


def test_what_bedrock_does_not_serve(stage: Stage) -> None:
    fails(stage)
    assert "web_search" in estimates(count(stage, tools=[{"type": "web_search_20250305", "name": "web_search"}]))
    assert stage.to_bedrock() == []


@pytest.mark.parametrize("model", [f"{MODEL}-bedrock", "us.anthropic.claude-opus-4-8", "anthropic.claude-opus-4-8"])
def test_a_model_of_bedrocks(stage: Stage, model: str) -> None:
    assert counted_at_bedrock(count(stage, model))
    assert [model_of(asked) for asked in stage.to_bedrock()] == ["anthropic.claude-opus-4-8"]
    assert stage.anthropic.requests == []


def test_an_application_profile(stage: Stage) -> None:
    assert "application inference profile" in estimates(count(stage, PROFILE))
    assert stage.to_bedrock() == []


def test_who_may_not_spend(stage: Stage) -> None:
    """It costs nothing, but it takes the person's AWS keys."""
    fails(stage)
    reply = count(stage, token=f"{stage.token}-of-nobody")
    assert (reply.status, reply.headers["x-gateway-upstream"]) == (529, "anthropic")
    stage.anthropic.good = set()
    reply = count(stage, f"{MODEL}-bedrock", token=f"{stage.token}-forged")
    assert reply.status in (401, 501)
    assert stage.to_bedrock() == []


def test_a_credential_that_cannot_be_checked_now(stage: Stage) -> None:
    fails(stage)
    assert "credential" in estimates(count(stage, f"{MODEL}-bedrock", token=f"{stage.token}-new"))


def test_keys_that_are_refused(stage: Stage) -> None:
    """With nothing to renew them, somebody has to act; the session goes on with an estimate."""
    fails(stage)
    stage.bedrock.fail_next(kind="ExpiredTokenException", path=COUNT)
    assert "ExpiredTokenException" in estimates(count(stage))


def test_a_large_one(stage: Stage) -> None:
    fails(stage)
    assert counted_at_bedrock(count(stage, system="deep " * 80_000))
