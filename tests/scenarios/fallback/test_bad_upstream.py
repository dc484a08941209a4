"""What may stand in Bedrock's place when it is asked directly, or in Bedrock mode: each is a clear error.

None of it ends the worker, holds a client up, or shows a client what is not for it.
"""

import gzip
import json
import socket
import struct
import time
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.fakes.bedrock_frames import EVENT_STREAM, chunk_piece
from tests.fakes.upstream import Script, Upstream, says
from tests.scenarios.fallback.frames import MESSAGE
from tests.support.daemon import Daemon
from tests.support.stage import MODEL, Reply, Stage, keys_of, turn

BY_NAME = f"{MODEL}-bedrock"
TIMEOUT = 2.0
CONFIG = f"""
[router]
num_retries = 0
[bedrock]
through = "direct"
timeout = {TIMEOUT:g}
"""
LEAK = b"123456789012"
PAGE = b"<html>arn:aws:iam::123456789012:role/x, ASIA0123456789ABCDEF</html>"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % EVENT_STREAM


def delta(text: str) -> bytes:
    return chunk_piece(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}, number=1
    ).data


START = chunk_piece({"type": "message_start", "message": MESSAGE}, number=0).data
STOP = chunk_piece({"type": "message_stop"}, number=2).data


def prelude(length: int) -> bytes:
    lengths = struct.pack("!II", length, 0)
    return lengths + struct.pack("!I", crc32(lengths))


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def stream(*messages: bytes) -> Script:
    return says(STREAM_HEAD, *map(chunk, messages), b"0\r\n\r\n")


def answer(status: int, body: bytes, *lines: bytes) -> Script:
    head = b"".join(line + b"\r\n" for line in lines)
    return says(b"HTTP/1.1 %d Said\r\n%bContent-Length: %d\r\n\r\n" % (status, head, len(body)) + body)


def endlessly(begin: bytes, piece: bytes, *, pause: float = 0.0) -> Script:
    """Send one piece after the other, until the other side has had enough; for ten seconds at most."""

    def script(conn: socket.socket) -> None:
        conn.sendall(begin)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            conn.sendall(piece)
            time.sleep(pause)

    return script


JSON, HTML = b"Content-Type: application/json", b"Content-Type: text/html"
ERROR = b"x-amzn-errortype: %b:http://internal.amazon.com/"
NOT_ALLOWED = (
    b'{"message": "User: arn:aws:sts::123456789012:assumed-role/x/y is not authorized to perform: bedrock:InvokeModel '
    b'on resource: arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/z"}'
)
BROKE_OFF = "Bedrock's answer broke off"
NO_BYTE = "no byte of Bedrock's answer came in time"
COMPRESSED = "its answer is compressed, which was not asked for"


class Direct(NamedTuple):
    """The stage, what answers in Bedrock's place, and the gateway key."""

    stage: Stage
    upstream: Upstream
    key: str

    def in_bedrock_mode(self, model: str = "m") -> Reply:
        path = f"/bedrock/model/{model}/invoke-with-response-stream"
        return self.stage.ask(b'{"max_tokens": 1}', path=path, headers={"x-gateway-key": self.key})


@pytest.fixture(scope="module")
def direct() -> Iterator[Direct]:
    """Yield a daemon that asks Bedrock directly, at a port that answers as a test has it answer."""
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock, Upstream() as upstream:
        environ = keys_of(bedrock) | {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": upstream.url}
        with Daemon(upstream=anthropic.url, config=CONFIG, environ=environ) as daemon:
            stage = Stage(anthropic, bedrock, daemon)
            stage.prove()
            worker = daemon.status()["generations"][0]["pid"]
            yield Direct(stage, upstream, daemon.ctl("key").stdout.strip())
            assert daemon.status()["generations"][0]["pid"] == worker
        assert "Traceback" not in daemon.log
        assert LEAK.decode() not in daemon.log


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(
    ("script", "status", "message"),
    [
        pytest.param(answer(200, PAGE, HTML), 502, "it answered 200 with a page (text/html)", id="page, 200"),
        pytest.param(answer(403, PAGE, HTML), 403, "it answered 403 with a page (text/html)", id="page, 403"),
        pytest.param(answer(200, PAGE, b"Content-Type: " + EVENT_STREAM), 502, BROKE_OFF, id="page as an event stream"),
        pytest.param(answer(200, PAGE, JSON), 502, BROKE_OFF, id="page as JSON"),
        pytest.param(answer(200, b"", JSON), 502, BROKE_OFF, id="no body"),
        pytest.param(answer(200, b""), 502, BROKE_OFF, id="no body, no type"),
        pytest.param(stream(), 502, BROKE_OFF, id="no event"),
        pytest.param(answer(204, b""), 502, "it answered 204", id="no content"),
        pytest.param(
            answer(307, b"", b"Location: http://u:%b@127.0.0.1:9/?a=%b" % (LEAK, LEAK)), 502,
            "it answered 307, a redirect to 127.0.0.1:9, and no redirect is followed", id="redirect",
        ),
        pytest.param(answer(200, gzip.compress(b"{}"), JSON, b"Content-Encoding: gzip"), 502, COMPRESSED, id="gzip"),
        pytest.param(
            answer(400, gzip.compress(b'{"message": "too odd"}'), JSON, ERROR % b"ValidationException",
                   b"Content-Encoding: gzip"), 400, "too odd", id="error in gzip",
        ),
        pytest.param(stream(prelude(2**31)), 502, BROKE_OFF, id="frame of 2 GiB"),
        pytest.param(stream(START[:-1] + b"\0"), 502, BROKE_OFF, id="wrong CRC"),
        pytest.param(says(), 502, BROKE_OFF, id="closes at once"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\nConte"), 502, BROKE_OFF, id="closes in its head"),
        pytest.param(says(b"\0\1\2\r\n\r\n"), 502, BROKE_OFF, id="no HTTP"),
        pytest.param(endlessly(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), 502, BROKE_OFF, id="only 100s"),
        pytest.param(endlessly(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 99), 502, BROKE_OFF, id="headers without end"),
        pytest.param(
            endlessly(STREAM_HEAD + chunk(prelude(20 << 20)), chunk(b"x"), pause=0.05), 504, NO_BYTE,
            id="frame that trickles",
        ),
        pytest.param(
            answer(403, NOT_ALLOWED, JSON, ERROR % b"AccessDeniedException"), 403,
            "AWS does not let this role use the model: User: *** is not authorized to perform: bedrock:InvokeModel on "
            "resource: ***", id="another account's profile",
        ),
        pytest.param(
            answer(400, b'{"message": "The provided model identifier is invalid."}', JSON,
                   ERROR % b"ValidationException"), 404, "[bedrock.models] of config.toml", id="another region's ARN",
        ),
    ],
)  # fmt: skip
def test_an_answer_that_is_none(direct: Direct, script: Script, status: int, message: str, streamed: bool) -> None:
    direct.upstream.will(script)
    began = time.monotonic()
    reply = direct.stage.ask(turn(model=BY_NAME, stream=streamed))
    assert (reply.status, time.monotonic() - began < TIMEOUT + 6) == (status, True), reply
    assert message in reply.error
    assert LEAK not in reply.body
    direct.upstream.request()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        pytest.param(prelude(2**31), BROKE_OFF, id="frame of 2 GiB"),
        pytest.param(delta("x")[:-1] + b"\0", BROKE_OFF, id="wrong CRC"),
        pytest.param(PAGE, BROKE_OFF, id="page"),
        pytest.param(b"", BROKE_OFF, id="end"),
    ],
)
def test_a_stream_that_goes_wrong(direct: Direct, bad: bytes, message: str) -> None:
    direct.upstream.will(stream(START, *([bad] if bad else [])))
    reply = direct.stage.ask(turn(model=BY_NAME))
    assert [name for name, _ in reply.events] == ["message_start", "error"]
    assert reply.events[-1][1]["error"]["message"] == message
    direct.upstream.request()


def test_a_frame_that_trickles_in_the_middle_of_a_stream(direct: Direct) -> None:
    begin = STREAM_HEAD + chunk(START) + chunk(prelude(20 << 20))
    direct.upstream.will(endlessly(begin, chunk(b"x"), pause=0.05))
    began = time.monotonic()
    reply = direct.stage.ask(turn(model=BY_NAME))
    assert time.monotonic() - began < TIMEOUT + 6
    assert reply.events[-1][1]["error"]["message"] == NO_BYTE
    direct.upstream.request()


def test_an_event_of_16_megabytes_as_a_message(direct: Direct) -> None:
    text = "x" * (12 << 20)  # in base64
    direct.upstream.will(stream(START, delta(text), STOP))
    reply = direct.stage.ask(turn(model=BY_NAME))
    assert [name for name, _ in reply.events] == ["message_start", "content_block_delta", "message_stop"]
    assert len(reply.text) == len(text)
    direct.upstream.request()


@pytest.mark.parametrize(
    ("script", "status", "message"),
    [
        pytest.param(answer(200, PAGE, HTML), 502, "it answered 200 with a page (text/html)", id="page, 200"),
        pytest.param(answer(403, PAGE, HTML), 403, "it answered 403 with a page (text/html)", id="page, 403"),
        pytest.param(answer(204, b""), 502, "it answered 204", id="no content"),
        pytest.param(
            answer(307, b"", b"Location: http://127.0.0.1:9/"), 502, "a redirect to 127.0.0.1:9", id="redirect"
        ),
        pytest.param(says(), 502, BROKE_OFF, id="closes at once"),
        pytest.param(endlessly(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), 502, BROKE_OFF, id="only 100s"),
        pytest.param(endlessly(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 99), 502, BROKE_OFF, id="headers without end"),
    ],
)
def test_in_bedrock_mode(direct: Direct, script: Script, status: int, message: str) -> None:
    direct.upstream.will(script)
    reply = direct.in_bedrock_mode()
    assert (reply.status, message in reply.json["message"]) == (status, True), reply
    assert LEAK not in reply.body
    direct.upstream.request()


@pytest.mark.parametrize(
    ("model", "there"),
    [
        ("a%2Fb", b"/model/a%2Fb/"),
        ("a/b", b"/model/a%2Fb/"),
        ("a%20b", b"/model/a%20b/"),
        ("..%2F..%2Fx", b"/model/..%2F..%2Fx/"),
        ("a%0d%0aX-Injected:%201", b"/model/a%0D%0AX-Injected%3A%201/"),
        ("a%00%7f", b"/model/a%00%7F/"),
    ],
)
def test_a_models_id_stays_one_part_of_the_path(direct: Direct, model: str, there: bytes) -> None:
    direct.upstream.will(answer(400, b'{"message": "no"}', JSON, ERROR % b"ValidationException"))
    assert direct.in_bedrock_mode(model).status == 400
    asked = direct.upstream.request()
    assert asked.startswith(b"POST " + there)
    assert b"\r\nx-injected" not in asked.lower()


@pytest.mark.parametrize("model", ["a/b", "a b", "a\r\nX-Injected: 1", "a\0", "é", "x" * 3000])
def test_a_strange_model_by_the_gateways_own_name(direct: Direct, model: str) -> None:
    direct.upstream.will(answer(400, b'{"message": "The provided model identifier is invalid."}', JSON))
    reply = direct.stage.ask(turn(model=f"anthropic.{model}"))
    assert 400 <= reply.status < 500, reply
    assert reply.error
    while not direct.upstream.requests.empty():
        asked = direct.upstream.request()
        assert b"\r\nx-injected" not in asked.lower()
        assert asked.partition(b"\r\n")[0].count(b" ") == 2
    while not direct.upstream.scripts.empty():
        direct.upstream.scripts.get()


def test_a_clock_that_is_wrong(direct: Direct) -> None:
    """Last but one: the keys count as refused from here on, until somebody looks again."""
    text = "Signature expired: 20261129T000000Z is now earlier than 20261129T001000Z (20261129T001500Z - 5 min.)"
    body = json.dumps({"message": text}).encode()
    direct.upstream.will(answer(403, body, JSON, ERROR % b"InvalidSignatureException"))
    reply = direct.stage.ask(turn(model=BY_NAME))
    assert reply.status == 403
    assert "clock is 15 min behind AWS's" in reply.error
    direct.upstream.request()


NEW_KEY = "Run: read -rs AWS_BEARER_TOKEN_BEDROCK && export AWS_BEARER_TOKEN_BEDROCK && claude-gatewayctl install"


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        pytest.param("ABSK-invented-and-ended", 1, id="ended"),
        pytest.param("ABSK-invented\tkey", 0, id="malformed"),
        pytest.param("ABSK-invented-é", 0, id="not ASCII"),
    ],
)
def test_an_api_key_that_is_none(key: str, asked: int) -> None:
    refusal = b'{"Message": "Authentication failed: Please make sure your API Key is valid."}'
    with FakeAnthropic() as anthropic, Upstream() as upstream:
        environ = {
            "AWS_BEARER_TOKEN_BEDROCK": key,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": upstream.url,
        }
        with FakeBedrock() as bedrock, Daemon(upstream=anthropic.url, config=CONFIG, environ=environ) as daemon:
            stage = Stage(anthropic, bedrock, daemon)
            stage.prove()
            upstream.will(answer(403, refusal, JSON))
            reply = stage.ask(turn(model=BY_NAME))
            assert (reply.status, NEW_KEY in reply.error) == (403, True), reply
            assert upstream.requests.qsize() == asked
            shown = daemon.log + json.dumps(daemon.status()) + str(reply)
        assert "ABSK-invented" not in shown
        assert "Traceback" not in daemon.log
