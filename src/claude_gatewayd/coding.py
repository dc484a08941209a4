"""Content codings: what is compressed for the client is looked at in a decoded copy."""

import zlib
from collections.abc import Callable
from typing import Any

_MOST = 4 * 1024 * 1024  # of one piece; what becomes more is not looked at


class Decoder:
    """Decode a stream piece by piece. What cannot be decoded makes it *blind*; it never fails."""

    __slots__ = ("_decode", "blind")

    def __init__(self, decode: Callable[[bytes | memoryview], bytes]) -> None:
        self._decode = decode
        self.blind = False

    def feed(self, data: bytes | memoryview) -> bytes:
        """Return what *data* adds, nothing once it is blind."""
        if self.blind:
            return b""
        try:
            return self._decode(data)
        except Exception:  # each library has errors of its own, and some have none that is documented
            self.blind = True
            return b""


def decoder(coding: bytes) -> Decoder | None:
    """Return what decodes a content coding; None for one that we do not know, or several."""
    make = _MAKERS.get(coding.strip().lower())
    return Decoder(make()) if make is not None else None


def _identity() -> Callable[[bytes | memoryview], bytes]:
    return bytes


def _gzip() -> Callable[[bytes | memoryview], bytes]:
    inner = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def decode(data: bytes | memoryview) -> bytes:
        out = inner.decompress(data, _MOST)
        if inner.unconsumed_tail:
            raise ValueError("too much")
        return out

    return decode


def _deflate() -> Callable[[bytes | memoryview], bytes]:
    """Decode zlib's format, as RFC 9110 8.4.1.2 has it, or bare deflate, as some servers do."""
    inner: Any = None

    def decode(data: bytes | memoryview) -> bytes:
        nonlocal inner
        if inner is None and len(data):
            is_zlib = data[0] & 0x0F == 8 and data[0] >> 4 <= 7
            inner = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        out: bytes = inner.decompress(data, _MOST) if inner is not None else b""
        if inner is not None and inner.unconsumed_tail:
            raise ValueError("too much")
        return out

    return decode


def _br() -> Callable[[bytes | memoryview], bytes]:
    import brotli  # here, for most answers come in gzip

    inner = brotli.Decompressor()

    def decode(data: bytes | memoryview) -> bytes:
        out: bytes = inner.process(bytes(data), output_buffer_limit=_MOST)
        if not inner.can_accept_more_data() and not inner.is_finished():
            raise ValueError("too much")
        return out

    return decode


def _zstd() -> Callable[[bytes | memoryview], bytes]:
    import zstandard

    inner = zstandard.ZstdDecompressor(max_window_size=8 * 1024 * 1024).decompressobj()

    def decode(data: bytes | memoryview) -> bytes:
        out = inner.decompress(bytes(data))
        if len(out) > _MOST:
            raise ValueError("too much")
        return out

    return decode


_MAKERS = {
    b"": _identity,
    b"identity": _identity,
    b"gzip": _gzip,
    b"x-gzip": _gzip,
    b"deflate": _deflate,
    b"br": _br,
    b"zstd": _zstd,
}
