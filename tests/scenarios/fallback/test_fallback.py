"""When Anthropic cannot, Bedrock answers at once; and what must not go there does not."""

import threading
import time

import pytest

from tests.fakes import shapes
from tests.fakes.anthropic_model import error_answer
from tests.fakes.anthropic_steps import Coding, Fault, Held, Wire
from tests.support.stage import MODEL, Stage, turn
from tests.support.stopwatch import Stopwatch

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 522, 529, 530])
def test_at_once_on(stage: Stage, status: int, stream: bool) -> None:
    stage.anthropic.fail_next(status, headers={"retry-after": "7"})
    with Stopwatch() as watch:
        reply = stage.ask(turn("good morning", stream=stream))
    assert reply.status == 200
    assert reply.headers["x-gateway-upstream"] == "bedrock"
    assert reply.headers["x-gateway-fallback"] == str(status)
    assert reply.headers["x-litellm-model-api-base"] == stage.bedrock.url
    assert "good morning" in reply.text
    (first,) = stage.to_anthropic()
    (asked,) = stage.to_bedrock()
    assert first.answered is not None
    assert asked.at - first.answered < 0.150 * watch.pace, watch


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
    assert len(stage.to_anthropic()) == 1  # the client tries again by itself


def test_what_is_not_eligible_is_waited_for(stage: Stage) -> None:
    """Longer than `first_byte_timeout`, which is two seconds here: nobody else could answer."""
    tools = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}]
    stage.anthropic.delay_next(3.0, "head")
    reply = stage.ask(turn(tools=tools, tool_choice={"type": "tool", "name": "web_search"}))
    assert (reply.status, reply.headers["x-gateway-upstream"]) == (200, "anthropic")
    assert len(stage.to_anthropic()) == 1


MONEY = [
    (400, None, "Your credit balance is too low to access the Anthropic API.", "400 billing"),
    (400, None, "You have reached your specified API usage limits. You will regain access on 2099-01-01 at 00:00 UTC.",
     "400 limit"),
    (400, None, "This organization has been disabled.", "400 billing"),
    (402, "billing_error", "Check your payment details.", "402 billing"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "kind", "message", "fallback"), MONEY)
@pytest.mark.parametrize("coding", ["", "gzip"])
def test_no_money_no_quota(
    stage: Stage, status: int, kind: str | None, message: str, fallback: str, coding: Coding
) -> None:
    stage.anthropic.wire = Wire(compression=coding)
    try:
        stage.anthropic.fail_next(status, kind=kind, message=message)
        reply = stage.ask(headers={"accept-encoding": coding or "identity"})
    finally:
        stage.anthropic.wire = Wire()
    assert (reply.status, reply.headers["x-gateway-upstream"]) == (200, "bedrock")
    assert reply.headers["x-gateway-fallback"] == fallback
    assert len(stage.to_anthropic()) == len(stage.to_bedrock()) == 1


def test_no_money_and_bedrock_fails_too(stage: Stage) -> None:
    """Anthropic's own words are the answer."""
    status, kind, message, fallback = MONEY[0]
    stage.anthropic.fail_next(status, kind=kind, message=message)
    stage.bedrock.fail_next(kind="ThrottlingException")
    reply = stage.ask()
    assert (reply.status, reply.error) == (status, message)
    assert reply.headers["x-gateway-fallback"].startswith(f"{fallback}; bedrock")


@pytest.mark.parametrize("size", [10, 40_000, 1_000_000])
def test_other_words_pass_as_they_came(stage: Stage, size: int) -> None:
    """However long they are."""
    stage.anthropic.fail_next(400, message="x" * size)
    reply = stage.ask()
    assert (reply.status, reply.error, reply.headers["x-gateway-fallback"]) == (400, "x" * size, "none")
    assert stage.to_bedrock() == []


def test_words_that_do_not_come_are_not_waited_for(stage: Stage) -> None:
    hold = stage.anthropic.hold_next("end")
    stage.anthropic.clear_faults()
    stage.anthropic.next_is(
        Fault(lambda usual, request_id: error_answer(400, "half of it", request_id=request_id),
              lambda steps: [*steps[:-1], Held(hold), steps[-1]])
    )  # fmt: skip
    released = threading.Timer(4.0, hold.release)
    released.start()
    begun = time.monotonic()
    reply = stage.ask()
    released.join()
    assert (reply.status, reply.error) == (400, "half of it")
    assert 3.5 < time.monotonic() - begun < 6
    assert stage.to_bedrock() == []


def test_a_429_about_one_request_is_tried_again_first(stage: Stage) -> None:
    stage.anthropic.fail_next(429, message="Extra usage is required for long context requests.")
    reply = stage.ask()
    assert (reply.status, reply.headers["x-gateway-upstream"]) == (200, "anthropic")
    assert reply.headers["x-gateway-fallback"] == "none"
    stage.forget()
    stage.anthropic.fail_next(429, times=2)
    assert stage.ask().headers["x-gateway-fallback"] == "429"
    assert (len(stage.to_anthropic()), len(stage.to_bedrock())) == (2, 1)
    stage.forget()
    stage.anthropic.fail_next(429, headers={"x-should-retry": "false"})
    reply = stage.ask()
    assert reply.headers["x-gateway-upstream"] == "bedrock"
    assert (len(stage.to_anthropic()), len(stage.to_bedrock())) == (1, 1)


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
