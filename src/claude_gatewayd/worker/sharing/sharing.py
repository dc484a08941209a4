"""Send facts to other workers, and hand theirs to whoever acts on them."""

from collections.abc import Callable
from typing import Any

from claude_gatewayd.worker.sharing.facts import Fact


class Sharing:
    """The facts of one worker. What it takes from others it does not send on: they have sent it to all."""

    def __init__(self) -> None:
        self._senders: list[Callable[[Fact], None]] = []
        self._takers: dict[type, Callable[[Any], None]] = {}

    def send_by(self, send: Callable[[Fact], None]) -> None:
        """Have facts sent by *send*, too: to the other workers of this machine, or of all. It must not block."""
        self._senders.append(send)

    def hand_to(self, kind: type, take: Callable[[Any], None]) -> None:
        """Have the facts of a *kind* that others send handed to *take*."""
        self._takers[kind] = take

    def publish(self, fact: Fact) -> None:
        """Send a fact to the others."""
        for send in self._senders:
            send(fact)

    def take(self, fact: Fact) -> None:
        """Act on a fact of another worker's."""
        if (take := self._takers.get(type(fact))) is not None:
            take(fact)
