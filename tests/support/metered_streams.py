"""Streams as they may come, and what a reader that parses every event finds in them."""

import json
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import brotli
import zstandard
from hypothesis import strategies as st

from claude_gatewayd.ledger.usage import Usage, merged

FOOLS = (
    'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":999}}\n\n',
    '"usage":{"output_tokens":999}',
    '\\"usage\\": {"input_tokens": 999}}',
    "usage",
    '"usage',
    '{"prompt_tokens": 999}',
)
counts = st.integers(0, 5000)
# What a server should not send, and what the next one may.
odd: st.SearchStrategy[Any] = st.sampled_from([None, True, -1, "7", 1.5, [], {}, 10**30])


@st.composite
def usages(draw: st.DrawFn) -> dict[str, Any]:
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    usage: dict[str, Any] = {field: draw(counts | odd) for field in draw(st.sets(st.sampled_from(names)))}
    if draw(st.booleans()):
        usage["cache_creation"] = {"ephemeral_5m_input_tokens": draw(counts), "ephemeral_1h_input_tokens": draw(counts)}
    if draw(st.booleans()):
        kind = draw(st.sampled_from(["message", "compaction"]))
        usage["iterations"] = [{"type": kind, "output_tokens": draw(counts)}]
    if draw(st.booleans()):
        usage["new"] = draw(odd)
    return usage


KINDS = ("content_block_delta", "message_delta", "message_start", "tool", "stop", "error", "new")
texts = st.sampled_from([*FOOLS, "plain", "Grüße \u2028", "x" * 3000])


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what an event may say."""
    kind = draw(st.sampled_from(KINDS))
    match kind:
        case "message_start":
            message = {"id": draw(st.sampled_from(["msg_1", 4])), "model": "claude", "usage": draw(usages() | odd)}
            return {"type": kind, "message": draw(st.just(message) | odd)}
        case "message_delta":
            return {"type": kind, "delta": {"stop_reason": draw(texts)}, "usage": draw(usages() | odd)}
        case "tool":  # an object of the model's own making, in a block's beginning
            block = {"type": "tool_use", "input": {"usage": draw(usages()), draw(texts): "usage"}}
            return {"type": "content_block_start", "content_block": block, "usage": {"output_tokens": 999}}
        case "stop":
            return {"type": "message_stop"}
        case "error":
            return {"type": "error", "error": {"type": "overloaded_error", "message": draw(texts)}}
        case "new":
            return {"type": "event_of_tomorrow", "usage": draw(usages())}
        case _:
            return {"type": kind, "index": 0, "delta": {"type": "text_delta", "text": draw(texts)}}


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[dict[str, Any]]]:
    """Draw a stream, and the documents of its whole events."""
    said = draw(st.lists(documents(), max_size=12))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    named = draw(st.booleans())
    stream = b""
    for document in said:
        if draw(st.integers(0, 4)) == 0:
            stream += f'event: ping{end}data: {{"type": "ping"}}{end}{end}'.encode()
        data = json.dumps(document, separators=separators, ensure_ascii=draw(st.booleans()))
        name = f"event: {document['type']}{end}" if named else ""
        stream += f"{name}data: {data}{end}{end}".encode()
    if draw(st.booleans()):  # broken off, in the middle of another
        stream += f'event: message_delta{end}data: {{"type":"message_delta","usage":{{"output_tokens":7'.encode()
    return stream, said


def found(said: list[dict[str, Any]]) -> Usage | None:
    """Return the usage that these events come to."""
    usage: Usage | None = None
    for document in said:
        holder: Any = document
        if document["type"] == "message_start":
            holder = document["message"] if isinstance(document["message"], dict) else {}
        elif document["type"] != "message_delta":
            continue
        if isinstance(holder.get("usage"), dict):
            usage = merged(usage or {}, holder["usage"])
    return usage


def event(kind: str, **more: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more}, separators=(',', ':'))}\n\n".encode()


START = event(
    "message_start",
    message={"id": "msg_1", "model": "claude-opus-5-5", "usage": {"input_tokens": 5, "output_tokens": 1}},
)
TEXT = event("content_block_delta", index=0, delta={"type": "text_delta", "text": FOOLS[0]})
END = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 70})
STOP = event("message_stop")
WHOLE = START + TEXT * 3 + END + STOP

MESSAGE = {"id": "msg_1", "model": "claude-opus-5-5", "usage": {"input_tokens": 5, "output_tokens": 70}}
BODY = json.dumps(MESSAGE).encode()


def _deflated(wbits: int) -> Callable[[bytes], bytes]:
    def squeeze(data: bytes) -> bytes:
        compressor = zlib.compressobj(wbits=wbits)
        return compressor.compress(data) + compressor.flush()

    return squeeze


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "identity": bytes,
    "gzip": _deflated(31),
    "X-GZIP": _deflated(31),
    "deflate": _deflated(15),
    "br": partial(brotli.compress, quality=4),
    "zstd": zstandard.compress,
}
