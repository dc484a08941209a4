"""An Anthropic that answers fast, and as the header x-soak asks it to. `python -m soak.upstream PORT`

Strict it is not: tests/fakes/ has an Anthropic that is, and takes a millisecond for a request.
"""

import asyncio
import json
import sys
from typing import Any, Final, cast

import httptools
import uvloop

from soak.events import EVENTS, MESSAGE

_HEAD: Final = (
    b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\nrequest-id: req_011SOAK00000000000000\r\n"
    b"anthropic-organization-id: 00000000-0000-4000-8000-000000000001\r\n%b\r\n"
)
_REFUSALS: Final = {
    400: ("invalid_request_error", "max_tokens: must be at most 8192"),
    401: ("authentication_error", "invalid x-api-key"),
    404: ("not_found_error", "model: it does not exist"),
    429: ("rate_limit_error", "This request would exceed your account's rate limit."),
    529: ("overloaded_error", "Overloaded"),
}
_PIECES: Final = 4
_BETWEEN: Final = 0.005  # seconds between two pieces of a stream


def _whole(status: int, document: object, lines: bytes = b"") -> bytes:
    body = json.dumps(document).encode()
    return _HEAD % (status, b"OK", b"application/json", lines + b"content-length: %d\r\n" % len(body)) + body


def _refusal(status: int) -> bytes:
    kind, message = _REFUSALS[status]
    lines = b"retry-after: 1\r\nanthropic-ratelimit-unified-status: rejected\r\n" if status == 429 else b""
    return _whole(status, {"type": "error", "error": {"type": kind, "message": message}}, lines)


def _stream() -> tuple[bytes, ...]:
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in EVENTS]
    size = -(-len(chunks) // _PIECES)
    pieces = [b"".join(chunks[start : start + size]) for start in range(0, len(chunks), size)]
    head = _HEAD % (200, b"OK", b"text/event-stream; charset=utf-8", b"transfer-encoding: chunked\r\n")
    return (head + pieces[0], *pieces[1:], b"0\r\n\r\n")


_ANSWERS: Final = {str(status).encode(): _refusal(status) for status in _REFUSALS}
_MESSAGE: Final = _whole(200, MESSAGE)
_COUNT: Final = _whole(200, {"input_tokens": 14})
_MODELS: Final = _whole(200, {"data": [], "has_more": False, "first_id": None, "last_id": None})
_STREAM: Final = _stream()


class _Server(asyncio.Protocol):
    """A connection of the gateway's."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def _expect(self) -> None:
        self._parser: Any = httptools.HttpRequestParser(self)
        self._how = self._target = b""

    def on_url(self, target: bytes) -> None:
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"x-soak":
            self._how = value

    def on_message_complete(self) -> None:
        how = self._how
        if how in (b"stream", b"cut"):
            self._send(_STREAM, is_cut=how == b"cut")
            return
        usual = _COUNT if b"/count_tokens" in self._target else _MODELS if b"/v1/models" in self._target else _MESSAGE
        if how and how not in _ANSWERS:
            self._transport.write(usual.replace(b"200", how, 1))
        else:
            self._transport.write(_ANSWERS.get(how, usual))
        self._expect()

    def _send(self, pieces: tuple[bytes, ...], *, is_cut: bool) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(pieces[0])
        if len(pieces) == 1:
            self._expect()
        elif is_cut and len(pieces) == 3:
            self._transport.close()
        else:
            asyncio.get_running_loop().call_later(_BETWEEN, lambda: self._send(pieces[1:], is_cut=is_cut))


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
