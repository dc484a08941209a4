"""Another user of this machine is served by Anthropic, with their own credential, and not by the gateway's user."""

import http.client
import json
from collections.abc import Iterator

import pytest

from tests.support.other_user import NOBODY, OtherUser, needs_root
from tests.support.stage import MODEL, PATIENCE, Reply, Stage, turn

pytestmark = [pytest.mark.slow, needs_root]


@pytest.fixture
def other(stage: Stage) -> Iterator[OtherUser]:
    with OtherUser(stage.daemon.port) as user:
        yield user


def _ask(other: OtherUser, body: bytes, headers: dict[str, str], path: str = "/v1/messages") -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", other.port, timeout=PATIENCE)
    try:
        connection.request("POST", path, body, {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def _key(stage: Stage) -> str:
    return stage.daemon.ctl("key").stdout.strip()


def test_no_fallback_though_the_credential_is_known(stage: Stage, other: OtherUser) -> None:
    stage.prove()
    own = {"authorization": f"Bearer {stage.token}", "anthropic-version": "2023-06-01"}
    assert _ask(other, turn(), own).status == 200  # Anthropic serves anybody
    stage.forget()
    stage.anthropic_is_down()
    reply = _ask(other, turn(), own)
    assert reply.status == 529
    assert f"another user of this machine (uid {NOBODY})" in reply.headers["x-gateway-fallback"]
    assert stage.to_bedrock() == []
    assert stage.ask().headers["x-gateway-upstream"] == "bedrock"  # the same credential, from our own user
    assert _ask(other, turn(), {**own, "x-gateway-key": _key(stage)}).headers["x-gateway-upstream"] == "bedrock"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
def test_no_bedrock_by_name(stage: Stage, other: OtherUser, path: str) -> None:
    """On OpenAI's routes, LiteLLM asks for the caller: the connection is then our own, the caller is not."""
    stage.prove()
    own = {"authorization": f"Bearer {stage.token}", "anthropic-version": "2023-06-01"}
    body = turn(model=f"{MODEL}-bedrock", stream=False)
    reply = _ask(other, body, own, path)
    assert reply.status == 403
    assert "another user of this machine" in json.dumps(reply.json)
    assert "claude-gatewayctl setup" in json.dumps(reply.json)
    assert stage.to_bedrock() == []
    assert stage.ask(body, path=path).status == 200
