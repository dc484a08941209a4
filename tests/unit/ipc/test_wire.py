"""JSON, one line each way."""

from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_gatewayd.ipc import wire
from claude_gatewayd.ipc.wire import LineBuffer, NotAMessage

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10), lambda inner: st.lists(inner, max_size=3)
)
MESSAGES = st.dictionaries(st.text(max_size=5), VALUES, max_size=4)


@settings(deadline=None)
@given(st.lists(MESSAGES, max_size=5), st.data())
def test_messages_arrive_however_they_are_cut(messages: list[dict[str, Any]], data: st.DataObject) -> None:
    stream = b"".join(map(wire.encode, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    lines = LineBuffer()
    got = [
        wire.decode(line)
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for line in lines.feed(stream[start:end])
    ]
    assert got == messages


@settings(deadline=None)
@given(MESSAGES)
def test_a_message_is_one_line(message: dict[str, Any]) -> None:
    line = wire.encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert line.isascii()


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"[]", b'"status"', b"1", b"null", b"{", b'{"a":1}{', b"\xff", b"\xff\xfe", b"[" * 100_000]
)
def test_not_a_message(line: bytes) -> None:
    with pytest.raises(NotAMessage):
        wire.decode(line)


@pytest.mark.parametrize("size", [1000, wire.MAX_LINE, 2 * wire.MAX_LINE])
def test_a_line_that_is_too_long_is_refused_however_it_comes(size: int) -> None:
    line = b"x" * (wire.MAX_LINE + 1) + b"\n"
    lines = LineBuffer()
    with pytest.raises(NotAMessage, match="too long"):
        deque(lines.feed(line[at : at + size]) for at in range(0, len(line), size))


def test_the_longest_line() -> None:
    line = b"x" * wire.MAX_LINE
    assert LineBuffer().feed(line + b"\n" + line) == [line]


def test_error() -> None:
    assert wire.error("refused", "cannot", "do this") == {
        "error": {"code": "refused", "message": "cannot", "hint": "do this"}
    }
    assert wire.error("refused", "cannot")["error"]["hint"] == ""
