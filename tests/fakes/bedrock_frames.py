"""The wire form of Bedrock's streams: application/vnd.amazon.eventstream, and ways to spoil it."""

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal
from zlib import crc32

from tests.fakes.anthropic_http import Headers
from tests.fakes.anthropic_model import Answer, Piece

EVENT_STREAM: Final = b"application/vnd.amazon.eventstream"
JSON: Final = b"application/json"

Part = Literal["prelude", "length", "payload", "message"]

_PADDING: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_STRING: Final = 7


def frame(headers: Sequence[tuple[str, str]], payload: bytes) -> bytes:
    """Return one message: lengths and their CRC, headers, payload, and the CRC of all before it."""
    packed = b"".join(_header(name, value) for name, value in headers)
    return _sealed(16 + len(packed) + len(payload), packed, payload)


def event_frame(kind: str, payload: bytes) -> bytes:
    """Return the message of an event."""
    return frame(((":event-type", kind), (":content-type", "application/json"), (":message-type", "event")), payload)


def chunk_piece(event: Mapping[str, object], *, number: int, pause: float = 0.0) -> Piece:
    """Return an event of Anthropic's as Bedrock sends it: base64 in JSON, padded against guesses from its length."""
    data = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")
    payload = {"bytes": base64.b64encode(data).decode(), "p": _PADDING[: 1 + number * 11 % len(_PADDING)]}
    return Piece(event_frame("chunk", _json(payload)), str(event["type"]), pause)


def exception_piece(kind: str, about: Mapping[str, object]) -> Piece:
    """Return an exception of the service's model, as it comes in a stream."""
    headers = ((":exception-type", kind), (":content-type", "application/json"), (":message-type", "exception"))
    return Piece(frame(headers, _json(about)), kind)


def error_piece(code: str, message: str) -> Piece:
    """Return an error that is not in the service's model: all of it is in the headers."""
    return Piece(frame(((":error-code", code), (":error-message", message), (":message-type", "error")), b""), code)


def stream_answer(pieces: Sequence[Piece], headers: Headers = ()) -> Answer:
    """Return a streamed answer."""
    return Answer(200, ((b"Content-Type", EVENT_STREAM), *headers), tuple(pieces), streamed=True)


def spoiled(piece: Piece, part: Part) -> Piece:
    """Return a message in which one part is wrong, and no other."""
    data = bytearray(piece.data)
    match part:
        case "prelude":
            data[8] ^= 0xFF
        case "length":
            # A length that nobody can wait for, under a right CRC.
            data[:4] = b"\xff\xff\xff\xff"
            data[8:12] = struct.pack(">I", crc32(data[:8]))
        case "payload":
            data[-5] ^= 0x01
        case "message":
            data[-1] ^= 0xFF
    return replace(piece, data=bytes(data))


def _header(name: str, value: str) -> bytes:
    raw_name, raw_value = name.encode(), value.encode()
    return struct.pack(">B", len(raw_name)) + raw_name + struct.pack(">BH", _STRING, len(raw_value)) + raw_value


def _sealed(total: int, headers: bytes, payload: bytes) -> bytes:
    lengths = struct.pack(">II", total, len(headers))
    whole = lengths + struct.pack(">I", crc32(lengths)) + headers + payload
    return whole + struct.pack(">I", crc32(whole))


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
