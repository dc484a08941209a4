"""Where a body ends: counted, chunked, or at the end of the connection.

A follower is fed what arrives, cut anywhere, and says how much of it belongs to the body. It changes nothing:
the raw bytes can be passed on as they came, chunk sizes and all.
"""

import re
from typing import Protocol

from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.http1.head import Lines, Malformed, ResponseHead

# A size of at most 15 digits cannot overflow anybody; an extension holds no control character (RFC 9112 7.1.1).
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]{0,4096})?\r\n")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
_USUAL_SIZES = {b"%x" % size: size for size in range(1, 2048)}
_MAX_TRAILERS = 64 * 1024
_AT_ONCE = 512  # chunks: less than a millisecond


class BodyReader(Protocol):
    """What follows one body."""

    done: bool

    def feed(self, data: Bytes) -> tuple[int, Bytes]:
        """Return how many bytes of *data* belong to the body, and their payload.

        Where these are not all and the body is not done, it has been work enough for once: the rest is fed again.
        """
        ...


def of_answer(answer: ResponseHead, *, without_body: bool) -> "BodyReader":
    """Return what follows an answer's body (RFC 9112 6.3); *without_body* says that it has none (HEAD)."""
    if without_body or answer.status in (204, 304):
        return Counted(0)
    if answer.chunked:
        return Chunked()
    if answer.length is not None:
        return Counted(answer.length)
    return UntilClose()


class Counted:
    """Follow a body of *length* bytes."""

    __slots__ = ("done", "left")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0

    def feed(self, data: Bytes) -> tuple[int, Bytes]:
        """Count. What is beyond the length is not the body's."""
        size, left = len(data), self.left
        if size > left:
            data, size = data[:left], left
        self.left = left = left - size
        self.done = left == 0
        return size, data


class UntilClose:
    """Follow a body that the end of the connection ends."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: Bytes) -> tuple[int, Bytes]:
        """Take all."""
        return len(data), data


class Chunked:
    """Follow a chunked body, strictly: what is not RFC 9112 7.1 to the letter raises Malformed."""

    __slots__ = ("_in_trailers", "_left", "_needs_crlf", "_stash", "done", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.trailers: Lines = []
        self._left = 0
        self._needs_crlf = False
        self._in_trailers = False
        self._stash = b""

    def feed(self, data: Bytes) -> tuple[int, bytes]:
        """Follow the chunks in *data*, up to the end of the body; not very many at once."""
        data = bytes(data)
        stashed = len(self._stash)
        if stashed:
            data = self._stash + data
            self._stash = b""
        pieces: list[bytes] = []
        at, end = 0, len(data)
        if not (self._left or self._needs_crlf or self._in_trailers):
            at = _whole_chunks(data, pieces)
        steps = 0 if len(pieces) == _AT_ONCE else 3 * _AT_ONCE
        while at < end and steps and not self.done:
            steps -= 1
            if self._left:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                self._needs_crlf = not self._left
            elif self._needs_crlf:
                if not data.startswith(b"\r\n", at):
                    if end - at == 1 and data[at] == 0x0D:
                        at = self._keep(data, at)
                        break
                    raise Malformed("a chunk is longer than its size says")
                self._needs_crlf = False
                at += 2
            elif self._in_trailers:
                at = self._trailers(data, at)
            else:
                at = self._size(data, at)
        return at - stashed, pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _size(self, data: bytes, at: int) -> int:
        line = _SIZE_LINE.match(data, at)
        if line is None:
            if data.find(b"\n", at) >= 0 or not _may_become_size(data, at):
                raise Malformed("a chunk size is not a hexadecimal number on a line of its own")
            return self._keep(data, at)
        self._left = int(line[1], 16)
        self._in_trailers = not self._left
        return line.end()

    def _trailers(self, data: bytes, at: int) -> int:
        """Take the trailer lines and the empty line that ends the body."""
        if data.startswith(b"\r\n", at):
            end = at
        else:
            end = data.find(b"\r\n\r\n", at)
            if (end if end >= 0 else len(data) - 3) - at > _MAX_TRAILERS:
                raise Malformed("the trailers are larger than 64 KiB", 431)
            if end < 0:
                if data.count(b"\n", at) != data.count(b"\r\n", at):
                    raise Malformed("a trailer line ends in a bare line feed")
                return self._keep(data, at)
            self.trailers = data[at:end].split(b"\r\n")
            if not all(map(_TRAILER.fullmatch, self.trailers)):
                raise Malformed("a trailer line is not a header")
            end += 2
        self.done = True
        return end + 2

    def _keep(self, data: bytes, at: int) -> int:
        self._stash = data[at:]
        return len(data)


def _whole_chunks(data: bytes, pieces: list[bytes]) -> int:
    """Take the whole chunks of usual sizes that *data* begins with: the same as the loop does, three times as fast.

    A fast upstream's events arrive many at a time, each a chunk.
    """
    at = 0
    for _ in range(_AT_ONCE):
        line = data.find(b"\r\n", at, at + 8)
        size = _USUAL_SIZES.get(data[at:line]) if line > 0 else None
        if size is None:
            return at
        start = line + 2
        stop = start + size
        if data[stop : stop + 2] != b"\r\n":
            return at
        pieces.append(data[start:stop])
        at = stop + 2
    return at


def _may_become_size(data: bytes, at: int) -> bool:
    """Say whether more bytes could make a size line of the rest of *data*, so that rubbish is not waited on."""
    rest = data[at:]
    return _SIZE_LINE.match((rest if rest.endswith(b"\r") else rest + b"\r") + b"\n") is not None


def chunk(data: Bytes) -> bytes:
    """Return *data*, which must not be empty, as one chunk."""
    return b"".join((b"%x\r\n" % len(data), data, b"\r\n"))


def last_chunk(trailers: Lines) -> bytes:
    """Return what ends a chunked body."""
    return b"".join([b"0\r\n", *(line + b"\r\n" for line in trailers), b"\r\n"])
