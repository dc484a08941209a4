"""Who may speak to the gateway at all."""

import pytest

from claude_gatewayd.worker.gateway.guard import authority_of, check


@pytest.mark.parametrize(
    ("target", "authority", "rest"),
    [
        (b"/v1/messages?beta=true", None, b"/v1/messages?beta=true"),
        (b"/", None, b"/"),
        (b"*", None, b"*"),
        (b"/http://evil/", None, b"/http://evil/"),
        (b"http://localhost:47000/v1/messages?a=b", b"localhost:47000", b"/v1/messages?a=b"),
        (b"HTTP://localhost/", b"localhost", b"/"),
        (b"https://localhost/x", b"localhost", b"/x"),
        (b"http://localhost", b"localhost", b"/"),
        (b"http://localhost?a=b", b"localhost", b"/?a=b"),
        (b"http://localhost?a=/b", b"localhost", b"/?a=/b"),
        (b"http://", b"", b"/"),
        (b"ftp://localhost/", None, b"ftp://localhost/"),
        (b"localhost:1", None, b"localhost:1"),
    ],
)
def test_authority_of(target: bytes, authority: bytes | None, rest: bytes) -> None:
    assert authority_of(target) == (authority, rest)


HOSTS = frozenset(("gateway.example", "192.0.2.7"))


@pytest.mark.parametrize(
    "host",
    [
        b"127.0.0.1", b"127.0.0.1:47000", b"127.8.9.10", b"localhost", b"LocalHost:47000", b"localhost.", b"[::1]",
        b"[::1]:47000", b"gateway.example", b"Gateway.Example:47000", b"192.0.2.7:1", b" localhost ",
        b"localhost:", b"gateway.example.", b"gateway.example.:1", b"localhost:65535",
    ],
)  # fmt: skip
def test_our_own_hosts(host: bytes) -> None:
    assert check({b"host": host}, None, HOSTS) is None
    assert check({b"host": b"evil.example"}, host, HOSTS) is None  # the absolute form wins (RFC 9112 3.2.2)


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example", b"evil.example:47000", b"localhost.evil.example", b"127.0.0.1.evil.example", b"0.0.0.0",
        b"192.0.2.8", b"[2001:db8::1]:47000", b"api.anthropic.com", b"gateway.example.evil.example", b"evil@localhost",
        b"localhost@evil.example", b"localhost,evil", b"2130706433", b"\xff", b":47000", b"[::1", b"..",
        # what begins as ours, and is not
        b"127.0.0.1:x@evil.com", b"127.0.0.1:1@evil.com", b"127.0.0.1:47000:1", b"localhost:x", b"localhost:-1",
        b"localhost: 1", b"localhost:65536", b"localhost:\xb2", b"[::1]evil", b"[::1]:x", b"[::1].evil.example",
        b"[::1]@evil", b"::1", b"::1]", b"[]", b"[127.0.0.1", b"[::1%25evil]", b"[::1%evil]", b"user@127.0.0.1",
        b":@127.0.0.1", b"127.0.0.1\\@evil", b"127.0.0.1#@evil", b"127.0.0.1/evil", b"127.0.0.1?evil", b"localhost..",
        b"localhost evil", b"localhost\tevil", b"localhost\x00", b"localhost\xa0", b"\xa0localhost", b"local%68ost",
        b"@", b".", b":", b" ", b"", b"127.1", b"0x7f.1", b"0177.0.0.1", "127.0.0.1\uff0e".encode(),
    ],
)  # fmt: skip
def test_foreign_hosts(host: bytes) -> None:
    for refusal in (check({b"host": host}, None, HOSTS), check({b"host": b"localhost"}, host, HOSTS)):
        assert refusal is not None
        assert refusal.status == 421


def test_an_absolute_form_without_a_host() -> None:
    refusal = check({b"host": b"localhost"}, b"", HOSTS)
    assert refusal is not None
    assert refusal.status == 421


def test_http_10_without_a_host() -> None:
    assert check({}, None, HOSTS) is None


@pytest.mark.parametrize("origin", [b"https://evil.example", b"http://localhost:47000", b"null", b""])
def test_web_pages(origin: bytes) -> None:
    refusal = check({b"host": b"localhost", b"origin": origin}, None, HOSTS)
    assert refusal is not None
    assert refusal.status == 403


def test_a_foreign_host_is_told_before_the_origin() -> None:
    refusal = check({b"host": b"evil.example", b"origin": b"http://evil.example"}, None, HOSTS)
    assert refusal is not None
    assert refusal.status == 421
