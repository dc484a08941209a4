"""The message that the soak's Anthropic answers with, whole and as a stream."""

import json
from typing import Any, Final

_TEXT: Final = "Hello from the upstream of the soak. "
MESSAGE: Final[dict[str, Any]] = {
    "id": "msg_01SOAK", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": _TEXT}], "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 12, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 40, "output_tokens": 8},
}  # fmt: skip


def _event(kind: str, **data: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


EVENTS: Final = (
    _event("message_start", message={**MESSAGE, "content": [], "stop_reason": None}),
    _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    *(_event("content_block_delta", index=0, delta={"type": "text_delta", "text": _TEXT}) for _ in range(16)),
    _event("content_block_stop", index=0),
    _event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 99}),
    _event("message_stop"),
)
