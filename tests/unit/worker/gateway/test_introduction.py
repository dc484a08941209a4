"""Who sends a request is looked at once for a connection, and anew as soon as a header line is another."""

from ipaddress import ip_network
from pathlib import Path
from typing import NamedTuple

import pytest

from claude_gatewayd.http1.repeated import RepeatedHead
from claude_gatewayd.worker.gateway.introduction import Introduction, Introductions, Remembered
from claude_gatewayd.worker.gateway.known_credentials import KnownCredentials
from claude_gatewayd.worker.gateway.remote.client_address import ProxyTrust

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
    return Introductions(frozenset(), "the-key", KnownCredentials(tmp_path / "known", "key"), None)


@pytest.fixture
def remote(tmp_path: Path) -> Introductions:
    """Return those of a gateway behind a balancer at 10.0.0.9."""
    proxies = ProxyTrust([ip_network("10.0.0.9")])
    return Introductions(frozenset({"x"}), "the-key", KnownCredentials(tmp_path / "known", "key"), proxies)


class Ends(NamedTuple):
    """A connection, by its ends."""

    ends: tuple[object, object]


class Client:
    """A connection's heads, and what is remembered of them. *peer* is at its other end."""

    def __init__(self, introductions: Introductions, peer: str = "127.0.0.1") -> None:
        self.remembered = Remembered()
        self._connection = Ends(((peer, 40000), None))
        self._introductions = introductions
        self._heads = RepeatedHead()

    def introduced(self, *lines: bytes) -> Introduction:
        head = b"\r\n".join([b"POST /v1/messages HTTP/1.1", *lines, b"", b""])
        return self._introductions.of(self._heads.parse(head), self._connection, self.remembered)


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


FORWARDED = (*LINES, b"X-Forwarded-For: 198.51.100.7", b"X-Real-IP: 198.51.100.7", b"X-Forwarded-Proto: https")


def test_behind_a_balancer_people_are_told_apart_and_no_upstream_hears_where_they_sit(remote: Introductions) -> None:
    client = Client(remote, "10.0.0.9")
    first = client.introduced(*FORWARDED)
    assert first.asker.address == "198.51.100.7"
    assert first.dropped >= {b"x-forwarded-for", b"x-real-ip", b"x-forwarded-proto"}
    second = client.introduced(*LINES, b"X-Forwarded-For: 198.51.100.8")  # another person, the same connection
    assert second.asker.address == "198.51.100.8"


def test_what_anybody_else_sends_is_passed_on_and_not_believed(remote: Introductions) -> None:
    found = Client(remote, "10.0.0.8").introduced(*FORWARDED)
    assert (found.asker.address, found.dropped) == ("10.0.0.8", frozenset())


def test_alone_on_a_machine_nobody_asks_from_where(introductions: Introductions) -> None:
    found = Client(introductions).introduced(*FORWARDED)
    assert (found.asker.address, found.dropped) == ("", frozenset())
