"""What comes in on a connection: read no faster than it is taken, and taken no faster than there is time for."""

import asyncio
from collections.abc import Callable

from claude_gatewayd.http1 import turns


class Intake:
    """Reading from a transport pauses while it is held up, and while there is a rest that was too much for one turn.

    *take* gets the rest when there is time for it, as if it came only then, and may `put` back what is left.
    """

    __slots__ = ("_asked", "_loop", "_take", "_transport", "held_up", "rest")

    def __init__(self, loop: asyncio.AbstractEventLoop, take: Callable[[bytes], None]) -> None:
        self.rest = b""
        self.held_up = False
        self._transport: asyncio.Transport | None = None
        self._loop = loop
        self._take = take
        self._asked = False

    def begin(self, transport: asyncio.Transport) -> None:
        """Read from *transport*."""
        self._transport = transport

    def end(self) -> None:
        """Nothing comes any more."""
        self._transport = None
        self.rest = b""

    def hold_up(self) -> bool:
        """Read no more. Return whether that changes anything."""
        if self.held_up or self._transport is None or self._transport.is_closing():
            return False
        self.held_up = True
        self._transport.pause_reading()
        return True

    def go_on(self) -> bool:
        """Be held up no more. Return whether that changes anything."""
        if not self.held_up or self._transport is None or self._transport.is_closing():
            return False
        self.held_up = False
        if self.rest:
            self._later()
        else:
            self._transport.resume_reading()
        return True

    def put(self, rest: bytes) -> None:
        """Keep *rest* for a turn that has time for it. Nothing is read before it has been taken."""
        if self._transport is None:
            return
        self.rest = rest
        if not self._transport.is_closing():
            self._transport.pause_reading()
            self._later()

    def drop(self) -> None:
        """Forget the rest."""
        if self.rest:
            self.rest = b""
            self._read_on()

    def take(self) -> None:
        """Have some of the rest taken now."""
        rest, self.rest = self.rest, b""
        self._take(rest)

    def _later(self) -> None:
        if not self._asked:
            self._asked = True
            turns.of(self._loop).later(self._in_turn)

    def _in_turn(self) -> None:
        self._asked = False
        if self.rest and not self.held_up:
            self.take()
            self._read_on()

    def _read_on(self) -> None:
        if not self.rest and not self.held_up and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
