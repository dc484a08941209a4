"""Bedrock's event stream as the server-sent events that it carries. Pure.

A message of `application/vnd.amazon.eventstream` is: its length and that of its headers, the CRC of those two; the
headers; the payload; the CRC of all before. Source: "Amazon event stream encoding" in AWS's documentation, and
botocore's eventstream module, whose limits are ours. A chunk's payload holds an event of Anthropic's, in base64.
"""

import re
import struct
import zlib
from typing import Final

import msgspec

from claude_gatewayd.bedrock.errors import BedrockFailure, status_in_stream
from claude_gatewayd.http1.flow import Bytes

CONTENT_TYPE: Final = b"application/vnd.amazon.eventstream"

_PRELUDE: Final = struct.Struct("!III")  # length, length of the headers, CRC of these two
_LENGTH: Final = struct.Struct("!H")
_LEAST: Final = _PRELUDE.size + 4  # with the CRC at the end
_MOST_HEADERS: Final = 128 * 1024
_MOST: Final = 24 * 1024 * 1024
_TEXT: Final = 7
# The other types of a header's value, and their lengths: true, false, byte, short, int, long, bytes, time, UUID.
_LENGTHS: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_BYTES: Final = 6
_NAME: Final = re.compile(rb"[\w.-]{1,100}")


class _Chunk(msgspec.Struct, rename={"event": "bytes"}):
    """A chunk: an event of Anthropic's, and padding."""

    event: bytes


class _Typed(msgspec.Struct):
    type: str


class _Exception(msgspec.Struct):
    message: str | None = None
    originalMessage: str | None = None


class _Malformed(Exception):
    """Bytes that are no event stream."""


_chunk: Final = msgspec.json.Decoder(_Chunk)
_typed: Final = msgspec.json.Decoder(_Typed)
_exception: Final = msgspec.json.Decoder(_Exception)


def is_event_stream(content_type: bytes) -> bool:
    """Say whether an answer of this type is such a stream."""
    return content_type.lower().startswith(CONTENT_TYPE)


class EventStreamDecoder:
    """Turn an event stream into server-sent events, however its bytes come; a `content_coding.Decoder` in form.

    An exception, or bytes that are no event stream, become an event `engine_error` (`BedrockFailure.as_json`), and
    nothing follows it.
    """

    __slots__ = ("_buffer", "_chunk_headers", "_ended", "blind")

    def __init__(self) -> None:
        self.blind = False
        self._buffer = bytearray()
        self._chunk_headers = b""  # of the last chunk, as bytes: they are the same in each
        self._ended = False

    def feed(self, data: Bytes) -> bytes:
        """Return the events that are complete with *data*."""
        if self._ended:
            return b""
        buffer = self._buffer
        buffer += data
        events: list[bytes] = []
        start = 0
        try:
            while len(buffer) - start >= _PRELUDE.size:
                length = _checked_length(buffer, start)
                if len(buffer) - start < length:
                    break
                events.append(self._event(bytes(buffer[start : start + length])))
                start += length
        except (_Malformed, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            events.append(_failed(BedrockFailure("Broken", 502, "")))
        if events and events[-1].startswith(b"event: engine_error"):
            self._ended = True
            buffer.clear()
        elif start:
            del buffer[:start]
        return b"".join(events)

    def _event(self, whole: bytes) -> bytes:
        """Return a whole message as a server-sent event; nothing for one of a kind that we do not know."""
        if zlib.crc32(whole[:-4]) != int.from_bytes(whole[-4:]):
            raise _Malformed
        end = _PRELUDE.size + int.from_bytes(whole[4:8])
        if (raw := whole[_PRELUDE.size : end]) != self._chunk_headers:
            headers = _headers(whole, end)
            if (headers.get(b":message-type"), headers.get(b":event-type")) != (b"event", b"chunk"):
                return _event(headers, whole[end:-4])
            self._chunk_headers = raw
        return _chunk_event(whole[end:-4])


def _checked_length(buffer: bytearray, start: int) -> int:
    length, headers, crc = _PRELUDE.unpack_from(buffer, start)
    if zlib.crc32(buffer[start : start + 8]) != crc:
        raise _Malformed
    if not _LEAST + headers <= length <= _MOST or headers > _MOST_HEADERS:
        raise _Malformed
    return int(length)


def length_of(buffer: bytearray, start: int) -> int:
    """Return how long the message is that begins there, by its first 12 bytes; 0 if none does."""
    try:
        return _checked_length(buffer, start)
    except _Malformed:
        return 0


def chunk_of(whole: bytes) -> bytes:
    """Return what a whole message carries if it is a chunk, of whichever model; b"" for any other."""
    try:
        return _chunk.decode(whole[_PRELUDE.size + int.from_bytes(whole[4:8]) : -4]).event
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b""


def _headers(whole: bytes, end: int) -> dict[bytes, bytes]:
    """Return the headers with a text as value: only those matter."""
    headers: dict[bytes, bytes] = {}
    at = _PRELUDE.size
    try:
        while at < end:
            name = whole[at + 1 : at + 1 + whole[at]]
            at += 1 + len(name)
            kind = whole[at]
            at += 1
            if kind in (_TEXT, _BYTES):
                size = _LENGTH.unpack_from(whole, at)[0]
                at += 2
            elif kind in _LENGTHS:
                size = _LENGTHS[kind]
            else:
                raise _Malformed
            if kind == _TEXT:
                headers[name] = whole[at : at + size]
            at += size
    except (IndexError, struct.error):
        raise _Malformed from None
    if at != end:
        raise _Malformed
    return headers


def _event(headers: dict[bytes, bytes], payload: bytes) -> bytes:
    """Return a message that is no chunk."""
    match headers.get(b":message-type"):
        case b"event":
            return b""
        case b"exception":
            kind = headers.get(b":exception-type", b"").decode(errors="replace")
            fields = _exception.decode(payload)
            text = fields.message or fields.originalMessage or ""
            return _failed(BedrockFailure(kind, status_in_stream(kind), text))
        case b"error":
            kind = headers.get(b":error-code", b"").decode(errors="replace")
            text = headers.get(b":error-message", b"").decode(errors="replace")
            return _failed(BedrockFailure(kind, status_in_stream(kind), text))
    raise _Malformed


def _chunk_event(payload: bytes) -> bytes:
    data = _chunk.decode(payload).event
    data.decode()  # nor is anything but UTF-8 passed on
    name = _typed.decode(data).type.encode()
    if _NAME.fullmatch(name) is None:
        raise _Malformed  # a line's end in it would forge events
    if b"\n" in data or b"\r" in data:  # between its tokens: within a text they are escaped
        data = msgspec.json.format(data, indent=-1)
    return b"event: %b\ndata: %b\n\n" % (name, data)


def _failed(failure: BedrockFailure) -> bytes:
    return b"event: engine_error\ndata: %b\n\n" % failure.as_json()
