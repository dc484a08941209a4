"""The request that Claude Code sends, and a client that stamps when the pieces of its answer arrive.

The client is one blocking socket, not asyncio: it has to cost less than what it measures.
"""

import json
import re
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass

MODEL = "claude-sonnet-4-5"
PATH = "/v1/messages?beta=true"
ANSWER_LIMIT = 60  # seconds
HEADERS = {
    "accept": "application/json",
    "anthropic-beta": "claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14",
    "anthropic-dangerous-direct-browser-access": "true",
    "anthropic-version": "2023-06-01",
    "authorization": "Bearer sk-ant-oat01-BENCH-not-a-real-token",
    "content-type": "application/json",
    "user-agent": "claude-cli/2.1.300 (external, cli)",
    "x-app": "cli",
    "x-claude-code-session-id": "00000000-0000-4000-8000-00000000beac",
    "x-stainless-lang": "js",
    "x-stainless-retry-count": "0",
}


class WrongAnswer(Exception):
    """The answer is not the one that the upstream gives."""


@dataclass(frozen=True)
class Answer:
    """When the pieces of one answer were there, in seconds after its request left."""

    total: float
    first_event: float | None = None
    head: bytes = b""


def body(kib: int, *, deltas: int | None = None, gap_us: int = 0, model: str = MODEL) -> bytes:
    """Build a body of *kib* KiB; with *deltas* it asks for a stream of them, *gap_us* apart."""
    tool = {
        "name": "Read",
        "description": "Reads a file. " * 20,
        "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    }
    document = {  # the keys in the order that Claude Code sends them in
        "model": model,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "%"}]}],
        "system": [
            {
                "type": "text",
                "text": "You are Claude Code, Anthropic's official CLI for Claude.",
                "cache_control": {"type": "ephemeral"},
            }
        ],
        "tools": [tool | {"name": f"Tool{number}"} for number in range(max(1, kib // 4))],
        "metadata": {"user_id": "user_bench_account__session_0"},
        "max_tokens": 1024 if deltas is None else (len(str(gap_us)) - 1) * 10_000 + deltas,  # see upstream.c
        "stream": deltas is not None,
    }
    text = json.dumps(document, separators=(",", ":"))
    filler = "lorem ipsum dolor sit amet " * (kib * 40)
    return text.replace("%", filler[: kib * 1024 - len(text) + 1]).encode()


def request(port: int, content: bytes, extra_headers: Mapping[str, str]) -> bytes:
    """Build the whole request, head and body."""
    headers = {"host": f"127.0.0.1:{port}", **HEADERS, **extra_headers, "content-length": str(len(content))}
    lines = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + content


class Connection:
    """One kept connection over which requests go one after the other."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # the kernel's limit and not settimeout(), which would add a poll() to every read
        limit = struct.pack("ll", ANSWER_LIMIT, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def ask(self, message: bytes) -> Answer:
        """Send a request for a JSON answer and wait for all of it. Raises WrongAnswer and OSError."""
        started = time.perf_counter()
        self._socket.sendall(message)
        data = self._more()
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        size = end + 4 + _content_length(data[:end])
        while len(data) < size:
            data += self._more()
        total = time.perf_counter() - started
        if len(data) != size or b'"type":"message"' not in data.replace(b'": "', b'":"'):
            raise WrongAnswer(f"not a message: {data[:300]!r}")
        return Answer(total, head=data[:end])

    def ask_stream(self, message: bytes, deltas: int) -> Answer:
        """Send a request for a stream and read it to its end. Raises WrongAnswer and OSError."""
        pieces: list[bytes] = []
        stamps: list[float] = []
        tail = b""
        started = time.perf_counter()
        self._socket.sendall(message)
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            piece = self._more()
            stamps.append(time.perf_counter())
            pieces.append(piece)
            tail = piece if len(piece) > 6 else tail + piece
            if len(pieces) == 1 and b"chunked" not in piece:
                raise WrongAnswer(f"not a stream: {piece[:300]!r}")
        # sorted out only now: nothing but reading belongs between the stamps
        content = _unchunked(b"".join(pieces))
        if content.count(b"event: content_block_delta") != deltas or b"event: message_stop" not in content:
            raise WrongAnswer(f"not the {deltas} deltas: {content[:300]!r}")
        return Answer(stamps[-1] - started, _first_event(pieces, stamps) - started)

    def _more(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise WrongAnswer("closed before the answer was complete")
        return data


def _content_length(head: bytes) -> int:
    if not re.match(rb"HTTP/1\.1 200 ", head):
        raise WrongAnswer(f"not a 200: {head[:200]!r}")
    found = re.search(rb"(?i)\r\ncontent-length:\s*(\d+)", head)
    if found is None:
        raise WrongAnswer(f"no content-length: {head[:300]!r}")
    return int(found[1])


def _unchunked(answer: bytes) -> bytes:
    position = answer.index(b"\r\n\r\n") + 4
    content: list[bytes] = []
    while True:
        line_end = answer.index(b"\r\n", position)
        size = int(answer[position:line_end].split(b";")[0], 16)
        if size == 0:
            return b"".join(content)
        content.append(answer[line_end + 2 : line_end + 2 + size])
        position = line_end + 2 + size + 2


def _first_event(pieces: list[bytes], stamps: list[float]) -> float:
    """Return the stamp of the piece that completes the first event."""
    seen = b""
    for piece, stamp in zip(pieces, stamps, strict=True):
        seen += piece
        if b"\n\n" in seen:  # neither a head nor the framing of chunks has two bare line feeds
            return stamp
    raise WrongAnswer("no event in the stream")
