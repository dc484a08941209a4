"""Streams of Bedrock's that are metered."""

import base64
import json
from typing import Any

from tests.fakes.bedrock_frames import event_frame
from tests.support.metered_streams import FOOLS

MESSAGE = {"id": "msg_bdrk_1", "model": "claude-opus-5-5", "usage": {"input_tokens": 5}}
START = {"type": "message_start", "message": MESSAGE}
TEXT = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": FOOLS[0]}}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 70}}
STOP = {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3}}


def framed(*said: dict[str, Any]) -> bytes:
    """Return these documents as Bedrock sends them."""
    return b"".join(
        event_frame("chunk", json.dumps({"bytes": base64.b64encode(_compact(document)).decode(), "p": "abc"}).encode())
        for document in said
    )


def _compact(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
