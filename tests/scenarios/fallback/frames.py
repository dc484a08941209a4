"""What an upstream streams, chunk by chunk: OpenAI's, and Anthropic's events."""

import json
from collections.abc import Mapping

from tests.fakes.upstream import Script, says


def stream(*events: bytes, ends: bool = True, kind: bytes = b"text/event-stream") -> Script:
    """Answer with a stream: whole, as HTTP has it, or not."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % kind
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    return says(head, *chunks, b"0\r\n\r\n" if ends else b"")


def chunk(delta: Mapping[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    said = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "own", "choices": [choice]}
    return b"data: " + json.dumps(said).encode() + b"\n\n"


def event(kind: str, **more: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **more}).encode())


HELLO = chunk({"role": "assistant", "content": "hello"})
STOP = chunk({}, "stop")
DONE = b"data: [DONE]\n\n"
USAGE = {"input_tokens": 1, "output_tokens": 1}
MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "own", "content": [], "usage": USAGE}
START = event("message_start", message={**MESSAGE, "stop_reason": None, "stop_sequence": None})
TEXT = (
    event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    + event("content_block_delta", index=0, delta={"type": "text_delta", "text": "hello"})
    + event("content_block_stop", index=0)
)
WHY = event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=USAGE)
END = event("message_stop")
PING = event("ping")
