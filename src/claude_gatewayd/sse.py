"""The little of SSE that we read: where an event ends, and whether a stream of messages came to its end."""

import re
import zlib

_TAIL = 4096
_DECODED = 4 * 1024 * 1024  # of one read; more is not looked at
# A line feed cannot stand raw inside a JSON string, so a line that begins so is an event's name. A client acts on an
# event only when the empty line behind it has come.
_END = re.compile(rb"\nevent: ?(?:message_stop|error)\r?\n(?:[^\r\n]+\r?\n)*\r?\n")


class StreamWatch:
    """Watch a stream of messages go by, without holding it up.

    Only its last bytes are kept: enough to see its last event. A *compressed* one (gzip, deflate) is looked at in a
    decoded copy; nothing of ours can be put into it.
    """

    __slots__ = ("_blind", "_decoder", "_tail", "compressed")

    def __init__(self, *, compressed: bool = False) -> None:
        self.compressed = compressed
        self._tail = b"\n"
        self._blind = False
        self._decoder = zlib.decompressobj(zlib.MAX_WBITS | 32) if compressed else None

    def see(self, payload: bytes | memoryview) -> None:
        """Look at the next bytes."""
        if self._decoder is not None:
            try:
                payload = self._decoder.decompress(payload, _DECODED)
                self._blind = self._blind or bool(self._decoder.unconsumed_tail)
            except zlib.error:
                self._blind = True
        self._tail = (self._tail + bytes(payload[-_TAIL:]))[-_TAIL:]

    @property
    def between_events(self) -> bool:
        """Say whether an event of ours could follow here."""
        return not self.compressed and (self._tail.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")) or self._tail == b"\n")

    @property
    def complete(self) -> bool:
        """Say whether the stream came to its end: `message_stop`, or the upstream's own `error`, whole."""
        return _END.search(self._tail) is not None

    @property
    def incomplete(self) -> bool:
        """Say whether it certainly did not. Of what cannot be decoded that is not known."""
        return not self._blind and not self.complete
