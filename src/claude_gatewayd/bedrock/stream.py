"""Bedrock's answer, as LiteLLM gives it, rewritten as Anthropic would have sent it. Pure."""

import json
import re
from typing import Any, Final

from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.anthropic.sse import PING, EventSplitter, data_of, name_of
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.http1.upstream.connection import UpstreamFailed

_PLAIN: Final = re.compile(rb"[\w.-]{1,100}")
_LONGEST: Final = 16 * 1024 * 1024
_FOREIGN: Final = ("amazon-bedrock-invocationMetrics", "litellm_call_id", "provider_specific_fields", "_hidden_params")


_BROKEN: Final = BedrockFailure("Broken", 502, "")


class BedrockRewriter:
    """Rewrite a stream, event by event. *asked* is the model as the client named it.

    *began*: message_start has been sent. *complete*: so has the end, message_stop or an error; *failure* is why.
    """

    def __init__(self, asked: str) -> None:
        self.began = False
        self.complete = False
        self.failure: BedrockFailure | None = None
        self._asked = asked
        self._splitter = EventSplitter()
        self._error: BedrockFailure | None = None  # nothing follows but this; held back, for the engine may know more

    def feed(self, payload: Bytes) -> bytes:
        """Take the next bytes. Return the events that are sent on."""
        rewritten = [self._rewrite(event) for event in self._splitter.feed(payload)]
        if len(self._splitter.rest) > _LONGEST:
            self._splitter.clear()
            self._error = _BROKEN
        return b"".join(rewritten)

    def finish(self, failure: UpstreamFailed | None) -> bytes:
        """Return the events that end the stream. *failure* is how the upstream failed, if it did."""
        if self.complete:
            return b""
        late = failure is not None and failure.kind == "timeout"
        return self._end(self._error or BedrockFailure("Timeout" if late else "Broken", 502, ""))

    def _end(self, failure: BedrockFailure) -> bytes:
        self.failure = failure
        self.complete = True
        reply = bedrock_errors.error_reply(failure)
        return anthropic_errors.error_event(reply.status, reply.message)

    def _rewrite(self, event: bytes) -> bytes:
        """Return an event as Anthropic would send it; nothing for one that it would not."""
        event = event.lstrip(b"\r\n")  # empty lines before it
        name = name_of(event)
        is_error = name in (b"error", b"engine_error")
        if self.complete or (self._error is not None and not is_error):
            return b""
        if name in (b"content_block_delta", b"content_block_start", b"content_block_stop"):
            whole_event = _as_one(event, name)
            if whole_event is None:
                self._error = _BROKEN  # in the middle, to be closed by what the engine says behind it
                return b""
            return whole_event if self.began else b""
        data = data_of(event)
        if not data:
            return b""
        if name == b"engine_error":  # the engine knows better than LiteLLM, and nothing follows
            return self._end(bedrock_errors.read_event(data))
        if is_error:
            if self._error in (None, _BROKEN):
                self._error = bedrock_errors.read_event(data)
            return b""
        if name == b"ping":
            return PING if self.began else b""
        try:
            fields = json.loads(data)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            self._error = _BROKEN  # what was in it is lost, so the answer is not whole, whatever follows
            return b""
        if not name and "error" in fields:  # LiteLLM's own form
            self._error = BedrockFailure("", 502, "")
            return b""
        kind = name or str(fields.get("type", "")).encode(errors="replace")
        if _PLAIN.fullmatch(kind) is None or fields.get("type", kind.decode()) != kind.decode():
            self._error = _BROKEN  # a name with a line's end in it would make lines, and events, of its own
            return b""
        return self._rewrite_message(kind, fields)

    def _rewrite_message(self, name: bytes, fields: dict[str, Any]) -> bytes:
        if self.began == (name == b"message_start"):
            return b""  # a second beginning, or anything before the first: an end, above all
        for field in _FOREIGN:
            fields.pop(field, None)
        if name == b"message_start":
            message = fields.get("message")
            if not isinstance(message, dict):
                return b""
            self.began = True
            _name_as_asked(message, self._asked)
            _drop_total(message)
        elif name == b"message_delta":
            _drop_total(fields)
        elif name == b"message_stop":
            fields = {"type": "message_stop"}
            self.complete = True
        return b"event: %b\ndata: %b\n\n" % (name, _dump(fields))


def rewrite_message(body: bytes, asked: str) -> bytes | None:
    """Return an answer that was not streamed, as Anthropic would give it; None where it is no message."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or message.get("type", "message") != "message":
        return None
    content = message.get("content")
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        return None
    for field in _FOREIGN:
        message.pop(field, None)
    _drop_total(message)
    _name_as_asked(message, asked)
    return _dump(message)


def _as_one(event: bytes, name: bytes) -> bytes | None:
    """Return an event of one JSON object as two lines, whatever ended its own; None where there is no whole one."""
    if not event.endswith(b"}"):
        return None
    if b"\r" not in event and event.count(b"\n") == 1:
        return event + b"\n\n"
    data = data_of(event)
    return b"event: %b\ndata: %b\n\n" % (name, data) if b"\n" not in data and data.endswith(b"}") else None


def _drop_total(holder: dict[str, Any]) -> None:
    """Drop the one count that Anthropic's usage does not have."""
    if isinstance(usage := holder.get("usage"), dict):
        usage.pop("total_tokens", None)


def _name_as_asked(message: dict[str, Any], asked: str) -> None:
    message["model"] = asked


def _dump(value: object) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can write and UTF-8 cannot
        return json.dumps(value, separators=(",", ":")).encode()
