"""What a worker is sent: it may be slow to read, and no line may reach it in part."""

import asyncio
import logging
import socket
from typing import Final

logger = logging.getLogger(__name__)

_MOST_UNSENT: Final = 1024 * 1024  # bytes that wait for a worker that does not read
_LEAVES_ROOM: Final = _MOST_UNSENT // 2  # facts do: an order counts for more
_LAST_WITHIN: Final = 1.0  # seconds


class Outbox:
    """Send lines over *channel*. What it does not take at once waits, up to a megabyte."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._unsent = b""

    def send(self, line: bytes, *, gives_way: bool = False) -> bool:
        """Send a line; one that *gives_way* is dropped sooner. Return whether it is sent, or waits."""
        if not self._unsent:
            self._unsent = line
            self._write()
            if self._unsent:
                self._loop.add_writer(self._channel.fileno(), self._go_on)
            return True
        if len(self._unsent) + len(line) > (_LEAVES_ROOM if gives_way else _MOST_UNSENT):
            return False
        self._unsent += line
        return True

    def finish(self) -> None:
        """Send what waits, within a second: from then on, another process sends over the channel."""
        if not self._unsent:
            return
        self._loop.remove_writer(self._channel.fileno())
        self._channel.settimeout(_LAST_WITHIN)
        try:
            self._channel.sendall(self._unsent)
        except OSError as error:
            logger.debug("a worker does not take its last orders: %s", error)
        self._unsent = b""
        self._channel.setblocking(False)

    def close(self) -> None:
        """Send no more: the channel is closed next."""
        self._loop.remove_writer(self._channel.fileno())
        self._unsent = b""

    def _go_on(self) -> None:
        self._write()
        if not self._unsent:
            self._loop.remove_writer(self._channel.fileno())

    def _write(self) -> None:
        try:
            self._unsent = self._unsent[self._channel.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError as error:
            self._unsent = b""  # it has ended, which is noticed elsewhere
            logger.debug("cannot reach a worker: %s", error)
