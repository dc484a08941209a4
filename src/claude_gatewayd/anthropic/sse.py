"""Server-sent events as a format: where an event ends, and its two fields.

What the events of Anthropic's streams mean is in `events`.
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the supervisor writes an error of this package, and knows nothing of http1
    from collections.abc import Iterator

    from claude_gatewayd.http1.flow import Bytes

EOL = rb"(?>\r\n|\n|\r)"  # a line ends in one of three ways, and a CR with its LF is never two ends
PING = b'event: ping\ndata: {"type": "ping"}\n\n'

# EOL EOL, written so that it takes half the time.
_END_OF_EVENT = re.compile(rb"\n(?:\n|\r\n?)|\r(?:\n(?:\n|\r\n?)|\r\n?)")
_NAME = re.compile(rb"(?:\A|[\r\n])event: ?([^\r\n]*)")
_DATA = re.compile(rb"(?:\A|[\r\n])data: ?([^\r\n]*)")


def is_stream(content_type: bytes) -> bool:
    """Say whether an answer of this type is a stream of events."""
    return content_type.lower().startswith(b"text/event-stream")


def name_of(event: bytes) -> bytes:
    """Return the name of an event; empty where it has none."""
    found = _NAME.search(event)
    return found[1] if found is not None else b""


def data_of(event: bytes) -> bytes:
    """Return the data of an event, of several lines as many; empty where it has none."""
    found = _DATA.findall(event)
    return found[0] if len(found) == 1 else b"\n".join(found)


def spans(stream: "Bytes | bytearray", start: int = 0, looked: int = 0) -> "Iterator[tuple[int, int, int]]":
    """Yield of each whole event where it begins, where it ends, and where the next one begins.

    Up to *looked* there is known to be no end.
    """
    for end in _END_OF_EVENT.finditer(stream, max(start, looked)):
        yield start, end.start(), end.end()
        start = end.end()


class EventSplitter:
    """Split a stream into its events, however its bytes come."""

    __slots__ = ("_looked", "rest")

    def __init__(self) -> None:
        self.rest = bytearray()  # of an event that has not come whole
        self._looked = 0  # so far there is no end of an event in it

    def feed(self, payload: "Bytes") -> list[bytes]:
        """Return the events that are whole now, each without the empty line behind it."""
        if not self.rest and (one := _only_event(payload)) is not None:
            return [one]
        self.rest += payload
        found = list(spans(self.rest, looked=self._looked))
        events = [bytes(self.rest[start:end]) for start, end, _after in found]
        if found:
            del self.rest[: found[-1][2]]
        self._looked = max(0, len(self.rest) - 3)  # an end of four bytes may be cut
        return events

    def feed_raw(self, payload: "Bytes") -> bytes:
        """Return the same as they came, all of them in one."""
        if not self.rest and payload[-2:] == b"\n\n":
            return bytes(payload)  # nearly always
        self.rest += payload
        ends = [after for _start, _end, after in spans(self.rest, looked=self._looked)]
        if ends and ends[-1] == len(self.rest) and self.rest.endswith(b"\r"):
            ends.pop()  # its LF may be on the way
        at = ends[-1] if ends else 0
        whole = bytes(self.rest[:at])
        del self.rest[:at]
        self._looked = max(0, len(self.rest) - 3)
        return whole

    def clear(self) -> None:
        """Forget what has not come whole."""
        self.rest.clear()
        self._looked = 0


def _only_event(payload: "Bytes") -> bytes | None:
    """Return the event that nearly all pieces of a stream are, one with its empty line; None for any other piece."""
    if payload[-2:] != b"\n\n":
        return None
    data = bytes(payload)
    return data[:-2] if data.find(b"\n\n") == len(data) - 2 and b"\r" not in data else None
