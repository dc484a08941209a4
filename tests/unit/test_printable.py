"""What acts on a terminal, or looks like another line of a log, is shown instead."""

import io
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd import printable

ACTS = ["\x1b", "\x00", "\x07", "\r", "\b", "\x7f", "\x80", "\x9b", "\x9d", "\x85", "\u2028", "\u2029", "\u202e",
        "\u2066", "\u200f", "\u061c", "\ufeff", "\ud800", "\U000e0041"]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("profile größe 日本 👍", "profile größe 日本 👍"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\r\nb\tc", "a\\r\\nb\\tc"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb", "a\\u202eb"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("no\u00a0break", "no\u00a0break"),
        ("", ""),
    ],
)
def test_one_line(text: str, shown: str) -> None:
    assert printable.one_line(text) == shown


@given(st.text(st.characters() | st.sampled_from(ACTS)))
def test_nothing_acts(text: str) -> None:
    for shown in (printable.one_line(text), printable.lines(text), printable.indented(text)):
        assert not set(shown) & {*ACTS, *map(chr, range(9)), *map(chr, range(11, 32)), *map(chr, range(127, 160))}
        shown.encode()
    assert "\n" not in printable.one_line(text)
    assert printable.one_line(printable.one_line(text)) == printable.one_line(text)
    first, *others = printable.indented(text).split("\n")
    assert all(line.startswith("    ") for line in others)
    assert first == printable.lines(text).split("\n")[0]


def test_lines_keep_lines_and_tabs() -> None:
    assert printable.lines("a\n\tb\x1b\n") == "a\n\tb\\x1b\n"


def test_all_of_a_document() -> None:
    document = {"a\x1b": ["\x1b", {"b": ("\n", 1, None, True, 1.5)}]}
    assert printable.in_all(document) == {"a\\x1b": ["\\x1b", {"b": ["\\n", 1, None, True, 1.5]}]}


def test_a_guarded_stream() -> None:
    behind = io.StringIO()
    stream: Any = printable.guarded(behind)
    print("a\x1b[31m", "b\u202e", file=stream)
    stream.writelines(["\x07", "\n"])
    assert behind.getvalue() == "a\\x1b[31m b\\u202e\n\\x07\n"
    assert stream.getvalue() == behind.getvalue()  # all else is the stream's own
    assert printable.guarded(stream) is stream
    assert printable.unguarded(stream) is behind
    assert printable.unguarded(behind) is behind
    assert printable.guarded(sys.stdout).isatty() == sys.stdout.isatty()
