"""Heads: what is ambiguous is refused, what is not is read in one way and keeps its bytes."""

import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_gatewayd.http1 import head
from claude_gatewayd.http1.head import HOP_BY_HOP, MAX_HEAD, Malformed, RequestHead, ResponseHead
from tests.support.cuts import cut_anywhere
from tests.support.memory import kept_by

FUZZ = settings(max_examples=300, deadline=None)


def request(*lines: bytes, first: bytes = b"POST /v1/messages HTTP/1.1", host: bytes = b"Host: localhost") -> bytes:
    return b"\r\n".join([first, *([host] if host else []), *lines]) + b"\r\n\r\n"


def answer(*lines: bytes, first: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([first, *lines]) + b"\r\n\r\n"


def refused(whole: bytes) -> int:
    """Return the status that a request is refused with."""
    with pytest.raises(Malformed) as caught:
        head.parse_request(whole)
    assert caught.value.why
    return caught.value.status


# what smuggling lives on

SMUGGLED = [
    (request(b"Content-Length: 3", b"Transfer-Encoding: chunked"), 400),
    (request(b"Transfer-Encoding: chunked", b"Content-Length: 3"), 400),
    (request(b"Transfer-Encoding: chunked", b"Content-Length: 0"), 400),
    (request(b"Content-Length: 3", b"Content-Length: 3"), 400),
    (request(b"Content-Length: 3", b"content-length: 4"), 400),
    (request(b"Content-Length: 3, 3"), 400),
    (request(b"Content-Length: 3 3"), 400),
    (request(b"Content-Length: +3"), 400),
    (request(b"Content-Length: -3"), 400),
    (request(b"Content-Length: 0x3"), 400),
    (request(b"Content-Length: 3_0"), 400),
    (request(b"Content-Length: 3.0"), 400),
    (request(b"Content-Length: 3;"), 400),
    (request(b"Content-Length: \xb2"), 400),
    (request(b"Content-Length:"), 400),
    (request(b"Content-Length: x"), 400),
    (request(b"Content-Length: 18446744073709551616"), 400),
    (request(b"Content-Length: 9999999999999999999"), 400),
    (request(b"Content-Length : 3"), 400),
    (request(b"Content-Length\t: 3"), 400),
    (request(b"Content-Length: 3\r"), 400),
    (request(b"\x0bContent-Length: 3"), 400),
    (request(b"Transfer-Encoding : chunked"), 400),
    (request(b"Transfer-Encoding\t: chunked"), 400),
    (request(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
    (request(b"Transfer-Encoding: chunked", b"transfer-encoding: identity"), 400),
    (request(b"Transfer-Encoding: identity"), None),
    (request(b"Transfer-Encoding: gzip"), None),
    (request(b"Transfer-Encoding: gzip, chunked"), 501),
    (request(b"Transfer-Encoding: chunked, identity"), None),
    (request(b"Transfer-Encoding: chunked, chunked"), None),
    (request(b"Transfer-Encoding: xchunked"), None),
    (request(b"Transfer-Encoding: chunkedx"), None),
    (request(b"Transfer-Encoding: \x0bchunked"), None),
    (request(b'Transfer-Encoding: "chunked"'), None),
    (request(b"Transfer-Encoding: chunked;q=1"), None),
    (request(b"Transfer-Encoding: ,chunked"), None),
    (request(b"Transfer-Encoding:"), None),
    (request(b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0"), 400),
    (request(b"X: a", b" folded"), 400),
    (request(b"X: a", b"\tfolded"), 400),
    (request(b" X: a"), 400),
    (request(b"X: a", b"  Transfer-Encoding: chunked"), 400),
    (request(b"X: a\nTransfer-Encoding: chunked"), 400),
    (request(b"X: a\n"), 400),
    (request(b"X: a\rTransfer-Encoding: chunked"), 400),
    (request(b"X: a\r\r"), 400),
    (request(b"X: a\0b"), 400),
    (request(b"X\0: a"), 400),
    (request(b"X: a\x01"), 400),
    (request(b"X: a\x7f"), 400),
    (request(b"X"), 400),
    (request(b": a"), 400),
    (request(b"X Y: a"), 400),
    (request(b"X\xe9: a"), 400),
    (request(b"X(: a"), 400),
    (request(host=b""), 400),
    (request(b"Host: localhost"), 400),
    (request(b"host: evil.example"), 400),
    (request(b"Host: a", host=b"Host: a"), 400),
    (request(b"Authorization: Bearer a", b"authorization: Bearer b"), 400),
    (request(b"x-api-key: a", b"X-Api-Key: b"), 400),
    (request(first=b"CONNECT localhost:443 HTTP/1.1"), 400),
    (request(b"Connection: Upgrade", b"Upgrade: websocket", first=b"GET / HTTP/1.1"), 400),
    (request(b"Connection: keep-alive, upgrade", b"Upgrade: h2c", first=b"GET / HTTP/1.1"), 400),
    (request(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 3"), 400),
    (request(b"Connection: Upgrade", b"Upgrade: h2c", b"Transfer-Encoding: chunked"), 400),
    (request(first=b"GET / HTTP/2.0"), 505),
    (request(first=b"GET / HTTP/0.9"), 505),
    (request(first=b"GET / HTTP/1.2"), 400),
    (request(first=b"GET / HTTP/3.0"), 400),
    (request(first=b"GET / http/1.1"), 400),
    (request(first=b"GET / HTTP/1.1 "), 400),
    (request(first=b"GET / HTTP/11"), 400),
    (request(first=b"GET /"), 400),
    (request(first=b"GET"), 400),
    (request(first=b""), 400),
    (request(first=b"get / HTTP/1.1"), 400),
    (request(first=b"NONSENSE / HTTP/1.1"), 400),
    (request(first=b"G\0T / HTTP/1.1"), 400),
    (request(first=b" GET / HTTP/1.1"), 400),
    (request(first=b"GET  HTTP/1.1"), 400),
    (request(first=b"GET /a b HTTP/1.1"), 400),
    (request(first=b"GET /a\x01 HTTP/1.1"), 400),
    (request(first=b"HTTP/1.1 200 OK"), 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    (b"PRI * HTTP/2.0\r\n\r\n", None),
    (b"\r\n\r\n", 400),
    (b"\r\n" + request(), 400),
]


@pytest.mark.parametrize(("whole", "status"), SMUGGLED, ids=lambda value: repr(value)[:80])
def test_refused(whole: bytes, status: int | None) -> None:
    got = refused(whole)
    assert got == status if status else got in (400, 501, 505)


def test_a_tab_before_the_version_or_target_is_refused() -> None:
    for first in (b"GET\t/ HTTP/1.1", b"GET /\tHTTP/1.1"):
        refused(request(first=first))


# what is read in one way

NONE: frozenset[bytes] = frozenset()
READ: list[tuple[bytes, dict[str, Any]]] = [
    (request(), {"length": None, "chunked": False, "keep_alive": True, "is_http_10": False}),
    (request(b"Content-Length: 3"), {"length": 3, "chunked": False}),
    (request(b"Content-Length:3"), {"length": 3}),
    (request(b"Content-Length: \t 3 \t"), {"length": 3}),
    (request(b"Content-Length: 0003"), {"length": 3}),
    (request(b"Content-Length: 0"), {"length": 0}),
    (request(b"Transfer-Encoding: chunked"), {"length": None, "chunked": True}),
    (request(b"transfer-encoding:CHUNKED"), {"chunked": True}),
    (request(b"Transfer-Encoding: chunked "), {"chunked": True}),
    (request(b"Connection: close"), {"keep_alive": False, "named": frozenset()}),
    (request(b"Connection: Keep-Alive"), {"keep_alive": True, "named": frozenset()}),
    (request(b"Connection: x, CLOSE , y"), {"keep_alive": False, "named": frozenset((b"x", b"y"))}),
    (request(b"Connection: x", b"connection: close"), {"keep_alive": False, "named": frozenset((b"x",))}),
    (request(b"Connection: closed"), {"keep_alive": True}),
    (request(b"Connection: content-length", b"Content-Length: 3"), {"length": 3, "named": frozenset()}),
    (request(b"Connection: Host, Transfer-Encoding", b"Transfer-Encoding: chunked"), {"chunked": True, "named": NONE}),
    (request(b"Upgrade: websocket", first=b"GET / HTTP/1.1"), {"method": b"GET"}),
    (request(first=b"GET / HTTP/1.0", host=b""), {"is_http_10": True, "keep_alive": False}),
    (request(b"Connection: keep-alive", first=b"GET / HTTP/1.0"), {"is_http_10": True, "keep_alive": False}),
    (request(first=b"GET http://localhost/a?b HTTP/1.1"), {"target": b"http://localhost/a?b"}),
    (request(first=b"OPTIONS * HTTP/1.1"), {"method": b"OPTIONS", "target": b"*"}),
    (request(first=b"GET /a?b=c&d=%20%00#e HTTP/1.1"), {"target": b"/a?b=c&d=%20%00#e"}),
    (request(first=b"GET //a//../b HTTP/1.1"), {"target": b"//a//../b"}),
    (request(first=b"DELETE /v1/files/x HTTP/1.1"), {"method": b"DELETE"}),
    (request(first=b"PATCH / HTTP/1.1"), {"method": b"PATCH"}),
    (request(host=b"Host:"), {}),
    (request(b"X: \xff\x80"), {}),
    (request(b"X:"), {}),
]  # fmt: skip


@pytest.mark.parametrize(("whole", "expected"), READ, ids=[repr(whole)[:80] for whole, _ in READ])
def test_read(whole: bytes, expected: dict[str, Any]) -> None:
    parsed = head.parse_request(whole)
    assert {name: getattr(parsed, name) for name in expected} == expected
    assert b"\r\n".join(parsed.lines) == whole[:-4].partition(b"\r\n")[2]


def test_lines_keep_their_bytes() -> None:
    lines = [
        b"x-lower: a",
        b"X-UPPER:b",
        b"X-Blank: \t c \t",
        b"X-Empty:",
        b"X-Twice: 1",
        b"x-twice: 2",
        b"X-Obs: \xe9\xff",
    ]
    parsed = head.parse_request(request(*lines))
    assert parsed.lines == [b"Host: localhost", *lines]
    assert set(parsed.fields) == {b"host", b"x-lower", b"x-upper", b"x-blank", b"x-empty", b"x-twice", b"x-obs"}
    assert parsed.fields[b"x-blank"] == b"c"
    assert parsed.fields[b"x-empty"] == b""
    assert parsed.fields[b"x-twice"] == b"2"


# what ends here


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ([b"X: 1", b"Y: 2"], [b"X: 1", b"Y: 2"]),
        ([b"Connection: keep-alive", b"Keep-Alive: 5", b"X: 1"], [b"X: 1"]),
        ([b"Connection: X", b"X: 1", b"Y: 2", b"x: 3"], [b"Y: 2"]),
        ([b"Connection: X", b"Connection: Y", b"X: 1", b"Y: 2", b"Z: 3"], [b"Z: 3"]),
        ([b"TE: trailers", b"Upgrade: h2c", b"Proxy-Authorization: Basic x", b"Proxy-Connection: close"], []),
        ([b"Connection: content-length", b"Content-Length: 0"], [b"Content-Length: 0"]),
        ([b"Connection: ,, ", b"X: 1"], [b"X: 1"]),
        ([b"Trailer: X", b"X: 1"], [b"Trailer: X", b"X: 1"]),
    ],
)  # fmt: skip
def test_what_ends_at_a_gateway(lines: list[bytes], left: list[bytes]) -> None:
    kept = head.parse_request(request(*lines)).without(HOP_BY_HOP)
    assert b"\r\n".join(kept).split(b"\r\n") == [b"Host: localhost", *left]


# answers

ANSWERS: list[tuple[bytes, dict[str, Any]]] = [
    (answer(), {"status": 200, "reason": b"OK", "length": None, "chunked": False, "keep_alive": True}),
    (answer(first=b"HTTP/1.1 529 Overloaded for now"), {"status": 529, "reason": b"Overloaded for now"}),
    (answer(first=b"HTTP/1.1 200 "), {"status": 200, "reason": b""}),
    (answer(first=b"HTTP/1.1 200"), {"status": 200, "reason": b""}),
    (answer(first=b"HTTP/1.1 200 \xc3\xa9"), {"reason": b"\xc3\xa9"}),
    (answer(b"Content-Length: 3"), {"length": 3}),
    (answer(b"Transfer-Encoding: chunked"), {"chunked": True, "length": None}),
    (answer(b"Connection: close"), {"keep_alive": False}),
    (answer(first=b"HTTP/1.0 200 OK"), {"keep_alive": False}),
    (answer(b"Connection: keep-alive", first=b"HTTP/1.0 200 OK"), {"keep_alive": True}),
    (answer(b"Set-Cookie: a", b"Set-Cookie: b"), {"lines": [b"Set-Cookie: a", b"Set-Cookie: b"]}),
    (answer(first=b"HTTP/1.1 100 Continue"), {"status": 100}),
    (answer(b"Link: x", first=b"HTTP/1.1 103 Early Hints"), {"status": 103}),
    (answer(b"Content-Length: 3", first=b"HTTP/1.1 304 Not Modified"), {"status": 304, "length": 3}),
    (answer(first=b"HTTP/1.1 204 No Content"), {"status": 204}),
]


@pytest.mark.parametrize(("whole", "expected"), ANSWERS, ids=lambda value: repr(value)[:80])
def test_answers(whole: bytes, expected: dict[str, Any]) -> None:
    parsed = head.parse_response(whole)
    assert {name: getattr(parsed, name) for name in expected} == expected
    assert parsed.lines == whole[:-4].split(b"\r\n")[1:]


@pytest.mark.parametrize(
    "whole",
    [
        answer(b"Content-Length: 3", b"Transfer-Encoding: chunked"),
        answer(b"Content-Length: 3", b"Content-Length: 4"),
        answer(b"Content-Length: -1"),
        answer(b"Transfer-Encoding: gzip"),
        answer(b"Transfer-Encoding: gzip, chunked"),
        answer(b"X: a", b" b"),
        answer(b"X: a\nY: b"),
        answer(b"X: a\0"),
        answer(b"no colon"),
        answer(b"X : a"),
        answer(first=b"HTTP/1.1 2000 OK"),
        answer(first=b"HTTP/1.1 20 OK"),
        answer(first=b"HTTP/1.1 OK"),
        answer(first=b"HTTP/1.1200 OK"),
        answer(first=b"<html>"),
        answer(first=b"GET / HTTP/1.1"),
        answer(b"Connection: upgrade", b"Upgrade: websocket", first=b"HTTP/1.1 101 Switching Protocols"),
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\r\n\r\n",
        b"\r\n" + answer(),
        answer(first=b"HTTP/1.1  200 OK"),
        answer(first=b"HTTP/1.1\t200 OK"),
        answer(first=b"http/1.1 200 OK"),
        answer(first=b"HTTP/2.0 200 OK"),
        answer(first=b"HTTP/1.1 200OK"),
    ],
)
def test_refused_answers(whole: bytes) -> None:
    with pytest.raises(Malformed):
        head.parse_response(whole)


# where a head ends


def end_of(pieces: list[bytes]) -> int | str:
    """Look for the end as a connection does: 0, its length, or the verdict."""
    buffer = b""
    for piece in pieces:
        buffer += piece
        try:
            end = head.find_end(buffer)
        except Malformed as problem:
            return f"refused {problem.status}"
        if end:
            return end
    return 0


@pytest.mark.parametrize("size", [MAX_HEAD - 1, MAX_HEAD, MAX_HEAD + 1, MAX_HEAD + 4, 10 * MAX_HEAD])
def test_the_largest_head(size: int) -> None:
    empty = len(request(b"X: "))
    whole = request(b"X: " + b"x" * (size - empty))
    assert len(whole) == size
    expected = size if size <= MAX_HEAD else "refused 431"
    for pieces in ([whole + b"body"], [whole[:-1], whole[-1:]], [whole[:-4], whole[-4:]], [whole[:50], whole[50:]]):
        assert end_of(pieces) == expected


def test_a_head_that_never_ends_is_refused_in_time() -> None:
    assert end_of([b"GET / HTTP/1.1\r\n", b"X: " + b"x" * MAX_HEAD]) == "refused 431"
    assert end_of([b"GET / HTTP/1.1\r\n"] + [b"X: y\r\n"] * MAX_HEAD) == "refused 431"


@FUZZ
@given(st.binary(max_size=30), st.data())
def test_the_end_does_not_depend_on_cuts(behind: bytes, data: st.DataObject) -> None:
    whole = request(b"Content-Length: 3")
    assert end_of(data.draw(cut_anywhere(whole + behind))) == len(whole)


SHARDS = [b"\r", b"\n", b"\r\n", b"GET / HTTP/1.1\r\n", b"Host: a\r\n", b"X: y", b"\0", b" "]


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.sampled_from(SHARDS), max_size=10).map(b"".join),
    st.data(),
)  # fmt: skip
def test_a_head_is_refused_or_read_however_it_is_cut(stream: bytes, data: st.DataObject) -> None:
    def read(pieces: list[bytes]) -> object:
        end = end_of(pieces)
        if isinstance(end, str):
            return "refused"
        if not end:
            return "more"
        try:
            return head.parse_request(stream[:end])
        except Malformed:
            return "refused"

    assert read(data.draw(cut_anywhere(stream))) == read([stream])


# any head that is one, and any rubbish

TOKEN = string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~"
SPECIAL = {"host", "content-length", "transfer-encoding", "connection", "upgrade", "authorization", "x-api-key"}
NAMES = st.text(TOKEN, min_size=1, max_size=12).filter(lambda name: name.lower() not in SPECIAL)
VALUES = st.lists(st.sampled_from([9, *range(0x20, 0x7F), *range(0x80, 0x100)]), max_size=20).map(bytes)
LINES = st.lists(st.builds(lambda name, value: name.encode() + b":" + value, NAMES, VALUES), max_size=8)
TARGETS = st.text(string.ascii_letters + string.digits + "/?&=%._~:@!$'()*+,;[]|{}^\"<>`\\-", max_size=30)


@FUZZ
@given(LINES, TARGETS, st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"PATCH", b"OPTIONS"]))
def test_any_request_keeps_its_bytes(lines: list[bytes], target: str, method: bytes) -> None:
    whole = request(*lines, first=method + b" /" + target.encode() + b" HTTP/1.1")
    parsed = head.parse_request(whole)
    assert (parsed.method, parsed.target) == (method, b"/" + target.encode())
    assert head.write_request(parsed.method, parsed.target, parsed.lines) == whole


@FUZZ
@given(LINES, st.integers(200, 599), VALUES)
def test_any_answer_keeps_its_bytes(lines: list[bytes], status: int, reason: bytes) -> None:
    whole = answer(*lines, first=b"HTTP/1.1 %d %b" % (status, reason))
    parsed = head.parse_response(whole)
    assert head.write_response(parsed.status, parsed.reason, parsed.lines) == whole


@settings(max_examples=500, deadline=None)
@given(LINES, st.data())
def test_a_damaged_head_is_refused_or_of_one_meaning(lines: list[bytes], data: st.DataObject) -> None:
    """Nothing but Malformed comes out, and what passes reads the same when it has been written again."""
    framing = data.draw(st.sampled_from([b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Connection: close"]))
    for make, parse in ((request, head.parse_request), (answer, head.parse_response)):
        whole = make(*lines, framing)
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(whole)))
            whole = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + data.draw(st.integers(0, 3)) :]
        try:
            end = head.find_end(whole)
            if not end:
                continue
            parsed: RequestHead | ResponseHead = parse(whole[:end])
        except Malformed:
            continue
        if isinstance(parsed, RequestHead):
            again = head.parse_request(head.write_request(parsed.method, parsed.target, parsed.lines))
            assert (again.length, again.chunked, again.lines) == (parsed.length, parsed.chunked, parsed.lines)
            assert not (parsed.chunked and b"content-length" in parsed.fields)
        for line in parsed.lines:
            assert not {0, 10, 13} & set(line)
            assert line[:1] not in (b" ", b"\t", b":")


def test_an_answer_without_lines() -> None:
    assert head.write_response(204, b"No Content", []) == b"HTTP/1.1 204 No Content\r\n\r\n"


def test_long_connection_headers_are_not_remembered() -> None:
    def parse() -> None:
        for number in range(64):
            names = b",".join(b"%d-%d" % (number, name) for name in range(8000))
            assert len(head.parse_request(request(b"Connection: " + names)).named) == 8000

    assert kept_by(parse) < 1
