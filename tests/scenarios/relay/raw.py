"""A client that writes the very bytes it is given, and reads an answer as strictly as RFC 9112 lets it."""

import socket
import struct
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Self

from claude_gatewayd.http1 import framing
from tests.support.calls import message

TOKEN = b"Authorization: Bearer sk-ant-oat01-invented"
HOST = b"Host: 127.0.0.1:47000"
JSON = b"Content-Type: application/json"
PATIENCE = 60.0


class RawReply(NamedTuple):
    """An answer: its lines as they came, and the payload of its body. *interim* are first lines of 1xx before it."""

    status: int
    reason: bytes
    lines: list[bytes]
    body: bytes
    trailers: list[bytes]
    interim: list[bytes]

    def values(self, name: str) -> list[bytes]:
        """Return the values of a header, whatever its case."""
        parts = (line.partition(b":") for line in self.lines)
        return [value.strip() for key, _, value in parts if key.lower() == name.encode()]

    def error(self) -> str:
        """Return what an error in Anthropic's envelope says, and hold that it is one of ours."""
        import json

        said = json.loads(self.body)
        assert said["type"] == "error"
        assert set(said["error"]) == {"type", "message"}
        assert self.values("content-type") == [b"application/json"]
        text: str = said["error"]["message"]
        return text


class RawClient:
    """One connection to a port of this machine. *mss* and *receives* make it a slow line that holds little."""

    def __init__(self, port: int, *, mss: int = 0, receives: int = 0) -> None:
        self.sock = socket.socket()
        self.sock.settimeout(PATIENCE)
        if mss:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
        if receives:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        self.sock.connect(("127.0.0.1", port))
        self.seen = b""  # read, and not yet taken

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.sock.sendall(data)

    def more(self) -> bool:
        """Read some; return False at the end."""
        data = self.sock.recv(1 << 18)
        self.seen += data
        return bool(data)

    def read_to(self, text: bytes) -> None:
        """Read until *text* has come."""
        while text not in self.seen:
            assert self.more(), f"ended without {text!r}: {self.seen[-400:]!r}"

    def to_the_end(self) -> bytes:
        """Read to the end of the connection; raises ConnectionResetError where that is a reset."""
        while self.more():
            pass
        return self.seen

    def head(self) -> tuple[bytes, list[bytes]]:
        """Read one head, of whatever status."""
        self.read_to(b"\r\n\r\n")
        head, _, self.seen = self.seen.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        return first, lines

    def reply(self, method: str = "POST") -> RawReply:
        """Read one answer to a request of that method, and not a byte beyond it."""
        interim = []
        while True:
            first, lines = self.head()
            if not first.startswith(b"HTTP/1.1 1"):
                break
            interim.append(first)
        version, status, reason = first.split(b" ", 2)
        assert version == b"HTTP/1.1"
        reply = RawReply(int(status), reason, lines, b"", [], interim)
        body, trailers = self._body(reply, method)
        return reply._replace(body=body, trailers=trailers)

    def _body(self, reply: RawReply, method: str) -> tuple[bytes, list[bytes]]:
        lengths, codings = reply.values("content-length"), reply.values("transfer-encoding")
        assert len(lengths) + len(codings) <= 1, "the end of the body can be read in two ways"
        if method == "HEAD" or reply.status in (204, 304):
            return b"", []
        follower: framing.BodyReader
        if codings:
            assert codings == [b"chunked"]
            follower = framing.Chunked()
        elif lengths:
            follower = framing.Counted(int(lengths[0]))
        else:
            return self.to_the_end(), []
        pieces = []
        while True:
            used, payload = follower.feed(self.seen)
            self.seen = self.seen[used:]
            pieces.append(payload)
            if follower.done:
                return b"".join(pieces), follower.trailers if isinstance(follower, framing.Chunked) else []
            assert self.seen or self.more(), f"the answer is cut: {reply.status} {b''.join(pieces)[-400:]!r}"

    def half_close(self) -> None:
        """Have nothing more to say."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Go away without a good-bye."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """Go away."""
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()


def request(method: str, target: str, *lines: bytes, body: bytes | None = None, credential: bytes = TOKEN) -> bytes:
    """Return a request; one with a body has its length."""
    own = [HOST, *([credential] if credential else []), *lines]
    if body is not None:
        own.append(b"Content-Length: %d" % len(body))
    return (
        f"{method} {target} HTTP/1.1\r\n".encode() + b"".join(line + b"\r\n" for line in own) + b"\r\n" + (body or b"")
    )


def messages(prompt: str = "hi", *lines: bytes, stream: bool = False, credential: bytes = TOKEN) -> bytes:
    """Return a request for a message."""
    body = message(prompt, stream=stream)
    return request("POST", "/v1/messages", JSON, *lines, body=body, credential=credential)


def ask(port: int, data: bytes, method: str = "") -> RawReply:
    """Ask once, on a connection of its own."""
    with RawClient(port) as client:
        client.send(data)
        return client.reply(method or data.split(b" ", 1)[0].decode())


def chunked(pieces: Sequence[bytes], trailers: Sequence[bytes] = ()) -> bytes:
    """Return pieces as a chunked body."""
    return b"".join(map(framing.chunk, pieces)) + framing.last_chunk(list(trailers))
