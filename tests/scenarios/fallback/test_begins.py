"""What Anthropic's stream begins with, in every coding: an error falls back, anything else passes as it came."""

import http.client
import json
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import brotli
import pytest
import zstandard

from tests.fakes.anthropic_model import Answer, error_envelope, sse_event
from tests.fakes.anthropic_steps import Coding, Fault, Stall, Wire
from tests.support.stage import Reply, Stage, turn

pytestmark = pytest.mark.slow

CODINGS: list[Coding] = ["gzip", "br", "zstd"]
EVENTS = (b"Content-Type", b"text/event-stream; charset=utf-8")
PING = sse_event("ping", {"type": "ping"})
ERROR = sse_event("error", error_envelope("overloaded_error", "so it is", request_id="req_x"))


@pytest.fixture(autouse=True)
def in_no_coding(stage: Stage) -> Iterator[None]:
    """Put things on the wire as they are, whatever a test has changed."""
    yield
    stage.anthropic.wire = Wire()


def decoding(coding: str) -> Callable[[bytes], bytes]:
    """Return what decodes as it comes: not by the code that is tested."""
    if coding == "gzip":
        return zlib.decompressobj(31).decompress
    if coding == "br":
        decompress: Callable[[bytes], bytes] = brotli.Decompressor().process
        return decompress
    return zstandard.ZstdDecompressor().decompressobj().decompress if coding == "zstd" else bytes


def began_with_an_error(stage: Stage, coding: Coding) -> None:
    """Assert that Anthropic's answer was an error event behind a 200, in that coding."""
    (first,) = stage.to_anthropic()
    assert (first.status, first.coding) == (200, coding)
    if coding:
        assert b"event: error" not in first.coded
        assert decoding(coding)(first.coded).startswith(b"event: error")


@pytest.mark.parametrize("coding", ["", *CODINGS])
def test_an_error(stage: Stage, coding: Coding) -> None:
    stage.anthropic.wire = Wire(compression=coding)
    stage.anthropic.first_event_error_next("overloaded_error")
    reply = stage.ask(headers={"accept-encoding": coding or "identity"})
    began_with_an_error(stage, coding)
    assert reply.status == 200
    assert reply.headers["x-gateway-upstream"] == "bedrock"
    assert reply.headers["x-gateway-fallback"] == "first event overloaded_error"
    assert reply.events[-1][0] == "message_stop"


@pytest.mark.parametrize("coding", CODINGS)
def test_content_passes_in_its_coding_as_it_comes(stage: Stage, coding: Coding) -> None:
    stage.anthropic.wire = Wire(compression=coding)
    hold = stage.anthropic.hold_next("content_block_delta")
    connection = http.client.HTTPConnection("127.0.0.1", stage.daemon.port, timeout=60)
    try:
        headers = {"authorization": f"Bearer {stage.token}", "accept-encoding": coding}
        connection.request("POST", "/v1/messages", turn("good morning"), headers)
        answer = connection.getresponse()
        assert answer.getheader("content-encoding") == coding
        assert answer.getheader("x-gateway-upstream") == "anthropic"
        decode, seen, plain = decoding(coding), b"", b""
        while b"event: ping" not in plain:  # the one before what is held
            piece = answer.read1(4096)
            seen, plain = seen + piece, plain + decode(piece)
        assert b"good" not in plain
        hold.release()
        seen += answer.read()
    finally:
        connection.close()
    (asked,) = stage.to_anthropic()
    assert seen == asked.coded
    assert b"event: message_stop" in decoding(coding)(seen)
    assert stage.to_bedrock() == []


@pytest.mark.parametrize("coding", ["compress", "gzip, br", "gzip"])
def test_what_we_cannot_decode_passes_without_a_look(stage: Stage, coding: str) -> None:
    """Nobody knows what it begins with; "gzip" is not true of it."""
    stage.anthropic.answer_next(200, headers=[*_text((EVENTS,)), ("Content-Encoding", coding)], body=ERROR.data)
    begun = time.monotonic()
    reply = stage.ask()
    assert (reply.status, reply.body) == (200, ERROR.data)
    assert reply.headers["content-encoding"] == coding
    assert reply.headers["x-gateway-upstream"] == "anthropic"
    assert stage.to_bedrock() == []
    assert time.monotonic() - begun < 3  # not held back as what may still become an error is


def test_pings_before_an_error(stage: Stage) -> None:
    stage.anthropic.next_is(Fault(lambda usual, request_id: Answer(200, (EVENTS,), (PING, PING, ERROR), streamed=True)))
    reply = stage.ask()
    assert reply.headers["x-gateway-fallback"] == "first event overloaded_error"
    assert reply.events[-1][0] == "message_stop"


def test_pings_are_not_held_back_for_long(stage: Stage) -> None:
    """Whatever comes behind them then: an error is told as one, and nobody else is asked."""
    pings = [replace(PING, pause=0.5)] * 14
    stage.anthropic.next_is(
        Fault(lambda usual, request_id: Answer(200, (EVENTS,), (*pings, ERROR), streamed=True)),
    )
    connection = http.client.HTTPConnection("127.0.0.1", stage.daemon.port, timeout=60)
    try:
        begun = time.monotonic()
        connection.request("POST", "/v1/messages", turn(), {"authorization": f"Bearer {stage.token}"})
        answer = connection.getresponse()
        held = time.monotonic() - begun
        seen = answer.read1(1000)
        (asked,) = stage.to_anthropic()
        assert asked.answered is None  # nothing else had come
        assert 4 < held < 6.5
        assert answer.getheader("x-gateway-upstream") == "anthropic"
        assert seen + answer.read() == PING.data * 14 + ERROR.data
    finally:
        connection.close()
    assert stage.to_bedrock() == []


@pytest.mark.parametrize("after", ["nothing", "pings"])
def test_a_stream_that_ends_before_anything_was_in_it(stage: Stage, after: str) -> None:
    pieces = (PING,) if after == "pings" else ()
    stage.anthropic.next_is(Fault(lambda usual, request_id: Answer(200, (EVENTS,), pieces, streamed=True)))
    reply = stage.ask()
    assert reply.headers["x-gateway-upstream"] == "bedrock"
    assert reply.headers["x-gateway-fallback"] == "connection"
    assert reply.events[-1][0] == "message_stop"


# Both fail.


def original(stage: Stage, reply: Reply) -> None:
    """Assert that an answer is Anthropic's own."""
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["request-id"].startswith("req_")
    assert reply.headers["cf-ray"]
    assert reply.headers["x-gateway-upstream"] == "anthropic"
    assert reply.headers["x-gateway-fallback"].startswith("first event overloaded_error; bedrock ")


@pytest.mark.parametrize("coding", ["", *CODINGS])
def test_both_fail(stage: Stage, coding: Coding) -> None:
    stage.anthropic.wire = Wire(compression=coding)
    stage.anthropic.first_event_error_next("overloaded_error", message="so it is")
    stage.bedrock.fail_next(kind="ThrottlingException")
    reply = stage.ask(headers={"accept-encoding": coding or "identity"})
    began_with_an_error(stage, coding)
    original(stage, reply)
    assert reply.headers.get("content-encoding", "") == coding
    (asked,) = stage.to_anthropic()
    if coding:
        assert reply.body == asked.coded
    else:
        (event,) = reply.events
        assert (event[0], event[1]["error"]["message"]) == ("error", "so it is")


@pytest.mark.parametrize("coding", ["", *CODINGS])
def test_both_fail_for_want_of_credentials(stage: Stage, coding: Coding) -> None:
    stage.anthropic.wire = Wire(compression=coding)
    stage.anthropic.first_event_error_next("overloaded_error", message="so it is")
    stage.bedrock.expire_key()
    reply = stage.ask(headers={"accept-encoding": coding or "identity"})
    began_with_an_error(stage, coding)
    original(stage, reply)
    assert "content-encoding" not in reply.headers
    ((name, said),) = reply.events
    assert (name, said["error"]["type"]) == ("error", "overloaded_error")
    assert said["error"]["message"].startswith("so it is. Bedrock could not step in: ")
    assert "claude-gatewayctl" in said["error"]["message"]
    stage.bedrock.refusals.clear()  # the key was meant to be refused


@pytest.mark.parametrize("coding", ["", "gzip"])
@pytest.mark.parametrize("mended", [True, False], ids=["credentials", "throttled"])
def test_both_fail_and_anthropics_stream_stays_open(stage: Stage, coding: Coding, mended: bool) -> None:
    """With its error all has been said. What its framing still owes is not waited for."""
    stage.anthropic.wire = Wire(compression=coding)
    stage.anthropic.next_is(
        Fault(
            lambda usual, request_id: replace(usual, pieces=(ERROR,)),
            lambda steps: [*steps[: -2 if coding else -1], Stall()],
        )
    )
    if mended:
        stage.bedrock.expire_key()
    else:
        stage.bedrock.fail_next(kind="ThrottlingException")
    begun = time.monotonic()
    reply = stage.ask(headers={"accept-encoding": coding or "identity"})
    assert time.monotonic() - begun < 4
    original(stage, reply)
    assert reply.headers.get("content-encoding", "") == ""
    ((_, said),) = reply.events
    assert said["error"]["message"].startswith("so it is")
    assert ("Bedrock could not step in" in said["error"]["message"]) is mended
    assert json.dumps(said).count("so it is") == 1
    stage.bedrock.refusals.clear()


# After the first of the content.


@pytest.mark.parametrize("after", ["message_start", "content_block_delta", "message_delta"])
def test_an_error_behind_content(stage: Stage, after: str) -> None:
    stage.anthropic.event_error_next("overloaded_error", after=after, message="so it is")
    reply = stage.ask()
    assert reply.headers["x-gateway-upstream"] == "anthropic"
    assert reply.headers["x-gateway-fallback"] == "none"
    name, said = reply.events[-1]
    assert (name, said["error"]["type"], said["error"]["message"]) == ("error", "overloaded_error", "so it is")
    assert stage.to_bedrock() == []
    assert len(stage.to_anthropic()) == 1


def test_an_end_behind_content(stage: Stage) -> None:
    """And no error of Anthropic's: the gateway tells one."""
    stage.anthropic.end_without_message_stop_next("content_block_delta")
    reply = stage.ask()
    assert reply.headers["x-gateway-upstream"] == "anthropic"
    name, said = reply.events[-1]
    assert (name, said["error"]["type"]) == ("error", "api_error")
    assert said["error"]["message"].startswith("Anthropic's answer broke off")
    assert stage.to_bedrock() == []
    assert len(stage.to_anthropic()) == 1


def _text(headers: tuple[tuple[bytes, bytes], ...]) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode()) for name, value in headers]
