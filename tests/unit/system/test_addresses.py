"""Which addresses a host stands for: judged alike for the configuration, a proxy, a Host header and a refusal."""

import pytest

from claude_gatewayd.system.addresses import addresses, host_of, is_loopback, to_bind
from tests.support.memory import kept_by


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.255.0.1", "::1", "[::1]"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "::", "128.0.0.1", "localhost.example", "127.0.0.1.example", "127.1", "2130706433", "0x7f.1",
     "fe80::1", "::1%evil", "localhost..", "127.0.0.1."],
)  # fmt: skip
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost", ["127.0.0.1", "::1"]),
        ("Localhost.", ["127.0.0.1", "::1"]),
        ("192.0.2.1", ["192.0.2.1"]),
        ("[2001:DB8::1]", ["2001:db8::1"]),
        ("fe80::1%eth0", []),
        ("gateway.example", []),
        ("", []),
    ],
)
def test_addresses(host: str, known: list[str]) -> None:
    assert list(map(str, addresses(host))) == known


@pytest.mark.parametrize(
    ("host", "address"),
    [("localhost", "127.0.0.1"), ("localhost.", "127.0.0.1"), ("::1", "::1"), ("0.0.0.0", "0.0.0.0"), ("a.b", "a.b")],
)
def test_to_bind(host: str, address: str) -> None:
    assert to_bind(host) == address


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        (b"localhost", "localhost"),
        (b" LocalHost:47000 ", "localhost"),
        (b"localhost.", "localhost."),
        (b"[2001:DB8::1]:443", "2001:db8::1"),
        (b"gateway.example:", "gateway.example"),
        (b"127.0.0.1:x@evil", ""),
        (b"localhost:65536", ""),
        (b"[::1%25evil]", ""),
        (b"", ""),
    ],
)
def test_the_host_of_an_authority(authority: bytes, host: str) -> None:
    assert host_of(authority) == host


def test_long_hosts_take_little_memory() -> None:
    def look() -> None:
        for number in range(100):
            assert not is_loopback(host_of(b"%d" % number + b"a" * 60_000))

    assert kept_by(look) < 2
