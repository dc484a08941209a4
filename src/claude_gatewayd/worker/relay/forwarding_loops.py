"""Detect forwarding loops: a base_url that leads back to this gateway, where a request would go round for ever.

A request to an address of this machine carries a header with the id of each gateway that it has passed. Requests to
Anthropic itself carry none: they are not changed.
"""

import secrets
from collections.abc import Mapping
from typing import Final

from claude_gatewayd.system.addresses import is_loopback

HEADER: Final = b"x-claude-gatewayd-passed"
_MOST_GATEWAYS: Final = 8  # in a row
_OURS: Final = secrets.token_hex(
    8
).encode()  # this worker's id; the next generation has its own, and detects a loop, too

_LINE: Final = HEADER + b": " + _OURS


def comes_back(fields: Mapping[bytes, bytes]) -> bool:
    """Whether a request has been here before, or has passed an implausible number of gateways."""
    if HEADER not in fields:
        return False
    passed = _passed(fields)
    return _OURS in passed or len(passed) >= _MOST_GATEWAYS


def mark(fields: Mapping[bytes, bytes], host: str) -> bytes | None:
    """Return the header line for a request to *host*; None if that is another machine."""
    if not is_loopback(host):
        return None
    return HEADER + b": " + b", ".join([*_passed(fields), _OURS]) if HEADER in fields else _LINE


def _passed(fields: Mapping[bytes, bytes]) -> list[bytes]:
    return [name.strip() for name in fields[HEADER].split(b",")]
