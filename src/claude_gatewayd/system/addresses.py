"""Which addresses a host name stands for, and whether that is this machine. Pure: nothing is resolved."""

import ipaddress
import re
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOCALHOST = ("127.0.0.1", "::1")
# RFC 9112 3.2: a host and a port, nothing else. Of `127.0.0.1:x@evil` a client takes the other end for the host.
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s\x00-\x20\x7f:/?#@\[\]\\%,]+))(?::([0-9]{0,5}))?")
_LAST_PORT = 65535
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d{1,5})?|([^:]*):\d{1,5}")


def addresses(host: str) -> tuple[Address, ...]:
    """Return the addresses of a host that need no resolver: a literal's own, or those of "localhost"; else none."""
    name = host.lower()
    literals = _LOCALHOST if name in ("localhost", "localhost.") else (name.removeprefix("[").removesuffix("]"),)
    if "%" in name:  # a zone, which ip_address() takes whatever it holds
        return ()
    try:
        return tuple(map(ipaddress.ip_address, literals))
    except ValueError:
        return ()


@lru_cache(maxsize=8)  # a caller may send others, of up to 64 KiB
def is_loopback(host: str) -> bool:
    """Say whether a host is this machine by its very name, and no other."""
    return any(address.is_loopback for address in addresses(host))


def to_bind(host: str) -> str:
    """Return the address to listen on for a host: a number, so that no resolver is asked; IPv4 for "localhost"."""
    return str(next(iter(addresses(host)), host))


@lru_cache(maxsize=8)
def host_of(authority: bytes) -> str:
    """Return the host of a Host header, in lower case and without port or brackets; "" for what is none."""
    found = _AUTHORITY.fullmatch(authority.decode("latin-1").strip(" \t").lower())
    if found is None or int(found[3] or 0) > _LAST_PORT:
        return ""
    return found[1] or found[2]


def address_of(text: str) -> Address | None:
    """Return the address of a text as proxies write it: perhaps with a port, or in brackets; None for none.

    An IPv4 address that came over IPv6 is the IPv4 one, and a zone is left out.
    """
    found = _WITH_PORT.fullmatch(text := text.strip())
    if found is not None:
        text = found[1] if found[1] is not None else found[2]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None) or address
