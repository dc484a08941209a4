"""The worker's end of the socket pair to its supervisor: JSON lines both ways."""

import logging
import socket
import threading
from typing import Any

from claude_gatewayd.ipc import wire

logger = logging.getLogger(__name__)

_SEND_LAST_WITHIN = 5.0
# To these a message is cut that would be too long to be read, which is taken for silence: a name in a file of AWS's may
# have a megabyte.
_LONGEST_TEXT = 1000
_LONGEST_LIST = 100


class Channel:
    """Send events to the supervisor, and receive its orders."""

    def __init__(self, descriptor: int) -> None:
        self.is_closed = threading.Event()  # the supervisor is gone, and `receive` has returned that
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        self._lines = wire.LineBuffer()
        self._unsent = b""

    def fileno(self) -> int:
        """Return the descriptor, for the loop to watch."""
        return self._socket.fileno()

    def send_event(self, event: str, **details: Any) -> None:
        """Send an event. A supervisor that is gone, or does not read, is no reason to stop serving."""
        self.send_rest()
        if not self._unsent:  # else this event is dropped: the next one carries the whole snapshot
            self._send(_line({"event": event, **details}))

    def send_fact(self, fact: wire.Message) -> None:
        """Send a fact for the other workers. One that finds no room is dropped: they find it out themselves."""
        line = _line({"event": "fact", "fact": fact})
        if len(self._unsent) + len(line) <= wire.MAX_LINE:
            self._send(self._unsent + line)

    @property
    def has_unsent(self) -> bool:
        """Return whether the supervisor has yet to take something: `send_rest` goes on when it reads."""
        return bool(self._unsent)

    def send_rest(self) -> None:
        """Send what the socket did not take before."""
        if self._unsent:
            self._send(self._unsent)

    def send_last(self, event: str, **details: Any) -> None:
        """Send an event that must arrive, and wait until it is sent. It blocks the process."""
        self._socket.settimeout(_SEND_LAST_WITHIN)
        try:
            self._socket.sendall(self._unsent + _line({"event": event, **details}))
        except OSError as error:
            logger.warning("cannot send the supervisor the event %s: %s", event, error)

    def _send(self, line: bytes) -> None:
        """Send what the socket takes, and keep the rest for the next call: a line is never sent in part."""
        try:
            self._unsent = line[self._socket.send(line) :]
        except BlockingIOError:
            self._unsent = line
        except OSError as error:
            self._unsent = b""
            logger.debug("cannot reach the supervisor: %s", error)

    def receive(self) -> list[wire.Message] | None:
        """Return the messages that have arrived, or None when the supervisor is gone."""
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.is_closed.set()
            return None
        return [wire.decode(line) for line in self._lines.feed(data)]


def _line(message: wire.Message) -> bytes:
    line = wire.encode(message)
    return line if len(line) <= wire.MAX_LINE else wire.encode(_cut(message))


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else value[:_LONGEST_TEXT] + "…"
    if isinstance(value, dict):
        return {_cut(name): _cut(inner) for name, inner in list(value.items())[:_LONGEST_LIST]}
    if isinstance(value, (list, tuple)):
        return [_cut(inner) for inner in value[:_LONGEST_LIST]]
    return value
