"""Content codings: what is compressed for the client is looked at in a decoded copy.

A few bytes can become a gigabyte, in one piece or in many, and this is the relay's loop: what is decoded is bounded.
"""

import zlib
from collections.abc import Callable
from typing import Any

from claude_gatewayd.http1.flow import Bytes

_PIECE = 64 * 1024  # decoded at once
_BURST = 4 * 1024 * 1024  # decoded of one piece: 10 ms
_RATIO = 64  # what a byte may become in the long run; events that are much alike come to 20
_WINDOW = 8 * 1024 * 1024  # RFC 9659: what a decoder of zstd has to bear


class _Output:
    """What has been decoded, and how much more may be."""

    __slots__ = ("left", "pieces")

    def __init__(self, left: int = _BURST) -> None:
        self.left = left
        self.pieces: list[bytes] = []

    def write(self, data: Bytes) -> int:
        """Take the next of it; a name that zstandard knows."""
        self.charge(len(data))
        self.pieces.append(bytes(data))
        return len(data)

    def charge(self, size: int) -> None:
        """Count work that is worth *size* bytes."""
        self.left -= size
        if self.left < 0:
            raise ValueError("too much")


_Decode = Callable[[Bytes], object]


class Decoder:
    """Decode a stream piece by piece. What cannot be decoded, or becomes too much, makes it *blind*; it never fails."""

    __slots__ = ("_decode", "_output", "blind")

    def __init__(self, make: Callable[[_Output], _Decode]) -> None:
        self._output = _Output()
        self._decode = make(self._output)
        self.blind = False

    def feed(self, data: Bytes) -> bytes:
        """Return what *data* adds, nothing once it is blind."""
        if self.blind:
            return b""
        output = self._output
        output.left = min(output.left + _RATIO * len(data), _BURST)
        try:
            self._decode(data)
        except Exception:  # each library has errors of its own, and some have none that is documented
            self.blind = True
        decoded = b"".join(output.pieces)
        output.pieces.clear()
        return decoded


def decoder(coding: bytes) -> Decoder | None:
    """Return what decodes a content coding; None for one that we do not know, or several."""
    make = _MAKERS.get(coding.strip().lower())
    return Decoder(make) if make is not None else None


def decoded(coding: bytes, body: Bytes) -> bytes:
    """Return a whole body decoded, as far as it can be."""
    whole = decoder(coding)
    return whole.feed(body) if whole is not None else b""


class NotDecoded(Exception):
    """A body that is not in the coding that it should be in, or in one that we do not know."""


class TooMuch(Exception):
    """A body that becomes larger than it may."""


def knows(coding: bytes) -> bool:
    """Say whether a body in this coding can be read."""
    return coding.strip().lower() in _MAKERS


def expanded(coding: bytes, body: Bytes, most: int) -> bytes:
    """Return a whole body decoded, of *most* bytes at most. It may take a while. Raises NotDecoded, TooMuch."""
    output = _Output(most)
    make = _MAKERS.get(coding.strip().lower())
    if make is None:
        raise NotDecoded
    try:
        make(output)(body)
    except Exception:  # each library has errors of its own
        raise TooMuch if output.left < 0 else NotDecoded from None
    return b"".join(output.pieces)


def _identity(output: _Output) -> _Decode:
    return lambda data: output.pieces.append(bytes(data))


def _gzip(output: _Output) -> _Decode:
    inner = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def decode(data: Bytes) -> None:
        nonlocal inner
        while data:
            if inner.eof:  # RFC 1952 2.2: one member after the other
                output.charge(_PIECE)  # a member without contents is not for nothing
                inner = zlib.decompressobj(zlib.MAX_WBITS | 32)
            data = _inflate(inner, data, output)

    return decode


def _deflate(output: _Output) -> _Decode:
    """Decode zlib's format, as RFC 9110 8.4.1.2 has it, or bare deflate, as some servers do."""
    inner: Any = None

    def decode(data: Bytes) -> None:
        nonlocal inner
        if inner is None and len(data):
            is_zlib = data[0] & 0x0F == 8 and data[0] >> 4 <= 7
            inner = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        if inner is not None and not inner.eof:
            _inflate(inner, data, output)

    return decode


def _inflate(inner: Any, data: Bytes, output: _Output) -> bytes:
    """Decompress all of *data*, and return what stands behind the end."""
    while True:
        out = inner.decompress(data, _PIECE)
        output.write(out)
        data = inner.unconsumed_tail
        if inner.eof:
            behind: bytes = inner.unused_data
            return behind
        if not data and len(out) < _PIECE:  # with as much as was asked for, more may be in it
            return b""


def _br(output: _Output) -> _Decode:
    import brotli  # here, for most answers come in gzip

    inner = brotli.Decompressor()

    def decode(data: Bytes) -> None:
        out = inner.process(bytes(data), output_buffer_limit=_PIECE)
        output.write(out)
        while not inner.is_finished() and (out or not inner.can_accept_more_data()):  # more may be in it, either way
            out = inner.process(b"", output_buffer_limit=_PIECE)
            output.write(out)

    return decode


def _zstd(output: _Output) -> _Decode:
    import zstandard

    # Of its interfaces the one that gives what it has in pieces, goes on with the next frame, and stops when asked to.
    inner = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_writer(output, write_size=_PIECE)  # type: ignore[arg-type]
    return inner.write


def load_all() -> None:
    """Import what any coding needs: later, an upgrade in place may have put another version there."""
    import brotli  # noqa: F401
    import zstandard  # noqa: F401


_MAKERS: dict[bytes, Callable[[_Output], _Decode]] = {
    b"": _identity,
    b"identity": _identity,
    b"gzip": _gzip,
    b"x-gzip": _gzip,
    b"deflate": _deflate,
    b"br": _br,
    b"zstd": _zstd,
}
