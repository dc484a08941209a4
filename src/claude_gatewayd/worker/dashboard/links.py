"""One-time links: `claude-gatewayctl dashboard` asks for one, and a browser opens it."""

import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final

GOOD_FOR: Final = 60.0  # seconds
_MOST: Final = 32  # at a time: whoever asks for more ends the oldest


class Links:
    """Tokens in this worker's memory, each good for one use within a minute. Only their digests are kept."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[bytes, float] = {}

    def issue(self) -> str:
        """Return a new token."""
        token = secrets.token_urlsafe(32)
        while len(self._until) >= _MOST:
            del self._until[next(iter(self._until))]
        self._until[_digest(token.encode())] = self._clock() + GOOD_FOR
        return token

    def redeem(self, token: bytes) -> bool:
        """Return whether a token is good. It is not from then on."""
        until = self._until.pop(_digest(token), None)
        return until is not None and self._clock() < until


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()
