"""Requests in Bedrock's own API pass through, signed with our keys; what is refused says so as AWS does."""

import gzip
import http.client
import json
import socket
from urllib.parse import quote

import pytest

from tests.scenarios.bedrock_mode.conftest import INVOKE, MODEL, STREAM, ModeScene, invocation
from tests.support.daemon import wait_until
from tests.support.other_user import NOBODY, OtherUser, needs_root

AGENT = "claude-cli/2.1.332"
PROFILE = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc"


@pytest.mark.parametrize("path", [INVOKE, STREAM])
def test_a_request_passes_through(scene: ModeScene, path: str) -> None:
    given = {
        "anthropic-beta": "claude-code-20250219",
        "X-Amz-Date": "never",
        "X-Amz-Security-Token": "of-the-client",
        "authorization": "AWS4-HMAC-SHA256 Credential=of-the-client",
        "x-api-key": "of-the-client",
        "x-claude-code-session-id": "abc",
        "X-Amzn-Bedrock-GuardrailIdentifier": "none",
    }
    reply = scene.ask(path, headers=given)
    assert (reply.status, reply.headers["x-gateway-upstream"]) == (200, "bedrock")
    assert reply.headers["x-amzn-requestid"]
    [received] = scene.bedrock.requests
    assert received.body == invocation()
    assert received.header("anthropic-beta") == "claude-code-20250219"
    assert received.header("x-claude-code-session-id") == "abc"
    assert received.header("x-amzn-bedrock-guardrailidentifier") == "none"
    assert received.header("x-gateway-key") is None
    assert b"of-the-client" not in received.head
    if path == INVOKE:
        assert reply.json["content"][0]["text"].startswith("Hello")
    else:
        assert reply.headers["content-type"] == "application/vnd.amazon.eventstream"
        assert b"message_stop" not in reply.body  # in base64


@pytest.mark.parametrize("sent", [PROFILE, quote(PROFILE, safe=""), quote(PROFILE, safe=":/")])
def test_an_arn_in_any_spelling(scene: ModeScene, sent: str) -> None:
    scene.bedrock.add_profile(PROFILE, "anthropic.claude-opus-5-5")
    assert scene.ask(f"/model/{sent}/invoke").status == 200
    [received] = scene.bedrock.requests
    assert received.path == f"/model/{quote(PROFILE, safe='')}/invoke"


def test_the_key_as_a_bearer_token(scene: ModeScene) -> None:
    """As AWS_BEARER_TOKEN_BEDROCK sends it."""
    assert scene.ask(key=False, headers={"authorization": f"Bearer {scene.key}"}).status == 200


def test_a_model_that_answers_is_one_that_can_be_used(scene: ModeScene) -> None:
    """Its id is Bedrock's; `models` has the names by which Anthropic's API asks for the same model."""
    model = "us.anthropic.claude-opus-4-5-20251101-v1:0"

    def access() -> list[str]:
        report = json.loads(scene.daemon.ctl("models", "--json").stdout)
        return [one["access"] for one in report["models"] if one["model"] == model]

    assert access() == ["unknown"]
    assert scene.ask(f"/model/{quote(model, safe='')}/invoke").status == 200
    assert access() == ["yes"]


def test_counting(scene: ModeScene) -> None:
    scene.bedrock.fail_next(kind="AccessDeniedException", path="count-tokens")
    assert scene.ask("/model/anthropic.claude-opus-5-5/count-tokens", b"{}").status == 403
    assert "AccessDenied" not in scene.failure  # it has a permission of its own


@pytest.mark.parametrize(
    "path", ["/inference-profiles?type=SYSTEM_DEFINED&maxResults=100", f"/inference-profiles/{MODEL}"]
)
def test_the_control_plane(scene: ModeScene, path: str) -> None:
    reply = scene.ask(path, method="GET", headers={"user-agent": AGENT})
    assert reply.status == 200
    assert MODEL in reply.body.decode()
    [received] = [one for one in scene.control.requests if one.header("user-agent") == AGENT]
    assert received.target == path.replace(":", "%3A")
    assert received.body == b""
    assert received.header("content-length") is None
    assert not scene.failure
    assert scene.bedrock.requests == []


@pytest.mark.parametrize(
    ("query", "sent"),
    [("?nextToken=a/b+c==", "?nextToken=a%2Fb%2Bc%3D%3D"), ("?a=%3d%c3%a9&&b", "?a=%3D%C3%A9&b="), ("?", "")],
)
def test_a_query_in_any_spelling_is_signed_as_aws_reads_it(scene: ModeScene, query: str, sent: str) -> None:
    """Else AWS refuses the signature, and our keys would be taken for revoked."""
    reply = scene.ask(f"/inference-profiles{query}", method="GET", headers={"user-agent": AGENT})
    assert reply.status != 403, reply
    [received] = [one for one in scene.control.requests if one.header("user-agent") == AGENT]
    assert received.target == f"/inference-profiles{sent}"
    scene.control.refusals.clear()


def test_bedrocks_own_errors_pass_through(scene: ModeScene) -> None:
    scene.bedrock.fail_next(kind="ThrottlingException", message="Too many requests")
    reply = scene.ask()
    assert (reply.status, reply.json) == (429, {"message": "Too many requests"})
    assert reply.headers["x-amzn-errortype"].startswith("ThrottlingException")
    wait_until(lambda: "Throttling" in scene.failure)


def test_no_permission(scene: ModeScene) -> None:
    """Other keys would not help."""
    scene.bedrock.deny_key()
    reply = scene.ask()
    assert reply.status == 403
    assert "is not authorized to perform" in reply.json["Message"]
    assert len(scene.bedrock.requests) == 1
    wait_until(lambda: "AccessDenied" in scene.failure)


def test_a_request_that_is_wrong_says_nothing_about_bedrock(scene: ModeScene) -> None:
    assert scene.ask().status == 200
    before = scene.failure
    assert scene.ask(body=b"{}").status == 400
    assert scene.failure == before


def refused(reply: object, status: int) -> str:
    """Return what we say, in AWS's form, and so that Claude Code does not repeat it for minutes."""
    assert getattr(reply, "status", 0) == status, reply
    headers = reply.headers  # type: ignore[attr-defined]
    assert headers["x-should-retry"] == "false"
    assert ("retry-after" in headers) == (status == 403)
    assert headers["x-amzn-errortype"].endswith("Exception")
    message: str = reply.json["message"]  # type: ignore[attr-defined]
    return message


def test_keys_that_cannot_be_renewed(scene: ModeScene) -> None:
    scene.bedrock.expire_key()
    assert "does not accept the AWS credentials (ExpiredTokenException)" in refused(scene.ask(), 403)
    scene.bedrock.revive_key()
    assert scene.ask().status == 200


@pytest.mark.parametrize("path", [INVOKE, "/inference-profiles"])
def test_the_key_is_needed(scene: ModeScene, path: str) -> None:
    for headers in ({}, {"x-gateway-key": "cgw-wrong"}, {"authorization": "Bearer sk-ant-oat01-invented"}):
        method = "POST" if path == INVOKE else "GET"
        reply = scene.ask(path, method=method, key=False, headers=headers)
        assert "configure-claude --bedrock" in refused(reply, 403)
    assert scene.bedrock.requests == []


@pytest.mark.parametrize(("path", "status"), [(INVOKE, b"403"), ("/guardrails", b"404")])
def test_no_memory_is_spent_on_who_is_refused(scene: ModeScene, path: str, status: bytes) -> None:
    """Anybody on the machine could else fill what there is for bodies."""
    with socket.create_connection(("127.0.0.1", scene.daemon.port), timeout=60) as sock:
        head = f"POST /bedrock{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9000000\r\n"
        sock.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert sock.recv(100).split()[1] == status


@pytest.mark.parametrize(
    "path",
    [
        "/",
        f"/model/{MODEL}/converse",
        f"/model/{MODEL}",
        "/guardrails",
        '/inference-profiles/x?y="',
        f"/model/{MODEL}/invoke/y",
        f"/model/{'a' * 3000}/invoke",
        "/model/../invoke",
        "/model/%2e/invoke-with-response-stream",
        "/inference-profiles/%2e.",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_else_is_served(scene: ModeScene, path: str, method: str) -> None:
    refused(scene.ask(path, method=method), 404)
    assert scene.bedrock.requests == []


def test_head(scene: ModeScene) -> None:
    reply = scene.ask(INVOKE, method="HEAD")
    assert (reply.status, reply.body) == (404, b"")


@pytest.mark.parametrize(
    ("headers", "status"), [({"host": "evil.example"}, 421), ({"origin": "https://evil.example"}, 403)]
)
def test_web_pages(scene: ModeScene, headers: dict[str, str], status: int) -> None:
    refused(scene.ask(headers=headers), status)
    assert scene.bedrock.requests == []


def test_a_body_in_chunks_after_a_pause(scene: ModeScene) -> None:
    with socket.create_connection(("127.0.0.1", scene.daemon.port), timeout=60) as sock:
        head = f"POST /bedrock{INVOKE} HTTP/1.1\r\nHost: 127.0.0.1\r\nx-gateway-key: {scene.key}\r\n"
        head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
        sock.sendall(head.encode())
        assert sock.recv(100).startswith(b"HTTP/1.1 100")
        body = invocation()
        for piece in (body[:9], body[9:]):
            sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        sock.sendall(b"0\r\n\r\n")
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert answer.status == 200
    [received] = scene.bedrock.requests
    assert received.body == invocation()
    assert received.header("content-length") == str(len(invocation()))
    assert received.header("expect") is None


def test_http_10(scene: ModeScene) -> None:
    with socket.create_connection(("127.0.0.1", scene.daemon.port), timeout=60) as sock:
        body = invocation()
        head = f"POST /bedrock{STREAM} HTTP/1.0\r\nx-gateway-key: {scene.key}\r\nContent-Type: application/json\r\n"
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        data = b""
        while piece := sock.recv(65536):
            data += piece
    headers, _, payload = data.partition(b"\r\n\r\n")
    assert headers.startswith(b"HTTP/1.1 200")
    assert b"chunked" not in headers.lower()
    assert int.from_bytes(payload[:4], "big") <= len(payload)  # the first frame, whole


def test_a_compressed_body_is_bedrocks_to_judge(scene: ModeScene) -> None:
    body = gzip.compress(invocation())
    scene.ask(body=body, headers={"content-encoding": "gzip"})
    [received] = scene.bedrock.requests
    assert (received.body, received.header("content-encoding")) == (body, "gzip")


def test_a_large_body(scene: ModeScene) -> None:
    body = invocation("deep " * 1_500_000, system=[{"type": "text", "text": "é"}])
    scene.ask(body=body)
    [received] = scene.bedrock.requests
    assert received.body == body


@needs_root
def test_another_user_needs_the_key_too(scene: ModeScene) -> None:
    with OtherUser(scene.daemon.port) as other:
        for key, status in ((None, 403), (scene.key, 200)):
            connection = http.client.HTTPConnection("127.0.0.1", other.port, timeout=60)
            headers = {"content-type": "application/json"} | ({"x-gateway-key": key} if key else {})
            connection.request("POST", f"/bedrock{INVOKE}", invocation(), headers)
            assert connection.getresponse().status == status, NOBODY
            connection.close()
    assert len(scene.bedrock.requests) == 1


def test_what_is_counted(scene: ModeScene) -> None:
    before = scene.daemon.status()
    assert scene.ask(STREAM).status == 200
    wanted = before["requests"].get("200", 0) + 1
    wait_until(lambda: scene.daemon.status()["requests"].get("200", 0) >= wanted)
    after = scene.daemon.status()
    assert after["bedrock"]["last_success"] > (before["bedrock"]["last_success"] or 0)
    assert after["fallbacks"] == before["fallbacks"] == 0
    assert after["anthropic"]["state"] == "unknown"
    assert json.loads(scene.daemon.ctl("health", "--json").stdout)["healthy"] is True
