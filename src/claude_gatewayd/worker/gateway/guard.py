"""Refuse web pages: only programs on this machine, or with a configured Host, may use the gateway.

A page in the person's browser can send requests to loopback, and read the answers by DNS rebinding. The Origin that
browsers add gives away the one, a Host that is not ours the other.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from claude_gatewayd.system.addresses import host_of, is_loopback

_AUTHORITY_END = re.compile(rb"[/?]")


class Rejection(NamedTuple):
    """Why a request is refused, and with which status."""

    status: int
    message: str


def authority_of(target: bytes) -> tuple[bytes | None, bytes]:
    """Split a request target into the authority, if it has the absolute form (RFC 9112 3.2.2), and the rest."""
    if target.startswith(b"/"):
        return None, target
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        return None, target
    authority = _AUTHORITY_END.split(rest, maxsplit=1)[0]
    path = rest[len(authority) :]
    return authority, path if path.startswith(b"/") else b"/" + path


def check(fields: Mapping[bytes, bytes], authority: bytes | None, hosts: frozenset[str]) -> Rejection | None:
    """Return why a request is refused, or None. *hosts* are the names in `[listen] hosts`."""
    if authority is not None or b"host" in fields:  # HTTP/1.0 may have none
        name = host_of(fields[b"host"] if authority is None else authority)
        if name not in hosts and name.removesuffix(".") not in hosts and not is_loopback(name):
            return Rejection(421, "cannot serve this Host: it is neither loopback nor in [listen] hosts")
    if b"origin" in fields:
        return Rejection(403, "cannot serve a web page: requests with an Origin are refused")
    return None
