"""Bedrock's answer, as LiteLLM gives it, told as Anthropic tells its own. Pure."""

import json
import re
from typing import Any, Final, NamedTuple

from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.http1.upstream.connection import UpstreamFailed

_END: Final = re.compile(rb"\r?\n\r?\n")
_NAME: Final = re.compile(rb"(?:\A|\n)event: ?([^\r\n]*)")
_DATA: Final = re.compile(rb"(?:\A|\n)data: ?([^\r\n]*)")
_PLAIN: Final = re.compile(rb"[\w.-]{1,100}")
_LONGEST: Final = 16 * 1024 * 1024
_FOREIGN: Final = ("amazon-bedrock-invocationMetrics", "litellm_call_id", "provider_specific_fields", "_hidden_params")


_BROKEN: Final = BedrockFailure("Broken", 502, "")


class Usage(NamedTuple):
    """The tokens that an answer took."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0


class Rewriter:
    """Rewrite a stream, event by event. *asked* is the model as the client named it.

    *began*: message_start has been told. *complete*: an end has been, message_stop or an error: then *failure*.
    """

    def __init__(self, asked: str) -> None:
        self.began = False
        self.complete = False
        self.failure: BedrockFailure | None = None
        self.usage = Usage()
        self._asked = asked
        self._buffer = bytearray()
        self._looked = 0  # so far there is no end of an event in it
        self._error: BedrockFailure | None = (
            None  # nothing more is told but this, held back for what the engine knows of it
        )

    def feed(self, payload: Bytes) -> bytes:
        """Return what is to be told of the next bytes: whole events."""
        self._buffer += payload
        told = []
        at = 0
        while (end := _END.search(self._buffer, max(at, self._looked))) is not None:
            told.append(self._tell(bytes(self._buffer[at : end.start()])))
            at = end.end()
        del self._buffer[:at]
        self._looked = max(0, len(self._buffer) - 3)  # an end of four bytes may be cut
        if len(self._buffer) > _LONGEST:
            self._buffer.clear()
            self._looked = 0
            self._error = _BROKEN
        return b"".join(told)

    def finish(self, failure: UpstreamFailed | None) -> bytes:
        """Return what is to be told at the end. *failure* is how the upstream failed, if it did."""
        if self.complete:
            return b""
        late = failure is not None and failure.kind == "timeout"
        self.failure = self._error or BedrockFailure("Timeout" if late else "Broken", 502, "")
        self.complete = True
        reply = bedrock_errors.error_reply(self.failure)
        return anthropic_errors.error_event(reply.status, reply.message)

    def _tell(self, event: bytes) -> bytes:
        """Return an event as Anthropic would tell it; nothing of one that it would not."""
        event = event.lstrip(b"\r\n")  # empty lines before it
        named = _NAME.search(event)
        name = named[1] if named is not None else b""
        is_error = name in (b"error", b"engine_error")
        if self.complete or (self._error is not None and not is_error):
            return b""
        if name in (b"content_block_delta", b"content_block_start", b"content_block_stop"):
            told = _as_one(event, name)
            if told is None:
                self._error = _BROKEN  # in the middle, to be closed by what the engine says behind it
                return b""
            return told if self.began else b""
        data = _DATA.search(event)
        if data is None:
            return b""
        if is_error:
            if name == b"engine_error" or self._error in (None, _BROKEN):  # the engine knows better than LiteLLM
                self._error = bedrock_errors.read_event(data[1])
            return b""
        if name == b"ping":
            return b"event: ping\ndata: %b\n\n" % data[1] if self.began else b""
        try:
            said = json.loads(data[1])
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            self._error = _BROKEN  # what was in it is lost, so the answer is not whole, whatever follows
            return b""
        if not name and "error" in said:  # LiteLLM's own form
            self._error = BedrockFailure("", 502, "")
            return b""
        kind = name or str(said.get("type", "")).encode(errors="replace")
        if _PLAIN.fullmatch(kind) is None or said.get("type", kind.decode()) != kind.decode():
            self._error = _BROKEN  # a name with a line's end in it would make lines, and events, of its own
            return b""
        return self._tell_message(kind, said)

    def _tell_message(self, name: bytes, said: dict[str, Any]) -> bytes:
        if self.began == (name == b"message_start"):
            return b""  # a second beginning, or anything before the first: an end, above all
        for field in _FOREIGN:
            said.pop(field, None)
        if name == b"message_start":
            message = said.get("message")
            if not isinstance(message, dict):
                return b""
            self.began = True
            _name_as_asked(message, self._asked)
            self._count(message.get("usage"))
        elif name == b"message_delta":
            self._count(said.get("usage"))
        elif name == b"message_stop":
            said = {"type": "message_stop"}
            self.complete = True
        return b"event: %b\ndata: %b\n\n" % (name, _dump(said))

    def _count(self, usage: Any) -> None:
        if isinstance(usage, dict):
            usage.pop("total_tokens", None)
            seen = {name: usage[name] for name in Usage._fields if isinstance(usage.get(name), int)}
            self.usage = self.usage._replace(**seen)


def whole(body: bytes, asked: str) -> bytes | None:
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
    if isinstance(usage := message.get("usage"), dict):
        usage.pop("total_tokens", None)
    _name_as_asked(message, asked)
    return _dump(message)


def _as_one(event: bytes, name: bytes) -> bytes | None:
    """Return an event of one JSON object as two lines, whatever ended its own; None where there is no whole one."""
    if not event.endswith(b"}"):
        return None
    if b"\r" not in event and event.count(b"\n") == 1:
        return event + b"\n\n"
    data = _DATA.findall(event)
    return b"event: %b\ndata: %b\n\n" % (name, data[0]) if len(data) == 1 and data[0].endswith(b"}") else None


def _name_as_asked(message: dict[str, Any], asked: str) -> None:
    if "model" in message:
        message["model"] = asked


def _dump(value: object) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can write and UTF-8 cannot
        return json.dumps(value, separators=(",", ":")).encode()
