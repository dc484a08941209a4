"""What differs in the length alone is known; all else is parsed, and whatever is known is as if it had been parsed."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_gatewayd.http1 import head
from claude_gatewayd.http1.head import Malformed, RequestHead
from claude_gatewayd.http1.repeated import RepeatedHead

LINES = [b"Host: a", b"X-Api-Key: one", b"content-LENGTH: 12", b"Connection: keep-alive, X", b"X: 1"]


def whole(lines: list[bytes], first: bytes = b"POST /v1/messages HTTP/1.1") -> bytes:
    return b"\r\n".join([first, *lines]) + b"\r\n\r\n"


def with_length(line: bytes) -> bytes:
    return whole([line if line_before.lower().startswith(b"content-length") else line_before for line_before in LINES])


def facts(parsed: RequestHead) -> tuple[object, ...]:
    return (
        *(parsed.lines, dict(parsed.fields), parsed.length, parsed.chunked, parsed.keep_alive, parsed.named),
        *(parsed.method, parsed.target, parsed.is_http_10, parsed.expects_continue),
    )


def test_another_length_is_known() -> None:
    heads = RepeatedHead()
    first = heads.parse(whole(LINES))
    for length in (b"1", b"12", b"131072", b"9" * 18):
        text = with_length(b"content-LENGTH: " + length)
        found = heads.parse(text)
        assert found.likeness is first.likeness is not None
        assert facts(found) == facts(head.parse_request(text))


@pytest.mark.parametrize(
    "text",
    [
        with_length(b"content-LENGTH: 0"),
        with_length(b"content-LENGTH: 012"),
        with_length(b"content-LENGTH: 12 "),
        with_length(b"Content-Length: 12"),
        with_length(b"X-content-LENGTH: 12"),
        with_length(b"Transfer-Encoding: chunked"),
        with_length(b"X-Api-Key2: two"),
        whole(LINES, b"POST /v1/other HTTP/1.1"),
        whole(LINES, b"PUT /v1/messages HTTP/1.1"),
        whole(LINES, b"POST /v1/messages HTTP/1.0"),
        whole([*LINES, b"Y: 2"]),
        whole([*LINES[:1], b"X-Api-Key: two", *LINES[2:]]),
        whole([*LINES[:-1], b"X: 2"]),
        whole(LINES[:-1]),
    ],
)
def test_anything_else_is_parsed(text: bytes) -> None:
    heads = RepeatedHead()
    first = heads.parse(whole(LINES))
    found = heads.parse(text)
    assert found.likeness is not first.likeness
    assert facts(found) == facts(head.parse_request(text))


@pytest.mark.parametrize(
    "length", [b"", b"-1", b"1x", b"1 1", b"1, 1", b"9" * 19, b"12\r\nContent-Length: 12", b"1\n2"]
)
def test_what_is_refused_stays_refused(length: bytes) -> None:
    heads = RepeatedHead()
    heads.parse(whole(LINES))
    with pytest.raises(Malformed):
        heads.parse(with_length(b"content-LENGTH: " + length))
    assert heads.parse(whole(LINES)).length == 12


def test_a_longer_line_that_ends_in_the_same_bytes_hides_nothing() -> None:
    heads = RepeatedHead()
    hidden = [b"X-Original-content-LENGTH: 12", *LINES]
    first = heads.parse(whole(hidden))
    second = heads.parse(whole([b"X-Original-content-LENGTH: 13", *LINES]))
    third = heads.parse(whole([b"X-Original-content-LENGTH: 13", *LINES[:2], b"content-LENGTH: 4", *LINES[3:]]))
    assert first.likeness is not second.likeness is third.likeness
    assert (second.length, third.length) == (12, 4)


def test_a_long_head_is_not_remembered() -> None:
    heads = RepeatedHead()
    assert heads.parse(whole([*LINES, b"Y: " + b"y" * 3000])).likeness is None


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_heads_are_read_as_without_a_memory(data: st.DataObject) -> None:
    heads = RepeatedHead()
    heads.parse(whole(LINES))
    text = bytearray(whole(LINES))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 5))
        text[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=2) | st.sampled_from([b"1", b"\r\n"])
        )
    damaged = bytes(text)
    if head.find_end(damaged + head.END) != len(damaged):
        return
    try:
        expected = facts(head.parse_request(damaged))
    except Malformed as problem:
        with pytest.raises(Malformed, match=re.escape(problem.why)):
            heads.parse(damaged)
    else:
        assert facts(heads.parse(damaged)) == expected
