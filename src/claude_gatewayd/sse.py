"""The little of SSE that we read: the first event, where an event ends, and whether a stream came to its end."""

import json
import re
from typing import Literal, NamedTuple

from claude_gatewayd.coding import Decoder

_TAIL = 4096
_LONGEST_FIRST = 256 * 1024
# A line feed cannot stand raw inside a JSON string, so a line that begins so is an event's name. A client acts on an
# event only when the empty line behind it has come.
_END = re.compile(rb"\nevent: ?(?:message_stop|error)\r?\n(?:[^\r\n]+\r?\n)*\r?\n")


class StreamWatch:
    """Watch a stream of messages go by, without holding it up.

    Only its last bytes are kept: enough to see its last event. A compressed one is looked at in a copy that *decoder*
    makes; nothing of ours can be put into it.
    """

    __slots__ = ("_decoder", "_tail", "compressed")

    def __init__(self, decoder: Decoder | None = None) -> None:
        self.compressed = decoder is not None
        self._tail = b"\n"
        self._decoder = decoder

    def see(self, payload: bytes | memoryview) -> None:
        """Look at the next bytes."""
        if self._decoder is not None:
            payload = self._decoder.feed(payload)
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
        return not (self._decoder is not None and self._decoder.blind) and not self.complete


class First(NamedTuple):
    """What a stream begins with. *error* is the type of an "error", *data* what was said with it."""

    verdict: Literal["waiting", "content", "error"]
    error: str = ""
    data: bytes = b""


_WAITING = First("waiting")
_CONTENT = First("content")
_END_OF_EVENT = re.compile(rb"\r?\n\r?\n")
_NAME = re.compile(rb"(?:^|\n)event: ?([^\r\n]*)\r?\n")
_DATA = re.compile(rb"(?:^|\n)data: ?([^\r\n]*)")


class FirstEvent:
    """Find out what a stream of events begins with, pings left aside, as soon as that can be told."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, payload: bytes | memoryview) -> First:
        """Look at the next bytes."""
        self._buffer += payload
        while (end := _END_OF_EVENT.search(self._buffer)) is not None:
            event, self._buffer = self._buffer[: end.start()], self._buffer[end.end() :]
            told = _told(event)
            if told is not _WAITING:
                return told
        named = _NAME.search(self._buffer)
        if named is not None and named[1] not in (b"ping", b"error", b"engine_error"):
            return _CONTENT  # its name is enough
        return _CONTENT if len(self._buffer) > _LONGEST_FIRST else _WAITING


def _told(event: bytes) -> First:
    """Judge a whole event."""
    name = _NAME.search(event + b"\n")
    data = b"\n".join(_DATA.findall(event))
    if name is None and not data:
        return _WAITING  # a comment
    try:
        said = json.loads(data)
    except ValueError:
        said = None
    kind = name[1] if name is not None else b""
    if isinstance(said, dict):
        kind = kind or str(said.get("type", "")).encode(errors="replace")
        if kind in (b"error", b"engine_error"):
            error = said.get("error")
            named = error.get("type") if isinstance(error, dict) else None
            return First("error", named if isinstance(named, str) else "api_error", data)
    return _WAITING if kind == b"ping" else _CONTENT
