"""One-time links: `claude-gatewayctl dashboard` asks for one, and a browser opens it."""

import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from claude_gatewayd.worker.sharing.facts import Fact, LinkIssued, LinkUsed

GOOD_FOR: Final = 60.0  # seconds
_MOST: Final = 32  # at a time: whoever asks for more ends the oldest


class Links:
    """Tokens, each good for one use within a minute. Only their digests are kept, in memory.

    The kernel chooses which worker a browser comes to, so all know them; by *publish* the others are told.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, publish: Callable[[Fact], None] = lambda _: None
    ) -> None:
        self._clock = clock
        self._publish = publish
        self._until: dict[str, float] = {}

    def issue(self) -> str:
        """Return a new token."""
        token = secrets.token_urlsafe(32)
        link = LinkIssued(_digest(token.encode()), GOOD_FOR)
        self.take_issued(link)
        self._publish(link)
        return token

    def redeem(self, token: bytes) -> bool:
        """Return whether a token is good. It is not from then on."""
        digest = _digest(token)
        until = self._until.pop(digest, None)
        if until is not None:
            self._publish(LinkUsed(digest))
        return until is not None and self._clock() < until

    def publish_all(self) -> None:
        """Let the others know which are good."""
        now = self._clock()
        for digest, until in self._until.items():
            if now < until:
                self._publish(LinkIssued(digest, until - now))

    def take_issued(self, link: LinkIssued) -> None:
        """Keep one, of another worker's too."""
        while len(self._until) >= _MOST:
            del self._until[next(iter(self._until))]
        self._until[link.digest] = self._clock() + min(link.good_for, GOOD_FOR)

    def take_used(self, link: LinkUsed) -> None:
        """Forget one that was used at another worker."""
        self._until.pop(link.digest, None)


def _digest(token: bytes) -> str:
    return sha256(token).hexdigest()
