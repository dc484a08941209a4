"""The routes in OpenAI's format: LiteLLM speaks it, but the caller's token never enters it, and `policy` decides."""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
import zstandard

from tests.support.stage import MODEL, Reply, Stage, turn

pytestmark = pytest.mark.slow

ROUTES = ["/chat/completions", "/v1/chat/completions"]


def chat(prompt: str = "good morning", *, stream: bool = False, model: str = MODEL, **more: Any) -> bytes:
    messages = [{"role": "user", "content": prompt}]
    return json.dumps({"model": model, "messages": messages, "stream": stream, "max_tokens": 99, **more}).encode()


def said(reply: Reply) -> str:
    """Return the text of an answer, streamed or not."""
    if not reply.headers["content-type"].startswith("text/event-stream"):
        text: str = reply.json["choices"][0]["message"]["content"]
        return text
    lines = [line[6:] for line in reply.body.decode().split("\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    deltas = [json.loads(line)["choices"][0]["delta"] for line in lines[:-1]]
    return "".join(delta.get("content") or "" for delta in deltas)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("path", ROUTES)
def test_anthropic_by_the_callers_own_credential(stage: Stage, path: str, stream: bool) -> None:
    reply = stage.ask(chat(stream=stream), path=path)
    assert reply.status == 200, reply
    assert "good morning" in said(reply)
    assert reply.headers["x-gateway-upstream"] == "anthropic"
    assert reply.headers["x-gateway-fallback"] == "none"
    assert reply.headers["x-litellm-model-api-base"] == stage.anthropic.url
    (asked,) = stage.to_anthropic()
    assert asked.header_values("authorization") == [f"Bearer {stage.token}"]
    assert asked.header("x-api-key") is None
    assert "oauth-2025-04-20" in (asked.header("anthropic-beta") or "")
    assert b"ticket" not in asked.head


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_bedrock_when_anthropic_cannot(stage: Stage, stream: bool) -> None:
    stage.anthropic.fail_next(529)
    reply = stage.ask(chat(stream=stream), path=ROUTES[0])
    assert reply.status == 200, reply
    assert "good morning" in said(reply)
    assert reply.headers["x-gateway-upstream"] == "bedrock"
    assert reply.headers["x-gateway-fallback"] == "529"
    assert reply.headers["x-litellm-model-api-base"] == stage.bedrock.url
    (asked,) = stage.to_bedrock()
    assert stage.token.encode() not in asked.head + asked.body


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_bedrock_by_name(stage: Stage, stream: bool) -> None:
    reply = stage.ask(chat(stream=stream, model=f"{MODEL}-bedrock"), path=ROUTES[1])
    assert reply.status == 200, reply
    assert "good morning" in said(reply)
    assert reply.headers["x-gateway-upstream"] == "bedrock"
    assert stage.anthropic.requests == []


def test_an_api_key(stage: Stage) -> None:
    key = "sk-ant-api03-invented"
    reply = stage.ask(chat(), path=ROUTES[0], token="", headers={"x-api-key": key})
    assert reply.status == 200, reply
    (asked,) = stage.to_anthropic()
    assert asked.header("x-api-key") == key
    assert asked.header("authorization") is None


def test_a_refusal_of_anthropics(stage: Stage) -> None:
    stage.anthropic.fail_next(401)
    reply = stage.ask(chat(), path=ROUTES[0])
    assert reply.status == 401
    assert stage.to_bedrock() == []


@pytest.mark.parametrize("path", ["/model/info", "/ui/", "/openapi.json", "/key/generate", "/config/update", "/health"])
def test_nothing_else_of_litellms(stage: Stage, path: str) -> None:
    """What is no route of ours is Anthropic's business, and so it stays."""
    reply = stage.ask(b"{}", path=path)
    assert reply.headers["x-gateway-upstream"] == "anthropic"
    assert reply.status == 404


def test_an_unknown_model(stage: Stage) -> None:
    reply = stage.ask(chat(model="gpt-of-nobody"), path=ROUTES[0])
    assert reply.status == 404
    assert "gpt-of-nobody" in reply.error


def test_a_caller_decides_nothing_that_policy_decides(stage: Stage) -> None:
    own: dict[str, Any] = {"api_base": "http://127.0.0.1:9", "api_key": "sk-own", "num_retries": 5,
           "mock_response": "mocked", "aws_profile_name": "other", "extra_headers": {"x-own": "1"},
           "of_next_year": 1}  # fmt: skip
    reply = stage.ask(chat(**own), path=ROUTES[0])
    assert reply.status == 200, reply
    assert "good morning" in said(reply)
    (asked,) = stage.to_anthropic()
    assert asked.header("x-own") is None
    assert not own.keys() & asked.json().keys()
    assert reply.headers["x-gateway-fallback"] == f"none; left out: {', '.join(own)}"


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        (404, {"body": chat(model="gpt-of-nobody")}),
        (400, {"body": b"no JSON"}),
        (400, {"body": b"[]"}),
        (401, {"token": ""}),
        (421, {"headers": {"host": "evil.example"}}),
        (403, {"headers": {"origin": "https://evil.example"}}),
        (400, {"body": chat(messages=[])}),  # refused by LiteLLM or Anthropic
        (400, {"body": chat(messages="x")}),
    ],
    ids=lambda value: str(value)[:60],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions?a=b", "/anthropic/v1/responses"])
def test_errors_are_openais(stage: Stage, path: str, status: int, asked: dict[str, Any]) -> None:
    reply = stage.ask(**{"body": chat(), **asked}, path=path)
    assert reply.headers["content-type"] == "application/json"
    error = reply.json["error"]
    assert isinstance(error["message"], str)
    assert error["message"]
    assert {"type", "param", "code"} <= error.keys()
    assert reply.status == status or (reply.status >= 400 and "messages" in str(asked)), reply


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (ROUTES[1], chat(messages=[{"role": "user", "content": 7}])),
        (ROUTES[1], chat(messages=[1])),
        (ROUTES[1], chat(max_tokens="many")),
        (ROUTES[1], chat(response_format="json_object")),
        (ROUTES[1], chat(stream="yes")),  # type: ignore[arg-type]
        (ROUTES[1], chat(tools="x", stream=True)),
        ("/v1/completions", json.dumps({"model": MODEL, "prompt": {"a": 1}}).encode()),
        ("/v1/responses", json.dumps({"model": MODEL, "input": [1]}).encode()),
    ],
    ids=lambda value: str(value)[-60:],
)
def test_wrong_types_are_the_clients_mistake(stage: Stage, path: str, body: bytes) -> None:
    """A 500 would be retried."""
    reply = stage.ask(body, path=path)
    assert (reply.status, stage.to_anthropic()) == (400, []), reply
    assert reply.json["error"]["type"] == "invalid_request_error"
    assert reply.json["error"]["message"]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b"", b"\xff\xfe"], ids=repr)
def test_a_failure_that_is_no_json_is_json_there(stage: Stage, body: bytes, stream: bool) -> None:
    stage.anthropic.fail_next(400, times=1, body=body)
    reply = stage.ask(chat(stream=stream), path=ROUTES[1])
    assert reply.headers["content-type"] == "application/json", reply
    assert reply.status >= 400
    assert reply.json["error"]["message"]


def test_an_api_key_as_a_bearer(stage: Stage) -> None:
    """OpenAI's SDKs can send nothing else; Anthropic takes it in its own header alone."""
    key = "sk-ant-api03-invented-as-a-bearer"
    reply = stage.ask(chat(), path=ROUTES[0], token=key)
    assert reply.status == 200, reply
    (asked,) = stage.to_anthropic()
    assert asked.header("x-api-key") == key
    assert asked.header("authorization") is None
    reply = stage.ask(chat(model=f"{MODEL}-bedrock"), path=ROUTES[0], token="sk-ant-api03-never-seen")
    assert reply.status == 200, reply  # its check at Anthropic is by the same header
    assert stage.anthropic.requests[-1].header("x-api-key") == "sk-ant-api03-never-seen"
    assert stage.anthropic.requests[-1].header("authorization") is None
    reply = stage.ask(turn(), token=key)
    assert stage.to_anthropic()[-1].header("authorization") == f"Bearer {key}", "there it is the caller's business"


CODED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "zstd": zstandard.compress, "br": brotli.compress, "deflate": zlib.compress,
    "identity": bytes,
}  # fmt: skip


@pytest.mark.parametrize("coding", CODED)
def test_a_compressed_body(stage: Stage, coding: str) -> None:
    reply = stage.ask(CODED[coding](chat()), path=ROUTES[1], headers={"content-encoding": coding})
    assert reply.status == 200, reply
    assert "good morning" in said(reply)


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("gzip", gzip.compress(b" " * 65 * 1024 * 1024, 1), 413),
        ("gzip", b"no gzip", 400),
        ("gzip", gzip.compress(chat())[:-20], 400),
        ("gzip, gzip", gzip.compress(gzip.compress(chat())), 415),
        ("compress", b"", 415),
    ],
)
def test_a_compressed_body_that_cannot_be_read(stage: Stage, coding: str, body: bytes, status: int) -> None:
    reply = stage.ask(body, path=ROUTES[1], headers={"content-encoding": coding})
    assert reply.status == status, reply
    assert reply.error
