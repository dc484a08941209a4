"""The worker's end of the socket pair to its supervisor: JSON lines both ways."""

import logging
import socket
from typing import Any

from claude_gatewayd import wire

logger = logging.getLogger(__name__)


class Channel:
    """Tell the supervisor, and hear what it says."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        self._lines = wire.Lines()

    def fileno(self) -> int:
        """Return the descriptor, for the loop to watch."""
        return self._socket.fileno()

    def tell(self, event: str, **details: Any) -> None:
        """Tell the supervisor. A supervisor that is gone, or does not read, is no reason to stop serving."""
        try:
            self._socket.send(wire.encode({"event": event, **details}))
        except OSError as error:
            logger.debug("the supervisor was not told %s: %s", event, error)

    def receive(self) -> list[wire.Message] | None:
        """Return what the supervisor says, or None when it is gone."""
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return []
        except OSError:
            return None
        return [wire.decode(line) for line in self._lines.feed(data)] if data else None
