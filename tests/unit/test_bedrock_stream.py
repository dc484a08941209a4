"""Bedrock's stream, told as Anthropic tells its own."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.bedrock_stream import Rewriter, Usage, whole


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
ENGINE = b'event: engine_error\ndata: {"kind": "throttlingException", "status": 429, "message": "Too many"}\n\n'
STREAM = PING + START + PING + BEGIN + DELTA + END + CHANGE + STOP


def told(*pieces: bytes, failure: str = "") -> tuple[list[tuple[str, dict[str, object]]], Rewriter]:
    """Return the events that a client is told, and what told them."""
    rewriter = Rewriter("claude-x[1m]")
    text = b"".join([*(rewriter.feed(piece) for piece in pieces), rewriter.finish(failure)]).decode()
    events = []
    for block in text.split("\n\n")[:-1]:
        name, data = block.split("\n")
        events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events, rewriter


def test_a_whole_stream() -> None:
    events, rewriter = told(STREAM)
    assert [name for name, _ in events] == [
        "message_start", "ping", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
        "message_stop",
    ]  # fmt: skip
    assert events[0][1]["message"] == {"model": "claude-x[1m]", "id": "msg_1", "usage": USAGE}
    assert events[-1][1] == {"type": "message_stop"}
    assert "total_tokens" not in json.dumps(events)
    assert rewriter.usage == Usage(3, 9, 22, 7)
    assert rewriter.trouble is None


def test_deltas_go_byte_for_byte() -> None:
    rewriter = Rewriter("x")
    rewriter.feed(START)
    assert rewriter.feed(DELTA) == DELTA


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_cuts_change_nothing(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(places)]
    assert told(*pieces)[0] == told(STREAM)[0]


@pytest.mark.parametrize(
    ("pieces", "failure", "kind"),
    [
        ((START, BEGIN, DELTA), "", "api_error"),
        ((START, BEGIN, DELTA), "it closed the connection", "api_error"),
        ((START, BEGIN, DELTA), "no byte of its answer came in time", "timeout_error"),
        ((START, DELTA, OWN_ERROR), "", "api_error"),
        ((START, DELTA, OWN_ERROR, ENGINE), "", "rate_limit_error"),
        ((START, DELTA, ENGINE, STOP), "", "rate_limit_error"),
        ((START, DELTA, b'data: {"error": {"message": "x", "code": "500"}}\n\n'), "", "api_error"),
        ((START, DELTA[:20]), "", "api_error"),
        ((event("error", error={"type": "overloaded_error", "message": "m"}),), "", "overloaded_error"),
    ],
)
def test_it_never_ends_as_if_it_were_whole(pieces: tuple[bytes, ...], failure: str, kind: str) -> None:
    events, rewriter = told(*pieces, failure=failure)
    assert [name for name, _ in events].count("error") == 1
    name, data = events[-1]
    assert name == "error"
    error = data["error"]
    assert isinstance(error, dict)
    assert error["type"] == kind
    assert "123456789012" not in json.dumps(events)
    assert rewriter.trouble is not None


def test_after_the_end_nothing_is_told() -> None:
    rewriter = Rewriter("x")
    rewriter.feed(STREAM)
    assert rewriter.feed(OWN_ERROR + ENGINE + DELTA) == b""
    assert rewriter.finish("lost") == b""


def test_line_ends_of_the_other_kind() -> None:
    assert told(STREAM.replace(b"\n", b"\r\n"))[0][0][0] == "message_start"


def test_an_answer_that_is_not_streamed() -> None:
    body = {"model": "bedrock/x", "id": "m", "content": [], "usage": USAGE | {"total_tokens": 9},
            "amazon-bedrock-invocationMetrics": {}}  # fmt: skip
    assert json.loads(whole(json.dumps(body).encode(), "claude-x")) == {
        "model": "claude-x",
        "id": "m",
        "content": [],
        "usage": USAGE,
    }
    assert whole(b"no json", "x") == b"no json"
