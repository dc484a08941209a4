"""Who sends a request is looked at once for a connection, and anew as soon as a header line is another."""

from pathlib import Path

import pytest

from claude_gatewayd.http1.repeated import RepeatedHead
from claude_gatewayd.worker.gateway.introduction import Introduction, Introductions, Remembered
from claude_gatewayd.worker.gateway.known_credentials import KnownCredentials

LINES = (
    b"Host: 127.0.0.1:47000",
    b"X-Api-Key: sk-ant-api03-one",
    b"User-Agent: claude-cli/2.1.330 (external, cli)",
    b"Content-Length: 12",
    b"X-Claude-Code-Session-Id: first",
    b"anthropic-beta: context-1m-2025",
    b"X-Stainless-Timeout: 600",
)


@pytest.fixture
def introductions(tmp_path: Path) -> Introductions:
    return Introductions(frozenset(), "the-key", KnownCredentials(tmp_path / "known", "key"))


class Client:
    """A connection's heads, and what is remembered of them."""

    def __init__(self, introductions: Introductions) -> None:
        self.remembered = Remembered()
        self._introductions = introductions
        self._heads = RepeatedHead()

    def introduced(self, *lines: bytes) -> Introduction:
        head = b"\r\n".join([b"POST /v1/messages HTTP/1.1", *lines, b"", b""])
        return self._introductions.of(self._heads.parse(head), self.remembered)


def test_the_same_lines_are_looked_at_once_whatever_the_length_of_the_body(introductions: Introductions) -> None:
    client = Client(introductions)
    first = client.introduced(*LINES)
    assert (first.caller.credential, first.form) == (b"sk-ant-api03-one", "api-key")
    assert (first.asker.client, first.asker.session_id) == ("claude-cli", "first")
    assert (first.facts.own_limits, first.facts.client_timeout) == ("1M context", b"600")
    assert client.introduced(*LINES[:3], b"Content-Length: 99999", *LINES[4:]) is first
    assert Client(introductions).introduced(*LINES) is not first  # another connection


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
        (5, b"anthropic-beta: fast-mode-1"),
        (6, b"X-Stainless-Timeout: 900"),
    ],
)
def test_another_line_is_another_introduction(introductions: Introductions, at: int, line: bytes) -> None:
    client = Client(introductions)
    first = client.introduced(*LINES)
    lines = [*LINES[:at], line, *LINES[at + 1 :]]
    second = client.introduced(*lines)
    assert second is not first
    assert second == Client(introductions).introduced(*lines)
    assert client.introduced(*LINES) == first


def test_a_connection_remembers_one_credential_and_no_long_lines(introductions: Introductions) -> None:
    client = Client(introductions)
    client.introduced(*LINES)
    length = b"Content-Length: 3"
    client.introduced(b"Host: x", b"X-Api-Key: sk-ant-api03-two", length)
    client.introduced(b"Host: x", b"X-Api-Key: " + b"k" * 3000, length)
    assert client.remembered.introduction is not None
    assert client.remembered.introduction.caller.credential == b"sk-ant-api03-two"
    assert "sk-ant" not in repr(client.remembered)
