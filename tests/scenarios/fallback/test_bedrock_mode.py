"""Clients that speak Bedrock's own API: their requests pass through, signed with our keys."""

import json
from collections.abc import Mapping

import pytest

from tests.support.stage import Reply, Stage

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
BODY = json.dumps({
    "anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}],
}).encode()  # fmt: skip


def ask(stage: Stage, path: str, headers: Mapping[str, str] | None = None, *, key: bool = True) -> Reply:
    """Ask as Claude Code does in Bedrock mode: without a signature, with the gateway key."""
    given = {"x-gateway-key": stage.daemon.ctl("key").stdout.strip()} if key else {}
    return stage.ask(BODY, path=f"/bedrock{path}", token="", headers={**given, **(headers or {})})


@pytest.mark.parametrize("operation", ["invoke", "invoke-with-response-stream"])
def test_a_request_passes_through(stage: Stage, operation: str) -> None:
    reply = ask(stage, f"/model/{MODEL}/{operation}", {"anthropic-beta": "claude-code-20250219", "x-amz-date": "never"})
    assert reply.status == 200
    assert reply.headers["x-gateway-upstream"] == "bedrock"
    [received] = stage.bedrock.requests
    assert received.body == BODY
    assert received.header("anthropic-beta") == "claude-code-20250219"
    assert received.header("x-gateway-key") is None
    if operation == "invoke":
        assert reply.json["content"][0]["text"].startswith("Hello")
    else:
        assert reply.headers["content-type"] == "application/vnd.amazon.eventstream"


def test_refused_keys_that_cannot_be_renewed(stage: Stage) -> None:
    stage.bedrock.fail_next(kind="ExpiredTokenException")
    reply = ask(stage, f"/model/{MODEL}/invoke")
    assert (reply.status, reply.headers["x-should-retry"]) == (403, "false")
    assert "does not accept the AWS credentials (ExpiredTokenException)" in reply.json["message"]


def test_bedrocks_own_errors_pass_through(stage: Stage) -> None:
    stage.bedrock.fail_next(kind="ThrottlingException", message="Too many requests")
    reply = ask(stage, f"/model/{MODEL}/invoke")
    assert (reply.status, reply.json) == (429, {"message": "Too many requests"})
    assert reply.headers["x-amzn-errortype"].startswith("ThrottlingException")


def test_the_key_is_needed(stage: Stage) -> None:
    reply = ask(stage, f"/model/{MODEL}/invoke", key=False)
    assert reply.status == 403
    assert "configure-claude --bedrock" in reply.json["message"]
    assert stage.bedrock.requests == []


@pytest.mark.parametrize(
    "path", ["/", "/model/x/converse", "/model/x", "/guardrails", '/inference-profiles/x?y="', "/model/x/invoke/y"]
)
def test_nothing_else_is_served(stage: Stage, path: str) -> None:
    reply = ask(stage, path)
    assert reply.status == 404
    assert stage.bedrock.requests == []
