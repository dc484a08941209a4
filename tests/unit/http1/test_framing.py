"""Where a body ends: the same payload, end and verdict however it is cut."""

import string
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_gatewayd.http1.framing import BodyReader, Chunked, Counted, UntilClose, chunk, last_chunk
from claude_gatewayd.http1.head import Malformed
from tests.support.cuts import cut, cut_anywhere

FUZZ = settings(max_examples=300, deadline=None)
MORE = settings(max_examples=600, deadline=None)


class Verdict(NamedTuple):
    """What became of a stream of bytes."""

    end: str  # "done", "more", "refused"
    used: int = 0
    payload: bytes = b""
    trailers: tuple[bytes, ...] = ()


REFUSED = Verdict("refused")


def followed(body: BodyReader, pieces: list[bytes]) -> Verdict:
    """Feed the pieces as a connection does, and say what came of it."""
    used, payload = 0, b""
    try:
        for piece in pieces:
            while piece and not body.done:
                taken, got = body.feed(piece)
                assert 0 < taken <= len(piece)
                assert body.done or taken == len(piece) or len(got) > 500  # enough for once
                used += taken
                payload += got
                piece = piece[taken:]
    except Malformed:
        return REFUSED
    trailers = tuple(body.trailers) if isinstance(body, Chunked) else ()
    return Verdict("done" if body.done else "more", used, payload, trailers)


# A second decoder, of the plainest sort: whole lines of a whole stream, by RFC 9112 7.1 and nothing else.

TEXT = bytes([9, *range(0x20, 0x7F), *range(0x80, 0x100)])
TOKEN = (string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~").encode()


def is_size_line(line: bytes) -> bool:
    size, _, extension = line.partition(b";")
    hexadecimal = 1 <= len(size) <= 15 and all(sign in string.hexdigits.encode() for sign in size)
    return hexadecimal and len(extension) <= 4096 and all(sign in TEXT for sign in extension)


def is_trailer(line: bytes) -> bool:
    name, colon, value = line.partition(b":")
    return bool(name and colon) and all(sign in TOKEN for sign in name) and all(sign in TEXT for sign in value)


def decoded(stream: bytes) -> Verdict:
    """Decode a whole stream. What is cut off is "more", even if nothing good can come of it."""
    at, payload = 0, b""
    while True:
        line, crlf, _ = stream[at:].partition(b"\r\n")
        if not crlf:
            return Verdict("more")
        if not is_size_line(line):
            return REFUSED
        at += len(line) + 2
        size = int(line.partition(b";")[0], 16)
        if not size:
            break
        payload += stream[at : at + size]
        at += size
        if len(stream) < at + 2:
            return Verdict("more") if b"\r\n".startswith(stream[at:]) else REFUSED
        if stream[at : at + 2] != b"\r\n":
            return REFUSED
        at += 2
    trailers: list[bytes] = []
    begun = at
    while True:
        line, crlf, _ = stream[at:].partition(b"\r\n")
        if not crlf:
            return Verdict("more")
        at += len(line) + 2
        if not line:
            break
        trailers.append(line)
    if not all(map(is_trailer, trailers)) or at - begun - (4 if trailers else 2) > 64 * 1024:
        return REFUSED
    return Verdict("done", at, payload, tuple(trailers))


def check(stream: bytes, pieces: list[bytes]) -> None:
    """Hold three against each other: whole, in pieces, and the plain decoder."""
    whole, cut, plain = followed(Chunked(), [stream]), followed(Chunked(), pieces), decoded(stream)
    assert cut == whole
    if plain.end != "more":
        assert whole == plain
    else:  # it may see sooner that nothing can come of it
        assert whole.end in ("more", "refused")


# Streams: good ones as odd as they may be, and good ones in which something was changed.

EXTENSIONS = st.just(b"") | st.lists(st.sampled_from(sorted(TEXT)), max_size=10).map(lambda signs: b";" + bytes(signs))
NAMES = st.lists(st.sampled_from(sorted(TOKEN)), min_size=1, max_size=8).map(bytes)
VALUES = st.lists(st.sampled_from(sorted(TEXT)), max_size=8).map(bytes)


@st.composite
def size_lines(draw: st.DrawFn, size: int) -> bytes:
    digits = f"{size:x}".zfill(draw(st.integers(1, 15)))
    digits = "".join(digit.upper() if draw(st.booleans()) else digit for digit in digits)
    return digits.encode() + draw(EXTENSIONS) + b"\r\n"


@st.composite
def chunked(draw: st.DrawFn) -> Verdict:
    """A stream, in the place of its payload's end, and what it means."""
    chunks = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5))
    trailers = draw(st.lists(st.tuples(NAMES, VALUES).map(b":".join), max_size=3))
    stream = b"".join(draw(size_lines(len(data))) + data + b"\r\n" for data in chunks)
    stream += draw(size_lines(0)) + b"".join(line + b"\r\n" for line in trailers) + b"\r\n"
    return Verdict(stream.decode("latin-1"), len(stream), b"".join(chunks), tuple(trailers))


@FUZZ
@given(chunked(), st.binary(max_size=30), st.data())
def test_a_valid_body(body: Verdict, behind: bytes, data: st.DataObject) -> None:
    stream = body.end.encode("latin-1")
    expected = body._replace(end="done")
    assert decoded(stream + behind) == expected  # the plain decoder is right, then
    assert followed(Chunked(), data.draw(cut_anywhere(stream + behind))) == expected
    assert followed(Chunked(), [stream + behind]) == expected


@FUZZ
@given(chunked(), st.data())
def test_a_body_cut_short(body: Verdict, data: st.DataObject) -> None:
    stream = body.end.encode("latin-1")
    short = stream[: data.draw(st.integers(0, len(stream) - 1))]
    verdict = followed(Chunked(), data.draw(cut_anywhere(short)))
    assert (verdict.end, verdict.used) == ("more", len(short))
    assert body.payload.startswith(verdict.payload)
    check(short, data.draw(cut_anywhere(short)))


@MORE
@given(chunked(), st.data())
def test_what_was_changed_meets_the_same_verdict_however_it_is_cut(body: Verdict, data: st.DataObject) -> None:
    stream = body.end.encode("latin-1")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(stream)))
        gone = data.draw(st.integers(0, 3))
        odd = st.sampled_from(
            [
                b"",
                b"\r",
                b"\n",
                b"\r\n",
                b"\r\r\n",
                b"\n\n",
                b"\0",
                b" ",
                b"\t",
                b";",
                b"0",
                b"-",
                b"x",
                b"+1",
                b"0x5",
                b":",
                b"0\r\n\r\n",
            ]
        )
        stream = stream[:at] + data.draw(odd | st.binary(max_size=3)) + stream[at + gone :]
    check(stream, data.draw(cut_anywhere(stream)))


@MORE
@given(
    st.lists(
        st.sampled_from([b"\r", b"\n", b"\r\n", b"0", b"1", b"a", b"F", b";", b":", b"x", b" ", b"\0", b"\xff"]),
        max_size=24,
    ).map(b"".join),
    st.data(),
)
def test_rubbish_meets_the_same_verdict_however_it_is_cut(stream: bytes, data: st.DataObject) -> None:
    check(stream, data.draw(cut_anywhere(stream)))


REFUSALS = [
    b"\r\n",
    b"\n",
    b" 5\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b"5\t;x\r\nhello\r\n0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"5_0\r\n",
    b"g\r\n",
    b"5\nhello\r\n0\r\n\r\n",
    b"5\rhello\r\n0\r\n\r\n",
    b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    b"5;\0\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello!\r\n0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhello\r0\r\n\r\n",
    b"5\r\nhello\r\n\r\n0\r\n\r\n",
    b"1000000000000000\r\n",
    b"ffffffffffffffff\r\n",
    b"0000000000000000\r\n",
    b"5;" + b"x" * 4097 + b"\r\nhello\r\n0\r\n\r\n",
    b"5" * 16,
    b"0\n\n",
    b"0\r\n\n",
    b"0\r\nA: b\n\r\n\r\n",
    b"0\r\nA\r\n\r\n",
    b"0\r\n: b\r\n\r\n",
    b"0\r\nA : b\r\n\r\n",
    b"0\r\nA: b\r\n folded\r\n\r\n",
    b"0\r\nA: b\rc\r\n\r\n",
    b"0\r\nA: \0\r\n\r\n",
    b"0\r\n" + b"A: " + b"x" * 65534 + b"\r\n\r\n",
]


@pytest.mark.parametrize("stream", REFUSALS, ids=lambda stream: repr(stream[:20]))
def test_refused_however_it_is_cut(stream: bytes) -> None:
    assert followed(Chunked(), [stream]) == REFUSED
    for size in (1, 2, 3, 7) if len(stream) < 5000 else (4096, 65530):
        assert followed(Chunked(), [stream[at : at + size] for at in range(0, len(stream), size)]) == REFUSED
    for place in range(1, min(len(stream), 50)):
        assert followed(Chunked(), [stream[:place], stream[place:]]) == REFUSED


@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_the_limit_of_trailers_does_not_depend_on_cuts(beyond: int) -> None:
    trailer = b"A: " + b"x" * (64 * 1024 - 3 + beyond)
    stream = b"0\r\n" + trailer + b"\r\n\r\n"
    expected = REFUSED if beyond > 0 else Verdict("done", len(stream), b"", (trailer,))
    assert followed(Chunked(), [stream + b"more"]) == expected
    for place in range(len(stream) - 6, len(stream)):
        assert followed(Chunked(), [stream[:place], stream[place:]]) == expected


def test_rubbish_is_not_waited_on() -> None:
    """A size line that can never become good is refused before its end comes."""
    for beginning in (b"G", b"5 ", b"\r", b"5\rx", b"f" * 16, b"5;" + b"x" * 4097, b"5;\0"):
        assert followed(Chunked(), [beginning]) == REFUSED
    for beginning in (b"5", b"5\r", b"5;", b"5;a=b", b"5;a\r", b"f" * 15):
        assert followed(Chunked(), [beginning]).end == "more"


@FUZZ
@given(
    size=st.integers(400, 3000),
    spelled=st.sampled_from([b"1", b"01", b"1;a=b"]),
    odd=st.lists(
        st.tuples(st.integers(0, 3000), st.sampled_from([b"a\r\n0123456789\r\n", b"3\r\nabc\r\n"])), max_size=4
    ),
    end=st.sampled_from([b"0\r\n\r\n", b"0\r\nX-A: b\r\n\r\n", b"0\r\nbad\r\n\r\n", b"g\r\n", b""]),
    data=st.data(),
)
def test_many_small_chunks(
    size: int, spelled: bytes, odd: list[tuple[int, bytes]], end: bytes, data: st.DataObject
) -> None:
    """Not all is followed at once, and what is left over is followed to the same verdict."""
    chunks = [spelled + b"\r\nx\r\n"] * size
    for place, other in odd:
        chunks.insert(place % size, other)
    stream = b"".join(chunks) + end
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    check(stream, cut(stream, sorted(places)))


def test_only_so_much_is_followed_at_once() -> None:
    for spelled in (b"1", b"0001", b"1;x"):
        body = Chunked()
        rest = (spelled + b"\r\nx\r\n") * 40_000 + b"0\r\n\r\n"
        while not body.done:
            used, payload = body.feed(rest)
            assert len(payload) <= 512
            rest = rest[used:]
        assert not rest


def test_trailers_keep_their_bytes() -> None:
    body = Chunked()
    body.feed(b"0\r\nX-One:  a \r\nx-two:\r\nx-one: b\r\n\r\n")
    assert body.trailers == [b"X-One:  a ", b"x-two:", b"x-one: b"]


@FUZZ
@given(
    st.lists(st.binary(min_size=1, max_size=50), max_size=5),
    st.lists(st.tuples(NAMES, VALUES).map(b": ".join), max_size=3),
)
def test_what_we_write_is_what_we_read(payload: list[bytes], trailers: list[bytes]) -> None:
    stream = b"".join(map(chunk, payload)) + last_chunk(trailers)
    assert followed(Chunked(), [stream]) == Verdict("done", len(stream), b"".join(payload), tuple(trailers))


@FUZZ
@given(st.binary(max_size=60), st.integers(0, 40), st.data())
def test_counted(stream: bytes, length: int, data: st.DataObject) -> None:
    verdict = followed(Counted(length), data.draw(cut_anywhere(stream)))
    end = "done" if len(stream) >= length else "more"
    assert verdict == Verdict(end, min(length, len(stream)), stream[:length])


@FUZZ
@given(st.binary(max_size=60), st.data())
def test_until_close(stream: bytes, data: st.DataObject) -> None:
    assert followed(UntilClose(), data.draw(cut_anywhere(stream))) == Verdict("more", len(stream), stream)
