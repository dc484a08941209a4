"""All the connections of one generation: how many, which wait for a request, and their end."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from claude_gatewayd.http1.head import Malformed

logger = logging.getLogger(__name__)

_STAYS = 86400.0  # seconds: no `[listen] leave_after` is longer


class OpenConnection(Protocol):
    """What all of them are asked for."""

    def close_if_idle(self) -> bool:
        """Close, if no request is under way. Return whether it was so."""

    def drain(self) -> None:
        """End after what it is doing."""

    def abort(self) -> None:
        """End at once."""


class Connections:
    """The connections of one generation.

    *refusal* makes the whole answer, with `Connection: close`, to what cannot be parsed. `waiting` are those on which
    no request is under way, the longest so first: idle, in the middle of a head, or refused. Each puts itself there.
    """

    def __init__(self, refusal: Callable[[Malformed], bytes]) -> None:
        self.draining = False
        self.linger = 0.0
        self.refusal = refusal
        self.waiting: dict[OpenConnection, None] = {}
        self._all: dict[OpenConnection, None] = {}
        self._crowded = False
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, connection: OpenConnection) -> None:
        """Count a connection in."""
        self._all[connection] = None
        self._empty.clear()

    def remove(self, connection: OpenConnection) -> None:
        """Count a connection out."""
        self._all.pop(connection, None)
        self.waiting.pop(connection, None)
        if not self._all:
            self._crowded = False
            self._empty.set()

    def make_room(self, most: int) -> bool:
        """Say whether one more is within *most*, after closing the one that has waited longest if it was not.

        An idle connection costs its client nothing when it is closed, so it makes room at once for a new one.
        """
        if len(self._all) < most:
            return True
        if not self._crowded:  # once a spell
            self._crowded = True
            logger.warning("%d connections are open: those that have waited longest for a request are closed", most)
        for connection in self.waiting:
            if connection.close_if_idle():
                self.remove(connection)  # at once: the loop reports it only in its next turn
                return True
        return False

    def leave(self) -> None:
        """Have each answer ask its client to close, and keep idle connections open: what asks next goes elsewhere.

        A load balancer that keeps connections would send a request on one that is just being closed by the drain.
        """
        if not self.draining:
            self.drain(_STAYS)

    def drain(self, linger: float) -> None:
        """Ask all to end after what they are doing, idle ones after *linger* seconds. May be called again."""
        self.draining = True
        self.linger = linger
        for connection in list(self._all):
            connection.drain()

    async def all_ended(self) -> None:
        """Wait for the end of the last."""
        await self._empty.wait()

    def abort(self) -> None:
        """End all at once."""
        for connection in list(self._all):
            connection.abort()
