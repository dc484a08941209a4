"""The session of a page: a cookie that only who has the gateway key can have made. Pure.

It holds when it was made, and a keyed hash of that: so nothing is kept of it, and it is valid over a reload and a
restart, and ends with the key. The hash has a purpose of its own, as that of `ipc.proof` has: neither is of use as the
other.
"""

import hmac
from typing import Final

from claude_gatewayd.ipc.proof import keyed_hash

LONGEST: Final = 30 * 24 * 3600  # seconds
_PURPOSE: Final = b"cgw page session"  # 16 bytes at most
_LONGEST_VALUE: Final = 100
_MOST_COOKIES: Final = 8  # of this name: a page below another path can add some
_AHEAD: Final = 60  # seconds by which the clock may have been turned back since


def cookie_name(port: int) -> str:
    """Return the name of the cookie: browsers do not keep those of two ports apart."""
    return f"claude-gateway-session-{port}"


def begin(key: str, port: int, now: float) -> str:
    """Return the value of a cookie that begins a session *now*."""
    made = f"{int(now)}"
    return f"{made}.{_hash(key, port, made)}"


def set_cookie(key: str, port: int, now: float) -> bytes:
    """Return the header line that begins a session; it ends with the browser's."""
    value = begin(key, port, now)
    return f"set-cookie: {cookie_name(port)}={value}; Path=/gateway/; HttpOnly; SameSite=Strict".encode()


def is_open(key: str, port: int, cookies: bytes, now: float) -> bool:
    """Return whether there is a valid session among *cookies*, the value of that header."""
    name = cookie_name(port).encode()
    found = [value for one in cookies.split(b";") for own, _, value in [one.strip().partition(b"=")] if own == name]
    return any(_is_valid(key, port, value, now) for value in found[:_MOST_COOKIES])


def _is_valid(key: str, port: int, value: bytes, now: float) -> bool:
    if not key or len(value) > _LONGEST_VALUE or not value.isascii():
        return False
    made, _, proof = value.decode().partition(".")
    if not made.isdecimal() or not hmac.compare_digest(proof, _hash(key, port, made)):
        return False
    return -_AHEAD <= now - int(made) < LONGEST


def _hash(key: str, port: int, made: str) -> str:
    return keyed_hash(key, _PURPOSE, f"{port} {made}".encode())
