"""What goes wrong in the middle of Bedrock's answers, and how it is told."""

import http.client
import re
import socket
import time

import pytest

from tests.fakes.anthropic_faults import MESSAGES
from tests.fakes.anthropic_model import Answer, Piece
from tests.fakes.anthropic_steps import Fault
from tests.fakes.bedrock import STREAM
from tests.fakes.bedrock_frames import Part, chunk_piece
from tests.support.stage import MODEL, Reply, Stage, turn

pytestmark = pytest.mark.slow

BEDROCK = f"{MODEL}-bedrock"


def broke_off(reply: Reply, kind: str) -> str:
    """Assert that an answer began, and ended in an error of this type and nothing else; return what it says."""
    assert reply.status == 200
    assert reply.headers["x-gateway-upstream"] == "bedrock"
    names = [name for name, _ in reply.events]
    assert names.count("message_start") == 1
    assert names.count("error") == 1
    assert "message_stop" not in names
    name, data = reply.events[-1]
    assert (name, data["type"], data["error"]["type"]) == ("error", "error", kind)
    for private in (b"arn:", b"123456789012", b"litellm", b"requestid"):
        assert private not in reply.body.lower()
    text: str = data["error"]["message"]
    return text


@pytest.mark.parametrize("after", ["message_start", "content_block_delta", "message_delta"])
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("modelStreamErrorException", "api_error"),
        ("internalServerException", "api_error"),
        ("throttlingException", "rate_limit_error"),
        ("serviceUnavailableException", "overloaded_error"),
        ("modelTimeoutException", "timeout_error"),
        ("validationException", "invalid_request_error"),
    ],
)
def test_an_exception(stage: Stage, kind: str, told: str, after: str) -> None:
    stage.bedrock.exception_next(kind, after=after, private=True)
    broke_off(stage.ask(turn(model=BEDROCK)), told)


@pytest.mark.parametrize("code", ["internalFailure", "badRequest"])
def test_an_error_that_bedrocks_model_does_not_have(stage: Stage, code: str) -> None:
    """LiteLLM makes a 400 without a word of it: the client would take it for a fault of its request."""
    stage.bedrock.unmodeled_error_next(code)
    broke_off(stage.ask(turn(model=BEDROCK)), "api_error")
    stage.bedrock.unmodeled_error_next(code, after="head")
    reply = stage.ask(turn(model=BEDROCK))
    assert (reply.status, reply.json["error"]["type"]) == (502, "api_error")


@pytest.mark.parametrize("after", ["head", "content_block_delta"])
def test_an_exception_that_bedrocks_model_does_not_have(stage: Stage, after: str) -> None:
    """botocore makes a 400 of it, with words: it is no fault of the request all the same."""
    stage.bedrock.exception_next("brandNewException", after=after)
    reply = stage.ask(turn(model=BEDROCK))
    if after == "head":
        assert (reply.status, reply.json["error"]["type"]) == (502, "api_error")
    else:
        broke_off(reply, "api_error")


@pytest.mark.parametrize("kind", ["overloaded_error", "rate_limit_error", "api_error", "timeout_error"])
def test_an_error_of_anthropics_own_within_bedrocks_stream(stage: Stage, kind: str) -> None:
    stage.bedrock.event_error_next(kind, message="so it is")
    assert broke_off(stage.ask(turn(model=BEDROCK)), kind).endswith("so it is")


@pytest.mark.parametrize("part", ["prelude", "length", "payload", "message"])
def test_a_bad_checksum(stage: Stage, part: Part) -> None:
    stage.bedrock.corrupt_next(part, after="content_block_start")
    assert broke_off(stage.ask(turn(model=BEDROCK)), "api_error") == "Bedrock's answer broke off"


@pytest.mark.parametrize("after", ["message_start", "content_block_delta", "message_delta"])
def test_a_truncated_stream(stage: Stage, after: str) -> None:
    stage.bedrock.truncate_next(after)
    assert broke_off(stage.ask(turn(model=BEDROCK)), "api_error") == "Bedrock's answer broke off"


def test_a_stream_that_is_cut_in_its_first_message(stage: Stage) -> None:
    """None of its bytes are shown to anybody."""
    stage.bedrock.truncate_next("head")
    reply = stage.ask(turn(model=BEDROCK))
    assert (reply.status, reply.error) == (502, "Bedrock's answer broke off")


def test_an_end_in_order_that_is_none(stage: Stage) -> None:
    stage.bedrock.end_without_message_stop_next("content_block_delta", path=STREAM)
    assert broke_off(stage.ask(turn(model=BEDROCK)), "api_error") == "Bedrock's answer broke off"


def test_the_same_behind_a_fallback(stage: Stage) -> None:
    """Once Bedrock's answer has begun it is this one or none."""
    stage.anthropic.fail_next(529)
    stage.bedrock.exception_next("throttlingException")
    reply = stage.ask()
    broke_off(reply, "rate_limit_error")
    assert reply.headers["x-gateway-fallback"] == "529"
    assert len(stage.to_anthropic()) == 1
    assert len(stage.to_bedrock()) == 1


@pytest.mark.parametrize("fails", [False, True], ids=["answer", "error"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_bedrocks_own_id_of_a_request(stage: Stage, stream: bool, fails: bool) -> None:
    if fails:
        stage.bedrock.fail_next(503)
    reply = stage.ask(turn(model=BEDROCK, stream=stream))
    assert reply.status == (529 if fails else 200)
    assert re.fullmatch(r"[0-9a-f-]{36}", reply.headers["request-id"])


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
    broke_off(reply, "timeout_error")


def test_a_connection_that_stays_after_the_last_event(stage: Stage) -> None:
    stage.bedrock.stall_next("message_stop", path=STREAM)
    begun = time.monotonic()
    assert stage.ask(turn(model=BEDROCK)).events[-1][0] == "message_stop"
    assert time.monotonic() - begun < 3  # [bedrock] timeout is 4


def test_nothing_is_held_back(stage: Stage) -> None:
    hold = stage.bedrock.hold_next("content_block_delta")
    connection = http.client.HTTPConnection("127.0.0.1", stage.daemon.port, timeout=60)
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
    connection = http.client.HTTPConnection("127.0.0.1", stage.daemon.port, timeout=60)
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


@pytest.mark.parametrize(
    ("model", "thinking", "again"),
    [
        (MODEL, {"type": "adaptive"}, {"type": "adaptive"}),
        ("claude-sonnet-4-5", {"type": "enabled", "budget_tokens": 2048}, None),  # tools run: refused without thinking
    ],
    ids=["adaptive", "budget"],
)
def test_a_signature_that_bedrock_does_not_know(stage: Stage, model: str, thinking: object, again: object) -> None:
    stage.bedrock.foreign_signatures_refused = True
    thought = {"type": "thinking", "thinking": "hm", "signature": "Zm9yZWlnbg=="}
    call = {"type": "tool_use", "id": "toolu_1", "name": "Greet", "input": {}}
    greeted = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "good morning"}
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [thought, call]},
        {"role": "user", "content": [greeted]},
    ]
    tools = [{"name": "Greet", "input_schema": {"type": "object"}}]
    body = turn(model=f"{model}-bedrock", messages=messages, tools=tools, max_tokens=4096, thinking=thinking)
    try:
        reply = stage.ask(body)
    finally:
        stage.bedrock.foreign_signatures_refused = False
    assert reply.status == 200, reply
    assert "good morning" in reply.text
    assert [b'"signature"' in asked.body for asked in stage.to_bedrock()] == [True, False]
    assert [asked.json().get("thinking") for asked in stage.to_bedrock()] == [thinking, again]
    stage.bedrock.refusals.clear()


LINES = 'x\ndata: {}\n\nevent: message_stop\ndata: {"type": "message_stop"}\n\nevent: y'


@pytest.mark.parametrize("kind", [LINES, LINES.replace("\n", "\r"), "a\nb"])
@pytest.mark.parametrize("after", ["head", "content_block_start"])
def test_a_line_feed_in_a_type_makes_no_event(stage: Stage, kind: str, after: str) -> None:
    stage.bedrock._end_stream(chunk_piece({"type": kind, "index": 0}, number=1), after, STREAM, 1)
    reply = stage.ask(turn(model=BEDROCK))
    assert b"event: message_stop" not in reply.body
    if after == "head":
        assert (reply.status, reply.json["error"]["type"]) == (502, "api_error")
    else:
        broke_off(reply, "api_error")


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(
    "body", [b"{}", b"", b"[]", b"null", b"<html>", b'{"type":"message"}', b'{"Output":{}}'], ids=repr
)
def test_an_answer_that_is_no_message_is_no_success(stage: Stage, body: bytes, stream: bool) -> None:
    """Also for who would have been told that Bedrock has stepped in: Anthropic's own answer is better than nothing."""
    answer = Answer(200, ((b"Content-Type", b"application/json"),), (Piece(body),))
    stage.bedrock.next_is(Fault(lambda usual, request_id: answer), path=MESSAGES, times=2)
    reply = stage.ask(turn(model=BEDROCK, stream=stream))
    assert (reply.status, reply.json["error"]["type"]) == (502, "api_error"), reply
    assert "litellm" not in reply.error.lower()
    stage.anthropic.fail_next(529, times=9)
    reply = stage.ask(turn(stream=stream))
    assert reply.status == 529
    assert reply.headers["x-gateway-upstream"] == "anthropic"
    stage.bedrock.clear_faults()
    stage.anthropic.clear_faults()
