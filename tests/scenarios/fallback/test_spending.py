"""AWS money is spent only for those whom Anthropic has shown to be real, or who have the gateway's key."""

import json
from typing import Any

import pytest

from tests.support.stage import MODEL, Stage, turn

pytestmark = pytest.mark.slow

FORGED = "sk-ant-oat01-forged"
COUNT = "/v1/messages/count_tokens"


def test_a_forged_token_in_an_outage(stage: Stage) -> None:
    stage.anthropic_is_down()
    for _ in range(3):
        reply = stage.ask(token=FORGED)
        assert reply.status == 529
        assert reply.headers["x-gateway-upstream"] == "anthropic"
        assert "may not spend" in reply.headers["x-gateway-fallback"]
    assert stage.to_bedrock() == []


def test_a_forged_token_that_asks_for_bedrock(stage: Stage) -> None:
    stage.anthropic.good = {stage.token}
    reply = stage.ask(turn(model=f"{MODEL}-bedrock"), token=FORGED)
    assert reply.status == 401
    assert "x-should-retry" in reply.headers
    assert "claude-gatewayctl key" in reply.error
    assert stage.to_bedrock() == []
    (check,) = stage.anthropic.requests
    assert check.path == COUNT  # which costs nothing
    assert check.header("authorization") == f"Bearer {FORGED}"
    # a burst of the same makes no further call
    assert stage.ask(turn(model=f"{MODEL}-bedrock"), token=FORGED).status == 401
    assert len(stage.anthropic.requests) == 1


def test_a_forged_token_that_asks_for_bedrock_in_an_outage(stage: Stage) -> None:
    stage.anthropic.fail_next(529, path=COUNT, times=10)
    reply = stage.ask(turn(model=f"{MODEL}-bedrock"), token=FORGED + "-2")
    assert reply.status == 503
    assert "claude-gatewayctl key" in reply.error
    assert stage.to_bedrock() == []


def test_a_true_token_that_asks_for_bedrock_first(stage: Stage) -> None:
    token = stage.token + "-new"
    reply = stage.ask(turn(model=f"{MODEL}-bedrock"), token=token)
    assert reply.status == 200
    assert reply.headers["x-gateway-upstream"] == "bedrock"
    assert [request.path for request in stage.anthropic.requests] == [COUNT]
    # from now on it is known, whatever becomes of Anthropic
    stage.anthropic_is_down()
    assert stage.ask(token=token).status == 200
    assert [request.path for request in stage.anthropic.requests] == [COUNT, "/v1/messages"]


def test_a_reached_limit_shows_an_account(stage: Stage) -> None:
    """A token that was renewed while the limit is reached would never be known else; nobody is to notice it."""
    token = stage.token + "-renewed"
    stage.anthropic.limit_next()
    reply = stage.ask(token=token)
    assert (reply.status, reply.headers["x-gateway-fallback"]) == (200, "429")
    assert len(stage.to_anthropic()) == len(stage.to_bedrock()) == 1


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [(400, None, "Your credit balance is too low to access the Anthropic API."), (402, "billing_error", "Pay.")],
)
def test_an_account_without_money_is_an_account(stage: Stage, status: int, kind: str | None, message: str) -> None:
    stage.anthropic.fail_next(status, kind=kind, message=message)
    reply = stage.ask(token=stage.token + "-broke")
    assert (reply.status, reply.headers["x-gateway-upstream"]) == (200, "bedrock")


def test_an_error_behind_a_good_head_shows_an_account(stage: Stage) -> None:
    stage.anthropic.first_event_error_next("overloaded_error")
    reply = stage.ask(token=stage.token + "-new")
    assert (reply.status, reply.headers["x-gateway-fallback"]) == (200, "first event overloaded_error")


@pytest.mark.parametrize("status", [429, 500, 529])
def test_other_failures_show_nothing(stage: Stage, status: int) -> None:
    stage.anthropic.fail_next(status, times=10)
    for _ in range(2):
        assert stage.ask(token=f"{FORGED}-{status}").status == status
    assert stage.to_bedrock() == []


@pytest.mark.parametrize("more", [{}, {"fastest_response": True}], ids=["each", "fastest"])
def test_more_models_than_one_are_no_way_round(stage: Stage, more: dict[str, Any]) -> None:
    """LiteLLM would ask all that are named, by commas, and Bedrock's among them by the gateway's own keys."""
    for models in (f"{MODEL},bedrock/us.anthropic.{MODEL}", f"claude-x, bedrock/us.anthropic.{MODEL}"):
        chat = {"model": models, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9, **more}
        reply = stage.ask(json.dumps(chat).encode(), path="/v1/chat/completions", token=f"{FORGED}-many")
        assert (stage.to_bedrock(), reply.status) == ([], 404)


def test_no_setting_of_litellms_router_is_a_way_round(stage: Stage) -> None:
    """It would fall back, by the caller's word, where Anthropic refuses the credential."""
    stage.anthropic.good = {stage.token}
    bedrock = f"bedrock/us.anthropic.{MODEL}"
    chat = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9,
            "router_settings_override": {"fallbacks": [{MODEL: [bedrock]}]}}  # fmt: skip
    reply = stage.ask(json.dumps(chat).encode(), path="/v1/chat/completions", token=f"{FORGED}-override")
    assert (stage.to_bedrock(), reply.status) == ([], 401)


def test_a_page_of_the_edge_shows_nothing(stage: Stage) -> None:
    stage.anthropic.html_next(200)
    assert stage.ask(token=FORGED + "-3").status == 200
    stage.anthropic_is_down()
    assert stage.ask(token=FORGED + "-3").status == 529
    assert stage.to_bedrock() == []


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_a_yes_to_what_asks_for_no_credential_shows_nothing(stage: Stage, method: str) -> None:
    yes = {"content-type": "application/json", "request-id": "req_1"}
    stage.anthropic.answer_next(200, headers=yes, body=b"{}")
    assert stage.ask(b"", method=method, token=f"{FORGED}-{method}").status == 200
    stage.anthropic_is_down()
    assert stage.ask(token=f"{FORGED}-{method}").status == 529
    assert stage.to_bedrock() == []


def test_the_gateway_key(stage: Stage) -> None:
    key = stage.daemon.ctl("key").stdout.strip()
    for headers in ({"x-gateway-key": key}, {"x-litellm-api-key": f"Bearer {key}"}, {"x-api-key": key}):
        stage.forget()
        reply = stage.ask(turn(model=f"{MODEL}-bedrock"), token="", headers=headers)
        assert reply.status == 200, reply
        (asked,) = stage.to_bedrock()
        assert key.encode() not in asked.head + asked.body
        assert stage.anthropic.requests == []


def test_the_gateway_key_is_no_credential_for_anthropic(stage: Stage) -> None:
    key = stage.daemon.ctl("key").stdout.strip()
    reply = stage.ask(token=key)
    assert reply.status == 401
    assert stage.anthropic.requests == []


def test_what_is_kept_is_no_token(stage: Stage) -> None:
    stage.prove()
    state = stage.daemon.home / "s"
    files = [path for path in state.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert path.stat().st_mode & 0o077 == 0
        assert stage.token.encode() not in path.read_bytes()
