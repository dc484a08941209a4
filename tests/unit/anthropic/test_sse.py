"""Server-sent events: split at the same places however they are cut, and whatever ends their lines."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.anthropic.sse import EOL, EventSplitter, data_of, name_of, spans

EVENTS = [b'event: message_start\ndata: {"a": 1}', b"event: ping\ndata: {}", b": a comment", b"data: 1\ndata: 2"]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 1000])
def test_events_are_whole(ending: bytes, size: int) -> None:
    stream = b"".join(event + b"\n\n" for event in EVENTS).replace(b"\n", ending)
    splitter = EventSplitter()
    found = [event for at in range(0, len(stream), size) for event in splitter.feed(stream[at : at + size])]
    assert [event.strip(b"\r\n").replace(ending, b"\n") for event in found] == EVENTS
    assert bytes(splitter.rest).strip(b"\n") == b""


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 1000])
def test_raw_they_are_the_same_bytes(ending: bytes, size: int) -> None:
    stream = b"".join(event + b"\n\n" for event in EVENTS).replace(b"\n", ending)
    splitter = EventSplitter()
    pieces = [splitter.feed_raw(stream[at : at + size]) for at in range(0, len(stream), size)]
    assert b"".join(pieces) == stream
    assert all(piece.endswith(ending * 2) for piece in pieces if piece)


@given(st.lists(st.sampled_from([b"\r", b"\n", b"x"]), max_size=12).map(b"".join))
def test_an_event_ends_with_two_ends_of_lines(stream: bytes) -> None:
    plain = [found.span() for found in re.finditer(EOL + EOL, stream)]
    assert [(end, after) for _start, end, after in spans(stream)] == plain


def test_what_has_not_come_whole_can_be_forgotten() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: 1") == []
    splitter.clear()
    assert splitter.feed(b"data: 2\n\n") == [b"data: 2"]


@pytest.mark.parametrize(
    ("event", "name", "data"),
    [
        (b"event: ping\ndata: {}", b"ping", b"{}"),
        (b"event:ping\r\ndata:{}", b"ping", b"{}"),
        (b"data: 1\ndata: 2", b"", b"1\n2"),
        (b": event: ping", b"", b""),
        (b"", b"", b""),
    ],
)
def test_the_fields_of_an_event(event: bytes, name: bytes, data: bytes) -> None:
    assert (name_of(event), data_of(event)) == (name, data)
