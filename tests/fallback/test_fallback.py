"""When Anthropic cannot, Bedrock answers at once; and what must not go there does not."""

import json
import time

import pytest

from tests.fakes import shapes
from tests.fallback.stage import MODEL, Stage, turn

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 529])
def test_at_once_on(stage: Stage, status: int, stream: bool) -> None:
    stage.anthropic.fail_next(status, headers={"retry-after": "7"})
    reply = stage.ask(turn("good morning", stream=stream))
    assert reply.status == 200
    assert reply.headers["x-gateway-upstream"] == "bedrock"
    assert reply.headers["x-gateway-fallback"] == str(status)
    assert reply.headers["x-litellm-model-api-base"] == stage.bedrock.url
    assert "good morning" in reply.text
    (first,) = stage.to_anthropic()
    (asked,) = stage.to_bedrock()
    assert first.answered is not None
    assert asked.at - first.answered < 0.150


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_passed_on(stage: Stage, status: int) -> None:
    stage.anthropic.fail_next(status, message="so it is")
    reply = stage.ask()
    assert reply.status == status
    assert reply.error == "so it is"
    assert reply.headers["x-gateway-upstream"] == "anthropic"
    assert reply.headers["x-gateway-fallback"] == "none"
    assert stage.to_bedrock() == []
    assert len(stage.to_anthropic()) == 1


def test_a_connection_refused(stage: Stage) -> None:
    stage.anthropic.refuse_connections()
    stage.anthropic.close_idle_now()
    try:
        begun = time.monotonic()
        reply = stage.ask()
    finally:
        stage.anthropic.accept_connections()
    assert reply.status == 200
    assert reply.headers["x-gateway-fallback"] == "connection"
    (asked,) = stage.to_bedrock()
    assert asked.at - begun < 0.5


def test_no_first_byte_in_time(stage: Stage) -> None:
    stage.anthropic.hold_next("head")
    reply = stage.ask()
    assert reply.status == 200
    assert reply.headers["x-gateway-fallback"] == "timeout"


def test_as_anthropic_would_have_told_it(stage: Stage) -> None:
    stage.anthropic.fail_next(529)
    reply = stage.ask(turn("good morning", model=f"{MODEL}[1m]"))
    names = [name for name, _ in reply.events if name != "ping"]
    assert names[:2] == ["message_start", "content_block_start"]
    assert names[-2:] == ["message_delta", "message_stop"]
    assert reply.events[0][1]["message"]["model"] == f"{MODEL}[1m]"
    assert b"amazon" not in reply.body
    assert b"litellm" not in reply.body.lower()


def test_auto_mode(stage: Stage) -> None:
    """What only Anthropic can judge by is left out: without its verdict Claude Code asks a model of its own."""
    stage.anthropic.fail_next(529)
    beta = shapes.AUTO.header("anthropic-beta")
    reply = stage.ask(shapes.AUTO.body, headers={"anthropic-beta": beta or ""})
    assert (reply.status, reply.headers["x-gateway-upstream"]) == (200, "bedrock"), reply
    (asked,) = stage.to_bedrock()
    assert "safeguards" not in asked.json()


def test_what_is_not_eligible(stage: Stage) -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}]
    stage.anthropic_is_down()
    reply = stage.ask(turn(tools=tools, tool_choice={"type": "tool", "name": "web_search"}))
    assert reply.status == 529
    assert reply.headers["x-gateway-fallback"].startswith("none; Bedrock does not serve the server tool web_search")
    assert stage.to_bedrock() == []
    assert len(stage.to_anthropic()) == 2  # with nowhere to fall to it is tried again


def test_both_fail(stage: Stage) -> None:
    stage.anthropic.fail_next(529, headers={"retry-after": "7"}, message="so it is")
    stage.bedrock.fail_next(kind="ThrottlingException")
    reply = stage.ask()
    assert reply.status == 529
    assert reply.headers["retry-after"] == "7"
    assert reply.headers["request-id"]
    assert reply.headers["x-gateway-upstream"] == "anthropic"
    assert reply.headers["x-gateway-fallback"].startswith("529; bedrock")
    assert reply.error.startswith("so it is")


def test_both_fail_for_want_of_credentials(stage: Stage) -> None:
    stage.anthropic.fail_next(529, message="so it is")
    stage.bedrock.expire_key()
    reply = stage.ask()
    assert reply.status == 529
    assert reply.error.startswith("so it is")
    assert "AWS" in reply.error
    stage.bedrock.refusals.clear()  # the key was meant to be refused


def test_a_refusal_that_the_client_mends_goes_word_for_word(stage: Stage) -> None:
    stage.anthropic.fail_next(529)
    stage.bedrock.fail_next(kind="ValidationException", message="Input is too long.")
    reply = stage.ask()
    assert (reply.status, reply.error) == (400, "Input is too long.")
    assert reply.headers["x-gateway-upstream"] == "bedrock"


def test_what_counts_tokens_never_falls_back(stage: Stage) -> None:
    stage.anthropic.fail_next(529, path="/v1/messages/count_tokens", times=2)
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "foo"}]}).encode()
    assert stage.ask(body, path="/v1/messages/count_tokens?beta=true").status == 529
    assert stage.to_bedrock() == []
