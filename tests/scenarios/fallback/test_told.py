"""Every answer tells of its way, whatever it is: who gave it, and what was fallen back from."""

import http.client
import json
import socket

import pytest

from tests.support.daemon import wait_until
from tests.support.stage import MODEL, Reply, Stage, turn

pytestmark = pytest.mark.slow

FORCED = f"{MODEL}-bedrock"
CHAT = "/v1/chat/completions"


def chat(model: str) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}).encode()


def told(reply: Reply) -> tuple[str, str]:
    return reply.headers["x-gateway-upstream"], reply.headers["x-gateway-fallback"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("HEAD", "/", {}, b"", 200),
        ("POST", "/v1/messages", {"host": "evil.example"}, turn(), 421),
        ("POST", "/v1/messages", {"origin": "https://evil.example"}, turn(), 403),
        ("POST", CHAT, {}, b"no json", 400),
        ("POST", CHAT, {}, b"{}", 400),
        ("POST", "/v1/messages/count_tokens", {}, turn(model=FORCED, mcp_servers=[{"type": "url"}]), 501),
        ("POST", "/v1/messages", {}, turn(model=FORCED, tools=[{"type": "web_search_20250305", "name": "w"}]), 400),
    ],
)
def test_what_we_answer_ourselves(
    stage: Stage, method: str, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    reply = stage.ask(body, method=method, path=path, headers=headers)
    assert reply.status == status, reply
    assert told(reply)[0] in ("none", "litellm", "bedrock")
    assert told(reply)[1] == "none"
    assert stage.anthropic.requests == []
    assert stage.to_bedrock() == []


def test_nobody_in_particular(stage: Stage) -> None:
    reply = stage.ask(turn(), token="")
    assert (reply.status, told(reply)) == (401, ("none", "none"))


def test_what_is_no_request(stage: Stage) -> None:
    with socket.create_connection(("127.0.0.1", stage.daemon.port), timeout=60) as sock:
        sock.sendall(b"POST /v1/messages HTTP/1.1\r\nhost\r\n\r\n")
        answer = http.client.HTTPResponse(sock)
        answer.begin()
    assert answer.status == 400
    assert answer.getheader("x-gateway-upstream") == answer.getheader("x-gateway-fallback") == "none"


@pytest.mark.parametrize("path", ["/v1/messages", CHAT])
@pytest.mark.parametrize("kind", ["ThrottlingException", "ExpiredTokenException", "ValidationException"])
def test_a_failure_of_bedrocks(stage: Stage, kind: str, path: str) -> None:
    stage.bedrock.fail_next(kind=kind)
    reply = stage.ask(turn(model=FORCED) if path != CHAT else chat(FORCED), path=path)
    assert reply.status >= 400, reply
    assert told(reply) == ("bedrock", "none")
    assert reply.headers["x-gateway-bedrock"] == stage.daemon.status()["bedrock"]["transport"]
    assert reply.headers["x-litellm-model-api-base"] == stage.bedrock.url
    stage.bedrock.refusals.clear()


@pytest.mark.parametrize("path", ["/v1/messages", CHAT])
def test_the_words_of_bedrocks_by_which_the_client_mends_its_request(stage: Stage, path: str) -> None:
    stage.anthropic.fail_next(529, times=2)
    stage.bedrock.fail_next(400, kind="ValidationException", message="Input is too long for requested model.")
    reply = stage.ask(turn() if path != CHAT else chat(MODEL), path=path)
    assert reply.status == 400, reply
    assert "Input is too long" in reply.json["error"]["message"]
    assert told(reply) == ("bedrock", "529; bedrock ValidationException 400")
    assert reply.headers["x-litellm-model-api-base"] == stage.bedrock.url
    stage.bedrock.refusals.clear()


def test_a_refused_request_is_no_failure_of_bedrocks(stage: Stage) -> None:
    """Its words are shown; but Bedrock has answered, and would answer another."""
    stage.bedrock.fail_next(kind="ThrottlingException")
    stage.ask(turn(model=FORCED))
    wait_until(lambda: is_failing(stage))
    for words in ("prompt is too long: 207000 tokens > 200000 maximum", "messages: at least one message is required"):
        stage.bedrock.fail_next(400, kind="ValidationException", message=words)
        assert stage.ask(turn(model=FORCED)).status == 400
        wait_until(lambda words=words: stage.daemon.status()["bedrock"]["failure"].endswith(words))
        assert not is_failing(stage)
    doctor = json.loads(stage.daemon.ctl("doctor", "--json").stdout)["findings"]
    assert [one for one in doctor if one["check"] == "Bedrock" and one["state"] == "fail"] == []
    stage.anthropic_is_down()
    stage.bedrock.fail_next(400, kind="ValidationException", message="prompt is too long: 2 tokens > 1 maximum")
    assert stage.ask(turn()).status == 400
    assert stage.daemon.ctl("health").returncode == 0


def is_failing(stage: Stage) -> bool:
    how = stage.daemon.status()["bedrock"]
    return bool((how["last_failure"] or 0) > (how["last_success"] or 0))


@pytest.mark.parametrize("path", ["/v1/messages", CHAT])
@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_refusal_of_anthropics(stage: Stage, status: int, path: str) -> None:
    stage.anthropic.fail_next(status)
    reply = stage.ask(turn() if path != CHAT else chat(MODEL), path=path)
    assert (reply.status, told(reply)) == (status, ("anthropic", "none"))
    if path == CHAT:
        assert reply.headers["x-litellm-model-api-base"] == stage.anthropic.url
