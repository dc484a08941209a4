"""Who sends a request is looked at once for a connection, and anew as soon as a header line is another."""

from pathlib import Path

import pytest

from claude_gatewayd.http1.head import Fields
from claude_gatewayd.worker.gateway.introduction import Introduction, Introductions, Remembered
from claude_gatewayd.worker.gateway.known_credentials import KnownCredentials

LINES = (
    b"Host: 127.0.0.1:47000",
    b"X-Api-Key: sk-ant-api03-one",
    b"User-Agent: claude-cli/2.1.330 (external, cli)",
    b"Content-Length: 12",
    b"X-Claude-Code-Session-Id: first",
)


@pytest.fixture
def introductions(tmp_path: Path) -> Introductions:
    return Introductions(frozenset(), "the-key", KnownCredentials(tmp_path / "known", "key"))


def fields(*lines: bytes) -> Fields:
    return Fields(b"\r\n".join(lines))


def introduced(introductions: Introductions, remembered: Remembered, *lines: bytes) -> Introduction:
    return introductions.of(fields(*lines), remembered)


def test_the_same_lines_are_looked_at_once_whatever_the_length_of_the_body(introductions: Introductions) -> None:
    remembered = Remembered()
    first = introduced(introductions, remembered, *LINES)
    assert (first.caller.credential, first.form) == (b"sk-ant-api03-one", "api-key")
    assert (first.asker.client, first.asker.session_id) == ("claude-cli", "first")
    assert introduced(introductions, remembered, *LINES[:3], b"content-length: 99999", LINES[4]) is first
    assert introduced(introductions, Remembered(), *LINES) is not first  # another connection


@pytest.mark.parametrize(
    ("at", "line"),
    [
        (0, b"Host: evil.example"),
        (1, b"X-Api-Key: sk-ant-api03-two"),
        (1, b"X-Api-Key: the-key"),
        (2, b"User-Agent: other/1.0"),
        (4, b"X-Claude-Code-Session-Id: second"),
        (4, b"Origin: http://evil.example"),
        (3, b"X-Content-Length: 12"),
    ],
)
def test_another_line_is_another_introduction(introductions: Introductions, at: int, line: bytes) -> None:
    remembered = Remembered()
    first = introduced(introductions, remembered, *LINES)
    lines = [*LINES[:at], line, *LINES[at + 1 :]]
    second = introduced(introductions, remembered, *lines)
    assert second is not first
    assert second == introduced(introductions, Remembered(), *lines)
    assert introduced(introductions, remembered, *LINES) == first


def test_a_length_that_another_line_ends_with_hides_nothing(introductions: Introductions) -> None:
    remembered = Remembered()
    hidden = b"X-Original-Content-Length: 12"
    first = introduced(introductions, remembered, hidden, *LINES)
    second = introduced(
        introductions, remembered, hidden, *LINES[:3], b"Content-Length: 13", b"X-Api-Key: sk-ant-oat01-b"
    )
    assert (first.form, second.form) == ("api-key", "oauth")


def test_a_connection_remembers_one_credential_and_no_long_lines(introductions: Introductions) -> None:
    remembered = Remembered()
    introduced(introductions, remembered, *LINES)
    introduced(introductions, remembered, b"Host: x", b"X-Api-Key: sk-ant-api03-two")
    assert [one.caller.credential for one in remembered.last.values()] == [b"sk-ant-api03-two"]
    introduced(introductions, remembered, b"Host: x", b"X-Api-Key: " + b"k" * 3000)
    assert [one.caller.credential for one in remembered.last.values()] == [b"sk-ant-api03-two"]
