"""The little of SSE that we read: the first event, where an event ends, and whether a stream came to its end."""

import json
import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.anthropic.sse import EOL, EventSplitter, data_of, name_of, spans
from claude_gatewayd.http1.content_coding import Decoder
from claude_gatewayd.http1.flow import Bytes

_TAIL = 4096
_MOST_HELD = 2 * _TAIL  # in pieces: to put them together costs more than the look at one
_MAX_FIRST = 32 * 1024  # with the pings before it: they are parsed on the relay's loop
# A line feed cannot stand raw inside a JSON string, so a line that begins so is an event's name. A client acts on an
# event only when the empty line behind it has come.
_END = re.compile(rb"[\r\n]event: ?(?:message_stop|error)%b(?:[^\r\n]+%b)*%b" % (EOL, EOL, EOL))
_BETWEEN = re.compile(rb"(?:\A|%b)%b\Z" % (EOL, EOL))


# What only keeps a stream alive: a ping, named or not, a comment, an empty line.
_PINGS = re.compile(
    rb"(?:event: ?ping%b(?:data:[^\r\n]*+%b)*+%b|data: ?\{\s*+\"type\":\s*+\"ping\"\s*+\}%b%b|:[^\r\n]*+%b|%b)*+"
    % ((EOL,) * 7)
)
_LONGEST_PING = 256
_E, _BLANK, _P = b"e p"
_PING_BEGINS = (b"event: ping", b"event:ping", b'data: {"type": "ping"}', b'data: {"type":"ping"}')


class PingFilter:
    """Tell pings from the events of an answer: a stream that sends nothing but pings counts as silent."""

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        self._begun = b""

    def is_only_pings(self, payload: bytes | memoryview) -> bool:
        """Say whether the next bytes are nothing but pings, or may become one."""
        if not self._begun and len(payload) > 7 and payload[0] == _E and payload[6] == _BLANK and payload[7] != _P:
            return False  # "event: ", and no ping: nearly all that comes, and it has to cost nothing
        data = self._begun + payload if self._begun else payload
        at = _PINGS.match(data).end()  # type: ignore[union-attr]  # it matches nothing, too
        rest = bytes(data[at:]) if len(data) - at <= _LONGEST_PING else b""
        if at < len(data) and not (rest and _may_be_ping(rest)):
            self._begun = b""
            return False
        self._begun = rest
        return True


def _may_be_ping(begun: bytes) -> bool:
    return begun.startswith(b":") or any(begun.startswith(ping[: len(begun)]) for ping in _PING_BEGINS)


class StreamWatch:
    """Watch a stream of messages go by, without holding it up.

    Only its last bytes are kept: enough to see its last event. A compressed one is looked at in a copy that *decoder*
    makes; nothing of ours can be put into it. *also* sees all of it, decoded.
    """

    __slots__ = ("_also", "_decoder", "_last", "_last_size", "_pings", "compressed")

    def __init__(self, decoder: Decoder | None = None, also: Callable[[Bytes], None] | None = None) -> None:
        self._also = also
        self.compressed = decoder is not None
        self._last: list[bytes | memoryview] = [b"\n"]
        self._last_size = 1
        self._decoder = decoder
        self._pings = PingFilter()

    def see(self, payload: bytes | memoryview) -> bool:
        """Look at the next bytes, and say whether they are nothing but pings."""
        if self._decoder is not None:
            payload = self._decoder.feed(payload)
            if self._decoder.blind:
                return False
        if self._also is not None:
            self._also(payload)
        self._last.append(payload)
        self._last_size += len(payload)
        if self._last_size > _MOST_HELD:
            self._tail()
        return self._pings.is_only_pings(payload)

    def sees_end(self, payload: bytes | memoryview) -> bool:
        """Look at the next bytes, and say whether the stream has come to its end."""
        self.see(payload)
        return self.complete

    @property
    def between_events(self) -> bool:
        """Say whether an event of ours could follow here."""
        return not self.compressed and _BETWEEN.search(self._tail()) is not None

    @property
    def complete(self) -> bool:
        """Say whether the stream came to its end: `message_stop`, or the upstream's own `error`, whole."""
        return _END.search(self._tail()) is not None

    @property
    def incomplete(self) -> bool:
        """Say whether it certainly did not. Of what cannot be decoded that is not known."""
        return not (self._decoder is not None and self._decoder.blind) and not self.complete

    def _tail(self) -> bytes:
        tail = b"".join(self._last)[-_TAIL:]
        self._last = [tail]
        self._last_size = len(tail)
        return tail


class FirstEvent(NamedTuple):
    """What a stream begins with: the *name* of that event, as far as it is known.

    *error* is the type of an "error" event, *data* its data.
    """

    verdict: Literal["waiting", "content", "error"]
    error: str = ""
    data: bytes = b""
    name: bytes = b""


USUAL_START = b"event: message_start\n"  # of nearly all streams
_ERRORS = (b"error", b"engine_error")
_WAITING = FirstEvent("waiting")
_BEGUN = re.compile(rb"[\r\n]*event: ?([^\r\n]{0,64})" + EOL)


class FirstEventFinder:
    """Find the first event of a stream that is no ping, as soon as enough of it has come."""

    __slots__ = ("_left", "_splitter")

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._left = _MAX_FIRST

    def feed(self, payload: bytes | memoryview) -> FirstEvent:
        """Look at the next bytes."""
        seen = payload[: self._left]
        self._left -= len(seen)
        for event in self._splitter.feed(seen):
            if (first := _classify(event)) is not _WAITING:
                return first
        named = _BEGUN.match(self._splitter.rest)
        if named is not None and named[1] != b"ping" and named[1] not in _ERRORS:
            return FirstEvent("content", name=named[1])  # its name is enough
        return _WAITING if self._left else FirstEvent("content")


def with_sentence(stream: bytes, sentence: str) -> bytes | None:
    """Return a stream that begins with an error, with a sentence more in its message; None for any other."""
    for start, end, after in spans(stream):
        first = _classify(stream[start:end])
        if first is not _WAITING:
            error = anthropic_errors.with_sentence(first.data, sentence)
            if first.verdict != "error" or error is None:
                return None
            return b"%bevent: error\ndata: %b\n\n%b" % (stream[:start], error, stream[after:])
    return None


def _classify(event: bytes) -> FirstEvent:
    """Say what a whole event is, if it is the first."""
    kind, data = name_of(event), data_of(event)
    if not kind and not data:
        return _WAITING  # a comment
    if kind and kind not in _ERRORS:  # its name is enough
        return _WAITING if kind == b"ping" else FirstEvent("content", name=kind)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        kind = kind or str(document.get("type", "")).encode(errors="replace")
        if kind in _ERRORS:
            error = document.get("error")
            named = error.get("type") if isinstance(error, dict) else None
            return FirstEvent("error", named if isinstance(named, str) else "api_error", data)
    return _WAITING if kind == b"ping" else FirstEvent("content", name=kind)
