"""A request that carries only what is new in a conversation is no request for Bedrock: all of it is asked for."""

import time
from typing import Any

import pytest

from tests.support.stage import MODEL, Reply, Stage, turn

pytestmark = pytest.mark.slow

CONTINUED: dict[str, Any] = {"thread": {"type": "continue", "previous_message_id": "msg_01Invented"}}
RESUMED: dict[str, Any] = {"resumption": {"type": "enabled", "token": "invented"}}


def is_asked_for_all(reply: Reply) -> bool:
    """Say whether an answer is the one that the SDKs and Claude Code send the whole conversation for."""
    error = reply.json["error"]
    assert error["message"]
    said = (reply.status, reply.json["type"], error["type"], error["details"])
    return said == (404, "error", "not_found_error", {"error_code": "thread_not_found"})


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("partial", [CONTINUED, RESUMED, CONTINUED | RESUMED], ids=["thread", "resumption", "both"])
def test_when_anthropic_fails(stage: Stage, partial: dict[str, Any], stream: bool) -> None:
    stage.anthropic.fail_next(529)
    reply = stage.ask(turn(stream=stream, **partial))
    assert is_asked_for_all(reply)
    assert (reply.headers["x-gateway-upstream"], reply.headers["x-gateway-fallback"]) == ("none", "529")
    assert stage.to_bedrock() == []
    assert len(stage.to_anthropic()) == 1


def test_while_the_circuit_is_open(stage: Stage) -> None:
    limit = {
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": str(int(time.time()) + 3600),
    }
    stage.anthropic.fail_next(429, headers=limit)
    assert stage.ask().status == 200
    stage.forget()
    assert is_asked_for_all(stage.ask(turn(**CONTINUED)))
    assert (stage.to_anthropic(), stage.to_bedrock()) == ([], [])
    whole = stage.ask(turn("all of it", thread={"type": "create"}))
    assert (whole.status, whole.headers["x-gateway-upstream"]) == (200, "bedrock")
    assert "all of it" in whole.text


def test_of_a_model_that_is_bedrocks(stage: Stage) -> None:
    assert is_asked_for_all(stage.ask(turn(model=f"{MODEL}-bedrock", **CONTINUED)))
    assert stage.to_bedrock() == []


@pytest.mark.parametrize(
    "whole", [{"thread": {"type": "create"}}, {"thread": None}, {"resumption": {"type": "enabled"}}]
)
def test_what_has_all_of_it_falls_back(stage: Stage, whole: dict[str, Any]) -> None:
    stage.anthropic.fail_next(529)
    assert stage.ask(turn(**whole)).status == 200
    (asked,) = stage.to_bedrock()
    assert not {"thread", "resumption"} & asked.json().keys()


def test_nothing_changes_while_anthropic_answers(stage: Stage) -> None:
    reply = stage.ask(turn(**CONTINUED))
    assert (reply.status, reply.headers["x-gateway-upstream"]) == (200, "anthropic")
    (asked,) = stage.to_anthropic()
    assert asked.json()["thread"] == CONTINUED["thread"]
