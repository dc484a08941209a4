"""What goes wrong in the middle of Bedrock's answers, and how it is told."""

import http.client
import socket
import time

import pytest

from tests.fallback.stage import MODEL, Stage, turn

pytestmark = pytest.mark.slow

BEDROCK = f"{MODEL}-bedrock"


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("modelStreamErrorException", "api_error"),
        ("internalServerException", "api_error"),
        ("throttlingException", "rate_limit_error"),
        ("serviceUnavailableException", "overloaded_error"),
        ("modelTimeoutException", "timeout_error"),
    ],
)
def test_an_exception(stage: Stage, kind: str, told: str) -> None:
    stage.bedrock.exception_next(kind, private=True)
    reply = stage.ask(turn(model=BEDROCK))
    assert reply.status == 200
    name, data = reply.events[-1]
    assert name == "error"
    assert data["error"]["type"] == told
    assert b"arn:" not in reply.body
    assert b"123456789012" not in reply.body
    assert [name for name, _ in reply.events].count("message_start") == 1


@pytest.mark.parametrize("part", ["message", "prelude"])
def test_a_bad_checksum(stage: Stage, part: str) -> None:
    stage.bedrock.corrupt_next(part, after="content_block_start")  # type: ignore[arg-type]
    reply = stage.ask(turn(model=BEDROCK))
    assert reply.events[-1][0] == "error"
    assert "message_stop" not in [name for name, _ in reply.events]


def test_a_truncated_stream(stage: Stage) -> None:
    stage.bedrock.truncate_next()
    reply = stage.ask(turn(model=BEDROCK))
    assert reply.events[-1][0] == "error"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_connection_that_breaks(stage: Stage, how: str) -> None:
    """Where nothing of the answer has reached us the client is told by a status, else by an event."""
    stage.bedrock.cut_next("mid-event", how)  # type: ignore[arg-type]
    reply = stage.ask(turn(model=BEDROCK))
    told = reply.json if reply.status == 502 else reply.events[-1][1]
    assert told["type"] == "error"
    assert told["error"]["type"] == "api_error"


def test_a_stall(stage: Stage) -> None:
    stage.bedrock.hold_next("message_delta")
    begun = time.monotonic()
    reply = stage.ask(turn(model=BEDROCK))
    assert 3.5 < time.monotonic() - begun < 9  # [bedrock] timeout is 4
    assert reply.events[-1][0] == "error"
    assert reply.events[-1][1]["error"]["type"] in ("timeout_error", "api_error", "overloaded_error")


def test_nothing_is_held_back(stage: Stage) -> None:
    hold = stage.bedrock.hold_next("content_block_delta")
    connection = http.client.HTTPConnection("127.0.0.1", stage.daemon.port, timeout=20)
    try:
        headers = {"authorization": f"Bearer {stage.token}", "content-type": "application/json"}
        connection.request("POST", "/v1/messages", turn(model=BEDROCK), headers)
        answer = connection.getresponse()
        seen = b""
        while b"event: content_block_start" not in seen:
            seen += answer.read1(4096)
        assert seen.startswith(b"event: message_start")
        hold.release()
        assert answer.read().endswith(b'{"type":"message_stop"}\n\n')
    finally:
        connection.close()


def test_a_client_that_goes_ends_bedrocks_stream(stage: Stage) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", stage.daemon.port, timeout=20)
    headers = {"authorization": f"Bearer {stage.token}", "content-type": "application/json"}
    connection.request("POST", "/v1/messages", turn("[[slow 300 0.05]]", model=BEDROCK), headers)
    connection.getresponse().read1(100)
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    stage.bedrock.wait_for_aborts(1)  # 15 s before its end


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("ThrottlingException", 429),
        ("ServiceQuotaExceededException", 429),
        ("ModelNotReadyException", 429),
        ("ServiceUnavailableException", 529),
        ("InternalServerException", 500),
        ("ExpiredTokenException", 403),
        ("AccessDeniedException", 403),
        ("ValidationException", 400),
    ],
)
def test_an_error_before_the_stream(stage: Stage, kind: str, status: int) -> None:
    stage.bedrock.fail_next(kind=kind, private=True)
    reply = stage.ask(turn(model=BEDROCK))
    assert reply.status == status, reply
    assert reply.json["type"] == "error"
    assert reply.headers["x-gateway-upstream"] == "bedrock"
    assert "arn:" not in reply.error
    assert "123456789012" not in reply.error
    if status == 403:
        assert reply.headers["x-should-retry"] == "false"
    stage.bedrock.refusals.clear()


def test_a_signature_that_bedrock_does_not_know(stage: Stage) -> None:
    stage.bedrock.foreign_signatures_refused = True
    thought = {"type": "thinking", "thinking": "hm", "signature": "Zm9yZWlnbg=="}
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "hello"}]},
        {"role": "user", "content": "good morning"},
    ]
    try:
        reply = stage.ask(turn(model=BEDROCK, messages=messages, max_tokens=4096, thinking={"type": "adaptive"}))
    finally:
        stage.bedrock.foreign_signatures_refused = False
    assert reply.status == 200, reply
    assert "good morning" in reply.text
    assert [b'"signature"' in asked.body for asked in stage.to_bedrock()] == [True, False]
    stage.bedrock.refusals.clear()
