"""The address of whoever asks: the other end of the connection, or, behind a load balancer, what that one says of it.

Anybody can send X-Forwarded-For. Each proxy appends the address that it was asked from, so the list is read from its
end, for as long as it is our own proxies that have written it: what stands before is hearsay.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from claude_gatewayd.system.addresses import Address, IpNetwork, address_of

FORWARDED_FOR: Final = b"x-forwarded-for"
# What a balancer adds for whoever stands behind it: of no use to an upstream, and it says where people sit.
FOR_THE_BACKEND: Final = frozenset(
    (
        FORWARDED_FOR, b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto", b"x-forwarded-server",
        b"x-real-ip", b"forwarded",
    )
)  # fmt: skip
_MOST_PROXIES: Final = 16  # a list that is longer is nobody's
_LONGEST: Final = 1024


class ProxyTrust:
    """Which proxies are believed: `[listen] trusted_proxies`."""

    def __init__(self, networks: Sequence[IpNetwork]) -> None:
        self._networks = tuple(networks)
        self._trusts = lru_cache(1024)(self._look)

    def trusts(self, peer: str) -> bool:
        """Return whether the other end of a connection is one of them."""
        return bool(self._networks) and (address := address_of(peer)) is not None and self._trusts(address)

    def client_address(self, peer: str, forwarded_for: bytes) -> str:
        """Return who asks, by the other end's address and what it says: "" if the other end has no address.

        *forwarded_for* are the values of all such header lines, in their order, joined by commas.
        """
        address = address_of(peer)
        if address is None:
            return ""
        if self._networks and forwarded_for:
            entries = forwarded_for[-_LONGEST:].split(b",")[-_MOST_PROXIES:]
            while entries and self._trusts(address):
                before = address_of(entries.pop().decode("latin-1"))
                if before is None:  # "unknown", or rubbish: what is known is that it came by this proxy
                    break
                address = before
        return str(address)

    def _look(self, address: Address) -> bool:
        return any(address in network for network in self._networks)
