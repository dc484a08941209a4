"""Bedrock's stream, rewritten as Anthropic would have sent it."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.bedrock.stream import BedrockRewriter, rewrite_message
from claude_gatewayd.http1.upstream.failure import Kind, UpstreamFailed
from tests.support.effort import effort


def event(name: str, **data: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


USAGE = {"input_tokens": 3, "cache_creation_input_tokens": 22, "cache_read_input_tokens": 7, "output_tokens": 1}
PING = event("ping")
START = event("message_start", message={"model": "bedrock/us.anthropic.x", "id": "msg_1", "usage": USAGE})
BEGIN = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
DELTA = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "größe \u2028"})
END = event("content_block_stop", index=0)
CHANGE = event(
    "message_delta", delta={"stop_reason": "end_turn"}, usage=USAGE | {"output_tokens": 9, "total_tokens": 5}
)
STOP = event("message_stop", usage=USAGE, **{"amazon-bedrock-invocationMetrics": {"inputTokenCount": 1}})
OWN_ERROR = event("error", error={"type": "api_error", "message": "litellm: arn:aws:iam::123456789012:role/x"})
OVERLOADED = event("error", error={"type": "overloaded_error", "message": "m"})
ENGINE = b'event: engine_error\ndata: {"kind": "throttlingException", "status": 429, "message": "Too many"}\n\n'
HALF = b'event: content_block_delta\ndata: {"type": "content_bl'
ANYTHING = [
    START, DELTA, STOP, CHANGE, PING, HALF + b"\n\n", ENGINE, OWN_ERROR, b"\n", b"\n\n", b"data: [1]\n\n",
    b'event: message_start\ndata: {"message": null}\n\n', b'data: {"type": "message_stop"}\n\n',
]  # fmt: skip
STREAM = PING + START + PING + BEGIN + DELTA + END + CHANGE + STOP


def rewritten(*pieces: bytes, failure: Kind | None = None) -> tuple[list[tuple[str, dict[str, Any]]], BedrockRewriter]:
    """Return the events that a client gets, and what has rewritten them."""
    rewriter = BedrockRewriter("claude-x[1m]")
    failed = UpstreamFailed(failure, "its words do not matter: in time") if failure is not None else None
    text = b"".join([*(rewriter.feed(piece) for piece in pieces), rewriter.finish(failed)]).decode()
    events = []
    for block in text.split("\n\n")[:-1]:
        name, data = block.split("\n")
        events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events, rewriter


def test_a_whole_stream() -> None:
    events, rewriter = rewritten(STREAM)
    assert [name for name, _ in events] == [
        "message_start", "ping", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
        "message_stop",
    ]  # fmt: skip
    assert events[0][1]["message"] == {"model": "claude-x[1m]", "id": "msg_1", "usage": USAGE}
    assert events[-1][1] == {"type": "message_stop"}
    assert "total_tokens" not in json.dumps(events)
    assert rewriter.failure is None


def test_deltas_go_byte_for_byte() -> None:
    rewriter = BedrockRewriter("x")
    rewriter.feed(START)
    assert rewriter.feed(DELTA) == DELTA


# Recorded: what LiteLLM 1.106.2 makes of Bedrock's stream. Its own: the model, the spaces, usage in message_stop.
THOUGHT = b"""event: message_start
data: {"type":"message_start","message":{"model":"bedrock/us.anthropic.claude-opus-4-8","id":"msg_bdrk_01","type":"message","role":"assistant","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"cache_creation_input_tokens":24,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":24,"ephemeral_1h_input_tokens":0},"output_tokens":1}}}

event: content_block_start
data: {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Let me think about it."}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "QmVkcm9j+/=="}}

event: content_block_stop
data: {"type": "content_block_stop", "index": 0}

event: content_block_start
data: {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "toolu_bdrk_01", "name": "Look", "input": {}}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{\\"path\\": \\"a.txt\\"}"}}

event: content_block_stop
data: {"type": "content_block_stop", "index": 1}

event: message_delta
data: {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"input_tokens": 3, "cache_creation_input_tokens": 24, "cache_read_input_tokens": 0, "cache_creation": {"ephemeral_5m_input_tokens": 24, "ephemeral_1h_input_tokens": 0}, "output_tokens": 21}}

event: message_stop
data: {"type": "message_stop", "usage": {"input_tokens": 3, "output_tokens": 21, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 24}}

"""  # noqa: E501
# Recorded: the same for an error that Bedrock's model does not have, with what the engine says of it.
ODD_END = b"""event: error
data: {"type": "error", "error": {"type": "invalid_request_error", "message": ""}}



event: engine_error
data: {"kind": "", "status": 400, "message": ""}

"""


def test_what_litellm_makes_of_it() -> None:
    rewriter = BedrockRewriter("claude-x")
    out = rewriter.feed(THOUGHT)
    begin, end = THOUGHT.index(b"event: content_block_start"), THOUGHT.index(b"event: message_delta")
    assert THOUGHT[begin:end] in out
    events, _ = rewritten(THOUGHT)
    assert events[-1] == ("message_stop", {"type": "message_stop"})
    assert events[-2][1]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert b"bedrock/" not in out
    assert rewriter.complete


@pytest.mark.parametrize("stream", [THOUGHT, THOUGHT[:900] + b"\n\n" + ODD_END, THOUGHT.replace(b"\n", b"\r\n")])
@given(data=st.data())
def test_cuts_change_nothing_of_what_was_recorded(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    pieces = [stream[a:b] for a, b in pairwise([0, *cuts, len(stream)])]
    whole_events, once = rewritten(stream)
    events, often = rewritten(*pieces)
    assert (events, often.failure) == (whole_events, once.failure)


@given(st.lists(st.sampled_from(ANYTHING)))
def test_whatever_comes_it_begins_and_ends_as_it_must(pieces: list[bytes]) -> None:
    events, rewriter = rewritten(*pieces)
    names = [name for name, _ in events]
    assert names[0] in ("message_start", "error")
    assert names.count("message_start") <= 1
    assert [name for name in names if name in ("message_stop", "error")] == names[-1:]
    assert rewriter.complete
    assert (rewriter.failure is not None) == (names[-1] == "error")


def test_a_long_event_is_looked_at_once() -> None:
    """Each byte of it was, at each cut: half a minute for this one, on the relay's loop."""
    rewriter = BedrockRewriter("x")
    rewriter.feed(START)
    event = DELTA[:-3] + b"a" * (8 << 20) + b"}\n\n"
    with effort() as spent:
        out = b"".join(rewriter.feed(event[at : at + 65536]) for at in range(0, len(event), 65536))
    assert out == event
    assert spent.amount < 100


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_cuts_change_nothing(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(places)]
    assert rewritten(*pieces)[0] == rewritten(STREAM)[0]


@pytest.mark.parametrize(
    ("pieces", "failure", "kind"),
    [
        ((START, BEGIN, DELTA), None, "api_error"),
        ((START, BEGIN, DELTA), "lost", "api_error"),
        ((START, BEGIN, DELTA), "timeout", "timeout_error"),
        ((START, DELTA, OWN_ERROR), None, "api_error"),
        ((START, DELTA, OWN_ERROR, ENGINE), None, "rate_limit_error"),
        ((START, DELTA, ENGINE, STOP), None, "rate_limit_error"),
        ((START, DELTA, b'data: {"error": {"message": "x", "code": "500"}}\n\n'), None, "api_error"),
        ((START, DELTA[:20]), None, "api_error"),
        ((START, HALF, b"\n\n" + ENGINE), None, "rate_limit_error"),
        ((START, BEGIN, DELTA, ODD_END), None, "api_error"),
        # what was in them is lost, though an end comes behind them
        ((START, HALF + b"\n\n", STOP), None, "api_error"),
        ((START, b'event: message_delta\ndata: {"del\n\n', STOP), None, "api_error"),
        ((START, b"event: message_delta\ndata: [1]\n\n", STOP), None, "api_error"),
        ((START, HALF + b"\n\n", OVERLOADED), None, "overloaded_error"),
        ((START, OVERLOADED, OWN_ERROR), None, "overloaded_error"),
        ((STOP,), None, "api_error"),
        ((CHANGE, STOP), None, "api_error"),
        ((b"event: message_start\ndata: [1]\n\n", STOP), None, "api_error"),
        ((b'event: message_start\ndata: {"message": null}\n\n', STOP), None, "api_error"),
        ((OVERLOADED,), None, "overloaded_error"),
    ],
)
def test_it_never_ends_as_if_it_were_whole(pieces: tuple[bytes, ...], failure: Kind | None, kind: str) -> None:
    events, rewriter = rewritten(*pieces, failure=failure)
    assert [name for name, _ in events].count("error") == 1
    name, data = events[-1]
    assert name == "error"
    error = data["error"]
    assert isinstance(error, dict)
    assert error["type"] == kind
    assert "123456789012" not in json.dumps(events)
    assert rewriter.failure is not None


def test_after_the_end_nothing_is_told() -> None:
    rewriter = BedrockRewriter("x")
    rewriter.feed(STREAM)
    assert rewriter.feed(OWN_ERROR + ENGINE + DELTA) == b""
    assert rewriter.finish(UpstreamFailed("lost", "")) == b""


def test_line_ends_of_the_other_kind() -> None:
    assert rewritten(STREAM.replace(b"\n", b"\r\n"))[0][0][0] == "message_start"


def test_an_answer_that_is_not_streamed() -> None:
    body = {"model": "bedrock/x", "id": "m", "content": [], "usage": USAGE | {"total_tokens": 9},
            "amazon-bedrock-invocationMetrics": {}}  # fmt: skip
    assert json.loads(rewrite_message(json.dumps(body).encode(), "claude-x") or b"") == {
        "model": "claude-x",
        "id": "m",
        "content": [],
        "usage": USAGE,
    }


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"null", b"no json", b"[]", b'"m"', b"[" * 30_000, b'{"type":"message"}', b'{"content":null}',
     b'{"content":"text"}', b'{"content":["text"]}', b'{"content":{}}', b'{"type":"error","content":[]}',
     b'{"type":"message","error":{"message":"m"}}', b'{"Output":{"__type":"UnknownOperationException"}}'],
)  # fmt: skip
def test_what_is_no_message_is_no_answer(body: bytes) -> None:
    assert rewrite_message(body, "x") is None


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\n\n", "\r\r", "\u2028", "\x00", " "])
def test_a_type_makes_no_lines_of_its_own(end: str) -> None:
    evil = f"x{end}event: message_stop{end}data: {{}}"
    rewriter = BedrockRewriter("x")
    out = rewriter.feed(START + b"data: " + json.dumps({"type": evil}).encode() + b"\n\n" + STOP)
    assert b"message_stop" not in out
    events, rewriter = rewritten(START, b"data: " + json.dumps({"type": evil}).encode() + b"\n\n" + STOP)
    assert [name for name, _ in events] == ["message_start", "error"]


def test_an_event_is_what_its_name_says() -> None:
    events, _ = rewritten(START, b'event: message_stop\ndata: {"type": "content_block_delta"}\n\n', STOP)
    assert [name for name, _ in events] == ["message_start", "error"]


@pytest.mark.parametrize(
    "delta",
    [
        b'event: content_block_delta\ndata: {"a":1}\revent: message_stop\r\rdata: {"b":1}',
        b'event: content_block_delta\rdata: {"a":1}\r\rid: {}',
        b'event: content_block_delta\ndata: {"a":1}\ndata: {"b":1}',
    ],
)
def test_an_event_is_two_lines(delta: bytes) -> None:
    out = BedrockRewriter("x").feed(START + delta + b"\n\n")
    assert b"\r" not in out
    assert out.count(b"\n") in (3, 6)


def test_half_a_surrogate_pair() -> None:
    body = b'{"model":"m","content":[{"type":"text","text":"\\ud83d"}]}'
    assert json.loads(rewrite_message(body, "x") or b"") == json.loads(body) | {"model": "x"}


def test_an_event_without_a_name_has_its_type() -> None:
    events, _ = rewritten(b"data: " + START.partition(b"data: ")[2], STOP)
    assert [name for name, _ in events] == ["message_start", "message_stop"]
