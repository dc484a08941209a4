"""Content codings, looked at in a copy."""

import zlib

import brotli
import pytest
import zstandard

from claude_gatewayd.coding import decoder

TEXT = b"event: message_start\ndata: {}\n\n" * 20


def squeezed(coding: str, text: bytes) -> bytes:
    """Return a whole body in a coding."""
    if coding == "br":
        return brotli.compress(text)  # type: ignore[no-any-return]
    if coding == "zstd":
        return zstandard.compress(text)
    wbits = {"gzip": 31, "x-gzip": 31, "deflate": 15, "bare deflate": -15}[coding]
    compressor = zlib.compressobj(wbits=wbits)
    return compressor.compress(text) + compressor.flush()


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "bare deflate", "br", "zstd"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_in_pieces(coding: str, size: int) -> None:
    decode = decoder(coding.removeprefix("bare ").upper().encode())
    assert decode is not None
    data = squeezed(coding, TEXT)
    assert b"".join(decode.feed(data[at : at + size]) for at in range(0, len(data), size)) == TEXT
    assert not decode.blind


@pytest.mark.parametrize("coding", [b"", b"identity", b" Identity "])
def test_nothing_to_decode(coding: bytes) -> None:
    decode = decoder(coding)
    assert decode is not None
    assert decode.feed(memoryview(TEXT)) == TEXT


@pytest.mark.parametrize("coding", [b"compress", b"gzip, br", b"x"])
def test_what_we_do_not_know(coding: bytes) -> None:
    assert decoder(coding) is None


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd"])
def test_what_cannot_be_decoded_makes_blind(coding: bytes) -> None:
    decode = decoder(coding)
    assert decode is not None
    assert decode.feed(b"\x00no such thing" * 9) == b""
    assert decode.blind
    assert decode.feed(b"more") == b""


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_is_not_looked_at(coding: str) -> None:
    decode = decoder(coding.encode())
    assert decode is not None
    decode.feed(squeezed(coding, bytes(64 * 1024 * 1024)))
    assert decode.blind
