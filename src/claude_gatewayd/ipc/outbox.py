"""Lines to another process that may be slow to read: the event loop never waits for it, and no line arrives in part."""

import asyncio
import logging
import os
import select
import time
from typing import Final

logger = logging.getLogger(__name__)

_MOST_UNSENT: Final = 1024 * 1024  # bytes that wait for a process that does not read
_LEAVES_ROOM: Final = _MOST_UNSENT // 2  # so that what counts for more finds some
_LAST_WITHIN: Final = 1.0  # seconds


class Outbox:
    """Send lines over *descriptor*, of a socket or a pipe. What it does not take at once waits, up to a megabyte."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._unsent = b""

    def send(self, line: bytes, *, gives_way: bool = False) -> bool:
        """Send a line; one that *gives_way* is dropped sooner. Return whether it is sent, or waits."""
        if not self._unsent:
            self._unsent = line
            self._write()
            if self._unsent:
                self._loop.add_writer(self._descriptor, self._go_on)
            return True
        if len(self._unsent) + len(line) > (_LEAVES_ROOM if gives_way else _MOST_UNSENT):
            return False
        self._unsent += line
        return True

    def finish(self) -> None:
        """Send what waits, within a second: from then on, another process sends over the descriptor."""
        if not self._unsent:
            return
        self._loop.remove_writer(self._descriptor)
        ready, deadline = select.poll(), time.monotonic() + _LAST_WITHIN
        ready.register(self._descriptor, select.POLLOUT)
        while self._unsent and (left := deadline - time.monotonic()) > 0 and ready.poll(left * 1000):
            self._write()
        if self._unsent:
            logger.debug("a process does not take its last lines")
        self._unsent = b""

    def close(self) -> None:
        """Send no more: the descriptor is closed next, by its owner."""
        self._loop.remove_writer(self._descriptor)
        self._unsent = b""

    def _go_on(self) -> None:
        self._write()
        if not self._unsent:
            self._loop.remove_writer(self._descriptor)

    def _write(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._descriptor, self._unsent) :]
        except BlockingIOError:
            pass
        except OSError as error:
            self._unsent = b""  # it has ended, which its owner finds out
            logger.debug("cannot reach a process: %s", error)
