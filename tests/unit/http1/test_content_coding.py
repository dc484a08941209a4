"""Content codings, looked at in a copy."""

import functools
import json
import tracemalloc
import zlib

import brotli
import pytest
import zstandard

from claude_gatewayd.http1.content_coding import NotDecoded, TooMuch, decoder, expanded, knows
from tests.support.effort import effort

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


@functools.cache
def bomb(coding: str) -> bytes:
    """Return a few bytes that become a quarter of a gigabyte."""
    if coding == "br":
        return brotli.compress(bytes(256 * 1024 * 1024), quality=1)  # type: ignore[no-any-return]
    return squeezed(coding, bytes(256 * 1024 * 1024))


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


CODINGS = ["gzip", "deflate", "br", "zstd"]
BURST = 4 * 1024 * 1024
RATIO = 64


def flushed(coding: str, *parts: bytes) -> list[bytes]:
    """Return what is sent for each part as it comes, and what is sent at the end."""
    if coding == "br":
        br = brotli.Compressor()
        return [*(br.process(part) + br.flush() for part in parts), br.finish()]
    if coding == "zstd":
        zstd = zstandard.ZstdCompressor().compressobj()
        return [*(zstd.compress(part) + zstd.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for part in parts), zstd.flush()]
    compressor = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
    return [*(compressor.compress(part) + compressor.flush(zlib.Z_SYNC_FLUSH) for part in parts), compressor.flush()]


@pytest.mark.parametrize("coding", CODINGS)
def test_what_was_flushed_is_there_at_once_and_the_end_may_come_empty(coding: str) -> None:
    decode = decoder(coding.encode())
    assert decode is not None
    first, second, end = flushed(coding, b"one", b"two")
    assert [decode.feed(piece) for piece in (first, b"", second, end, b"")] == [b"one", b"", b"two", b"", b""]
    assert not decode.blind


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("size", [1, 10_000])
def test_one_behind_the_other(coding: str, size: int) -> None:
    """Members of gzip, frames of zstd: a server may begin a new one with each event."""
    decode = decoder(coding.encode())
    assert decode is not None
    data = b"".join(squeezed(coding, part) for part in (b"one ", b"two ", b"three"))
    assert b"".join(decode.feed(data[at : at + size]) for at in range(0, len(data), size)) == b"one two three"
    assert not decode.blind


@pytest.mark.parametrize("coding", CODINGS)
def test_what_came_before_it_broke_is_seen(coding: str) -> None:
    decode = decoder(coding.encode())
    assert decode is not None
    first, *_ = flushed(coding, TEXT)
    assert decode.feed(first) == TEXT
    decode.feed(b"\xff" * 99)
    assert decode.blind


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("size", [100, 4096, 1 << 20], ids=["in many pieces", "in pieces", "at once"])
def test_a_bomb_is_not_looked_at(coding: str, size: int) -> None:
    """Neither its bytes nor the time for them: a quarter of a gigabyte would take a second of the relay's loop."""
    decode = decoder(coding.encode())
    assert decode is not None
    data = bomb(coding)
    with effort() as spent:
        seen = [len(decode.feed(data[at : at + size])) for at in range(0, len(data), size)]
    assert decode.blind
    assert max(seen) <= BURST
    assert sum(seen) <= BURST + RATIO * len(data)
    assert spent.amount < 50


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_takes_little_memory(coding: str) -> None:
    """It was there as a whole before it was found too large."""
    decode, data = decoder(coding.encode()), bomb(coding)
    assert decode is not None
    tracemalloc.start()
    try:
        decode.feed(data)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert decode.blind
    assert most < 3 * BURST


def test_many_members_without_contents_are_a_bomb_too() -> None:
    """Each costs as much as one with contents."""
    decode = decoder(b"gzip")
    assert decode is not None
    data = squeezed("gzip", b"") * 10_000
    with effort() as spent:
        decode.feed(data)
    assert decode.blind
    assert spent.amount < 10


def test_events_that_are_much_alike_are_no_bomb() -> None:
    event = b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"%d"}}\n\n'
    for coding in CODINGS:
        decode = decoder(coding.encode())
        assert decode is not None
        events = [event % number for number in range(4_000)]
        pieces = flushed(coding, *(b"".join(events[at : at + 8]) for at in range(0, len(events), 8)))
        assert sum(len(decode.feed(piece)) for piece in pieces) == sum(map(len, events))
        assert not decode.blind


@pytest.mark.parametrize("coding", [b"gzip", b"X-GZIP ", b"deflate", b"br", b"zstd", b"", b"identity"])
def test_a_whole_body_is_expanded_within_a_bound(coding: bytes) -> None:
    body = json.dumps({"messages": ["hello"] * 100_000}).encode()
    name = coding.strip().lower().decode()
    coded = body if name in ("", "identity") else squeezed(name, body)
    assert expanded(coding, coded, len(body)) == body
    if coding not in (b"", b"identity"):
        with pytest.raises(TooMuch):
            expanded(coding, coded, len(body) - 1)
        with pytest.raises(NotDecoded):
            expanded(coding, b"\xff\xff none \xff", len(body))


def test_a_body_in_no_coding_of_ours() -> None:
    assert not knows(b"compress")
    assert not knows(b"gzip, gzip")
    with pytest.raises(NotDecoded):
        expanded(b"compress", b"", 9)
