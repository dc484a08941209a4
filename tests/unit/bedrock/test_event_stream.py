"""Bedrock's event stream as server-sent events: whole, in pieces, and spoiled; held against botocore's reader."""

import base64
import json
import random
import struct
from typing import Any
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.bedrock.event_stream import EventStreamDecoder, is_event_stream
from claude_gatewayd.bedrock.stream import BedrockRewriter
from tests.fakes.anthropic_model import Piece
from tests.fakes.bedrock_frames import Part, chunk_piece, error_piece, event_frame, exception_piece, frame, spoiled
from tests.support.cuts import cut_anywhere

START: dict[str, Any] = {"type": "message_start", "message": {"model": "claude", "content": []}}
DELTA: dict[str, Any] = {
    "type": "content_block_delta",
    "index": 0,
    "delta": {"type": "text_delta", "text": "Grüße, \u2028 \U0001f600"},
}
STOP: dict[str, Any] = {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3}}
WHOLE = b"".join(chunk_piece(event, number=n).data for n, event in enumerate((START, DELTA, STOP)))


def events(decoded: bytes) -> list[tuple[str, object]]:
    """Return the events that were decoded."""
    found = []
    for block in decoded.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def broken(decoded: bytes) -> bool:
    """Say whether the last event reports an answer that broke off."""
    name, data = events(decoded)[-1]
    return (name, data) == ("engine_error", {"kind": "Broken", "status": 502, "message": ""})


def test_a_stream_as_it_is() -> None:
    assert events(EventStreamDecoder().feed(WHOLE)) == [(str(e["type"]), e) for e in (START, DELTA, STOP)]


MIXED = b"".join(
    (
        chunk_piece(START, number=0).data,
        event_frame("initial-response", b"{}"),
        *(chunk_piece(DELTA, number=number).data for number in range(3)),
        frame(((":message-type", "event"), (":event-type", "chunk")), b'{"bytes": "eyJ0eXBlIjoicGluZyJ9"}'),
        chunk_piece(STOP, number=2).data,
        exception_piece("throttlingException", {"message": "slow down"}).data,
    )
)


@given(cut_anywhere(MIXED))
def test_wherever_it_is_cut(pieces: list[bytes]) -> None:
    decoder = EventStreamDecoder()
    assert b"".join(decoder.feed(memoryview(piece)) for piece in pieces) == EventStreamDecoder().feed(MIXED)


@given(cut_anywhere(MIXED))
def test_what_a_client_gets_does_not_depend_on_the_cuts(pieces: list[bytes]) -> None:
    """Through the rewriter, too: frames, their events, and what ends them."""
    expected = BedrockRewriter("asked")
    whole = expected.feed(EventStreamDecoder().feed(MIXED)) + expected.finish(None)
    decoder, rewriter = EventStreamDecoder(), BedrockRewriter("asked")
    sent = b"".join(rewriter.feed(decoder.feed(piece)) for piece in pieces) + rewriter.finish(None)
    assert sent == whole
    assert sent.endswith(b"}\n\n")
    assert sent.count(b"event: message_stop") == 1


@given(st.binary(max_size=300), cut_anywhere(WHOLE))
def test_nothing_that_comes_makes_it_fail(rubbish: bytes, pieces: list[bytes]) -> None:
    decoder = EventStreamDecoder()
    for piece in (*pieces, rubbish, *pieces):
        decoder.feed(piece)


def test_each_event_is_there_with_its_last_byte() -> None:
    decoder = EventStreamDecoder()
    first = chunk_piece(START, number=0).data
    assert decoder.feed(first[:-1]) == b""
    assert [name for name, _ in events(decoder.feed(first[-1:]))] == ["message_start"]


@pytest.mark.parametrize("part", ["prelude", "length", "payload", "message"])
def test_a_spoiled_message_ends_it(part: Part) -> None:
    decoder = EventStreamDecoder()
    bad = spoiled(chunk_piece(DELTA, number=1), part)
    decoded = decoder.feed(chunk_piece(START, number=0).data + bad.data)
    assert [name for name, _ in events(decoded)] == ["message_start", "engine_error"]
    assert broken(decoded)
    assert decoder.feed(WHOLE) == b""


@pytest.mark.parametrize(
    "data",
    [
        b"<html><body>Welcome to the network of the hotel</body></html>",
        struct.pack("!II", 2**31, 0) + struct.pack("!I", crc32(struct.pack("!II", 2**31, 0))),
        struct.pack("!II", 12, 0) + struct.pack("!I", crc32(struct.pack("!II", 12, 0))),
        struct.pack("!II", 40, 4000) + struct.pack("!I", crc32(struct.pack("!II", 40, 4000))),
        event_frame("chunk", b"{"),
        event_frame("chunk", b'{"bytes": "%b"}' % base64.b64encode(b'{"type": "a\\nb"}')),
        event_frame("chunk", b'{"bytes": "%b"}' % base64.b64encode(b'{"no": "type"}')),
        event_frame("chunk", b'{"bytes": "%b"}' % base64.b64encode(b'{"type": "ping", "cut": ')),
        event_frame("chunk", b'{"bytes": "%b"}' % base64.b64encode(b'{"type": "ping"}}')),
        event_frame("chunk", b'{"bytes": "%b"}' % base64.b64encode(b'{"type": "ping", "no UTF-8": "\xff"}')),
        event_frame("chunk", b'{"bytes": "%b"}' % base64.b64encode(b'{"type": "ping", "deep": ' + b"[" * 100_000)),
        frame(((":message-type", "unknown"),), b""),
        frame((), b""),
    ],
)
def test_what_is_no_event_stream(data: bytes) -> None:
    assert broken(EventStreamDecoder().feed(data))


def test_events_of_other_kinds_are_left_out() -> None:
    decoded = EventStreamDecoder().feed(event_frame("initial-response", b"{}") + WHOLE)
    assert [name for name, _ in events(decoded)] == ["message_start", "content_block_delta", "message_stop"]


@pytest.mark.parametrize(
    ("piece", "kind", "status", "message"),
    [
        (exception_piece("throttlingException", {"message": "slow down"}), "throttlingException", 502, "slow down"),
        (exception_piece("validationException", {"message": "no"}), "validationException", 400, "no"),
        (exception_piece("newException", {"originalMessage": "hm"}), "newException", 502, "hm"),
        (error_piece("internalFailure", "it broke"), "internalFailure", 502, "it broke"),
    ],
)
def test_exceptions(piece: Piece, kind: str, status: int, message: str) -> None:
    [(name, data)] = events(EventStreamDecoder().feed(piece.data))
    assert (name, data) == ("engine_error", {"kind": kind, "status": status, "message": message})


def test_line_ends_between_the_tokens_make_no_lines() -> None:
    payload = base64.b64encode(json.dumps(DELTA, indent=1).encode())
    decoded = EventStreamDecoder().feed(event_frame("chunk", b'{"bytes": "%b"}' % payload))
    assert events(decoded) == [("content_block_delta", DELTA)]


@pytest.mark.parametrize("seed", range(300))
def test_it_accepts_what_botocore_accepts(seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(WHOLE)
    for _ in range(rng.randrange(3)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    reference = EventStreamBuffer()
    reference.add_data(bytes(data))
    accepted = 0
    try:
        for _ in reference:
            accepted += 1
        refused = False
    except Exception:  # its errors have no common base
        refused = True
    found = EventStreamDecoder().feed(bytes(data))
    assert len(events(found)) == accepted + refused
    assert (bool(found) and events(found)[-1][0] == "engine_error") == refused


def test_its_type() -> None:
    assert is_event_stream(b"application/vnd.amazon.eventstream; charset=x")
    assert not is_event_stream(b"text/event-stream")
