"""A gateway in front of itself: a base_url that leads back through a forwarder. Each request would go round for ever.

What goes to an address of this machine carries a header with the name of each gateway that it has passed. Requests to
Anthropic itself carry none: they stay as they came.
"""

import secrets
from collections.abc import Mapping
from typing import Final

from claude_gatewayd.system.addresses import is_loopback

HEADER: Final = b"x-claude-gatewayd-passed"
_MOST: Final = 8  # gateways in a row
_OURS: Final = secrets.token_hex(8).encode()  # this worker's; one that succeeds it is another, and notices it likewise

_LINE: Final = HEADER + b": " + _OURS


def comes_back(fields: Mapping[bytes, bytes]) -> bool:
    """Say whether a request has been here before, or has passed more gateways than anybody has in a row."""
    if HEADER not in fields:
        return False
    passed = _passed(fields)
    return _OURS in passed or len(passed) >= _MOST


def mark(fields: Mapping[bytes, bytes], host: str) -> bytes | None:
    """Return the header line that a request to *host* carries, None for one that leaves this machine."""
    if not is_loopback(host):
        return None
    return HEADER + b": " + b", ".join([*_passed(fields), _OURS]) if HEADER in fields else _LINE


def _passed(fields: Mapping[bytes, bytes]) -> list[bytes]:
    return [name.strip() for name in fields[HEADER].split(b",")]
