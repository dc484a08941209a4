"""The worker's end of the socket pair to its supervisor: JSON lines both ways."""

import logging
import socket
from typing import Any

from claude_gatewayd.ipc import wire

logger = logging.getLogger(__name__)

_LAST_WORD_WITHIN = 5.0


class Channel:
    """Tell the supervisor, and hear what it says."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        self._lines = wire.LineBuffer()
        self._unsent = b""

    def fileno(self) -> int:
        """Return the descriptor, for the loop to watch."""
        return self._socket.fileno()

    def send_event(self, event: str, **details: Any) -> None:
        """Tell the supervisor. A supervisor that is gone, or does not read, is no reason to stop serving."""
        if self._unsent:
            self._send(self._unsent)
        if not self._unsent:  # else this news is dropped: the next has all of it again
            self._send(wire.encode({"event": event, **details}))

    def send_last(self, event: str, **details: Any) -> None:
        """Tell the supervisor something that must arrive, and wait for it. Nothing else is done by this process."""
        self._socket.settimeout(_LAST_WORD_WITHIN)
        try:
            self._socket.sendall(self._unsent + wire.encode({"event": event, **details}))
        except OSError as error:
            logger.warning("the supervisor was not told %s: %s", event, error)

    def _send(self, line: bytes) -> None:
        """Send what the socket takes; the rest is kept, so that no line is ever torn."""
        try:
            self._unsent = line[self._socket.send(line) :]
        except BlockingIOError:
            self._unsent = line
        except OSError as error:
            self._unsent = b""
            logger.debug("the supervisor cannot be told: %s", error)

    def receive(self) -> list[wire.Message] | None:
        """Return what the supervisor says, or None when it is gone."""
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return []
        except OSError:
            return None
        return [wire.decode(line) for line in self._lines.feed(data)] if data else None
