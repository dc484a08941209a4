"""The little of SSE that we read: where an event ends, and whether a stream of messages came to its end."""

import re

_TAIL = 4096
# A line feed cannot stand raw inside a JSON string, so a line that begins so is an event's name. A client acts on an
# event only when the empty line behind it has come.
_END = re.compile(rb"\nevent: ?(?:message_stop|error)\r?\n(?:[^\r\n]+\r?\n)*\r?\n")


class StreamWatch:
    """Watch a stream of messages go by, without holding it up.

    Only its last bytes are kept: enough to see its last event.
    """

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b"\n"

    def see(self, payload: bytes | memoryview) -> None:
        """Look at the next bytes."""
        self._tail = (self._tail + bytes(payload[-_TAIL:]))[-_TAIL:]

    @property
    def between_events(self) -> bool:
        """Say whether an event of ours could follow here."""
        return self._tail.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")) or self._tail == b"\n"

    @property
    def complete(self) -> bool:
        """Say whether the stream came to its end: `message_stop`, or the upstream's own `error`, whole."""
        return _END.search(self._tail) is not None
