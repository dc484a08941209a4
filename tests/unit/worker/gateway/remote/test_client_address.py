"""Who asks, by a list that everybody on the way could write to: a table."""

from ipaddress import ip_network

import pytest

from claude_gatewayd.worker.gateway.remote.client_address import ProxyTrust

PROXIES = ("10.0.0.0/24", "192.0.2.1/32", "fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        # nobody in between, or nobody whom we know: what is sent is not believed
        ("198.51.100.7", b"", "198.51.100.7"),
        ("198.51.100.7", b"203.0.113.1", "198.51.100.7"),
        ("10.0.1.1", b"203.0.113.1", "10.0.1.1"),
        # our proxy, which appends
        ("10.0.0.1", b"", "10.0.0.1"),
        ("10.0.0.1", b"203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", b" 203.0.113.1 ", "203.0.113.1"),
        ("10.0.0.1", b"1.1.1.1, 203.0.113.1", "203.0.113.1"),  # forged: written before ours
        ("10.0.0.1", b"10.0.0.3, 203.0.113.1", "203.0.113.1"),  # forged, as if it were of ours
        # two of ours, one behind the other
        ("10.0.0.1", b"203.0.113.1, 192.0.2.1", "203.0.113.1"),
        ("10.0.0.1", b"1.1.1.1,203.0.113.1,192.0.2.1,10.0.0.2", "203.0.113.1"),
        ("10.0.0.1", b"10.0.0.3, 10.0.0.2", "10.0.0.3"),  # who asks is a machine of ours
        # as proxies write it
        ("10.0.0.1", b"203.0.113.1:4711", "203.0.113.1"),
        ("10.0.0.1", b"[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", b"[2001:db8::1]", "2001:db8::1"),
        ("10.0.0.1", b"2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", b"::ffff:203.0.113.1", "203.0.113.1"),
        ("fd00::1%eth0", b"203.0.113.1", "203.0.113.1"),
        ("::ffff:10.0.0.1", b"203.0.113.1", "203.0.113.1"),
        # rubbish: the last one that is known
        ("10.0.0.1", b"unknown", "10.0.0.1"),
        ("10.0.0.1", b"203.0.113.1, unknown", "10.0.0.1"),
        ("10.0.0.1", b"203.0.113.1,", "10.0.0.1"),
        ("10.0.0.1", b"evil<script>, 203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", b"203.0.113.1, _hidden, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", b"256.0.0.1", "10.0.0.1"),
        ("10.0.0.1", b"203.0.113.1:99999999", "10.0.0.1"),
        ("10.0.0.1", bytes(range(128, 256)), "10.0.0.1"),
        # longer than anybody's: what is before is not looked at
        ("10.0.0.1", b"203.0.113.1," + b"10.0.0.2," * 40 + b"10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", b"9" * 100_000, "10.0.0.1"),
        ("", b"203.0.113.1", ""),  # a socket without addresses
    ],
)
def test_who_asks(peer: str, forwarded_for: bytes, address: str) -> None:
    assert ProxyTrust([*map(ip_network, PROXIES)]).client_address(peer, forwarded_for) == address


@pytest.mark.parametrize("forwarded_for", [b"", b"203.0.113.1", b"127.0.0.1"])
def test_nobody_is_believed_unless_configured(forwarded_for: bytes) -> None:
    trust = ProxyTrust([])
    assert trust.client_address("10.0.0.1", forwarded_for) == "10.0.0.1"
    assert not trust.trusts("10.0.0.1")
