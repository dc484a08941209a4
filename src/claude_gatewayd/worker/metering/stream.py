"""The usage in a stream of server-sent events, Anthropic's or OpenAI's, without parsing every event. Pure."""

import re
from typing import Any, Final, Literal

import msgspec

from claude_gatewayd.anthropic.sse import data_of, name_of, spans
from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.ledger.usage import PlainUsage, Usage, merged
from claude_gatewayd.worker.metering.document import Found, PlainFound, decode

_HELD: Final = 8 * 1024  # of events that come in pieces, before they are looked through
_LONGEST: Final = 1024 * 1024  # of an event
_LONGEST_PLAIN: Final = 8 * 1024
_USAGE: Final = b'"usage"'  # in a text its quotation marks are escaped
_DATA: Final = b"\ndata: "
_COUNTS: Final = re.compile(rb'"usage"\s*+:\s*+(?!null)')
_OWN: Final = frozenset(("message_delta", "message_stop", ""))  # OpenAI's chunks have no name and no type
_METRICS_FIELDS: Final = {
    "inputTokenCount": "input_tokens",
    "outputTokenCount": "output_tokens",
    "cacheReadInputTokenCount": "cache_read_input_tokens",
    "cacheWriteInputTokenCount": "cache_creation_input_tokens",
}


class _Event(msgspec.Struct, gc=False):
    """An event's data: Anthropic's, a chunk of OpenAI's, or an event of its responses."""

    type: Any = None
    id: Any = None
    model: Any = None
    usage: Any = None
    message: Any = None
    response: Any = None
    metrics: Any = msgspec.field(default=None, name="amazon-bedrock-invocationMetrics")


class _PlainStart(msgspec.Struct, gc=False):
    """The first of the two events with a usage that nearly all streams have."""

    type: Literal["message_start"]
    message: PlainFound


class _PlainDelta(msgspec.Struct, gc=False):
    """The second."""

    type: Literal["message_delta"]
    usage: PlainUsage


_decoder: Final = msgspec.json.Decoder(_Event)
_start_decoder: Final = msgspec.json.Decoder(_PlainStart)
_delta_decoder: Final = msgspec.json.Decoder(_PlainDelta)


class StreamReader:
    """Read a stream, however its bytes come. They are looked through some kilobytes at a time, and then forgotten."""

    __slots__ = ("_found", "_looked", "_pieces", "_rest", "_size", "_skips", "_unread")

    def __init__(self) -> None:
        self._found: Found | None = None
        self._unread: list[bytes] = []  # events with a usage, up to two
        self._pieces: list[Bytes] = []
        self._size = 0
        self._rest = bytearray()  # of what was looked through: an event that has not come whole
        self._looked = 0  # so far there is no end of an event in it
        self._skips = False  # it is the end of an event that is too long

    def see(self, payload: Bytes) -> None:
        """Look at the next bytes."""
        self._pieces.append(payload)
        self._size += len(payload)
        if self._size > _HELD:
            self._look()

    def see_data(self, document: bytes, event: bytes = b"") -> None:
        """Look at the data of one event. The name of *event* counts if its data does not say what it is."""
        data = decode(_decoder, document)
        if data is None:
            return
        kind = data.type if isinstance(data.type, str) else name_of(event).decode(errors="replace")
        holder = _holder(data, kind)
        if holder is None:
            return
        found = self._found = self._found or Found()
        if isinstance(holder.usage, dict):
            found.usage = merged(found.usage, holder.usage) if found.usage is not None else holder.usage
        elif found.usage is None and isinstance(data.metrics, dict):
            found.usage = _of_metrics(data.metrics)
        found.id = found.id or holder.id
        found.model = found.model or holder.model

    def read_plain(self) -> PlainFound | None:
        """Return what was found in a stream that has the usual two events; None where it has others, for `read`."""
        self._look()
        if self._found is not None or len(self._unread) != 2:
            return None
        start, delta = self._unread
        try:
            # Of any other form than one line of data, the last, there is more or less than a document behind it.
            found = _start_decoder.decode(start[start.find(_DATA) + len(_DATA) :]).message
            more = _delta_decoder.decode(delta[delta.find(_DATA) + len(_DATA) :]).usage
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if not (found.id and found.model and found.usage.is_plain and more.is_plain):
            return None
        found.usage.update(more)
        return found

    def read(self) -> Found:
        """Return what was found."""
        self._look()
        self._read_events()
        return self._found or Found()

    def _look(self) -> None:
        """Look through the events that are whole."""
        if not self._pieces:
            return
        come = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        rest = self._rest
        if not rest and come[-2:] == b"\n\n":  # nearly always
            if come.rfind(_USAGE) >= 0:  # which takes half the time of `in`
                self._find(come)
            return
        rest += come
        after = rest.rfind(b"\n\n", self._looked) + 2
        if after < 2:
            after = max((end for _, _, end in spans(rest, looked=self._looked)), default=0)
        if after:
            whole = bytes(rest[:after])
            del rest[:after]
            if self._skips:
                self._skips = False
                whole = whole[next(spans(whole))[2] :]
            if whole.rfind(_USAGE) >= 0:
                self._find(whole)
        if len(rest) > _LONGEST:
            self._skips = True
            del rest[:-3]
        self._looked = max(0, len(rest) - 3)  # an end of four bytes may be cut

    def _find(self, events: bytes) -> None:
        """Keep those of some whole events that have a usage, until they are read; no more than a usual stream has."""
        found = []
        if b"\r" in events:
            found = [events[start:end] for start, end, _ in spans(events)]
        else:
            start = len(events)
            while (at := events.rfind(_USAGE, 0, start)) >= 0:
                start = events.rfind(b"\n\n", 0, at) + 1
                found.append(events[start : events.find(b"\n\n", at)].lstrip(b"\n"))
            found.reverse()
        unread = self._unread
        for event in found:
            if _COUNTS.search(event) is not None:
                unread.append(event)
                if len(unread) > 2 or len(event) > _LONGEST_PLAIN:
                    self._read_events()

    def _read_events(self) -> None:
        for event in self._unread:
            self.see_data(_data_of(event), event)
        self._unread.clear()


def _data_of(event: bytes) -> bytes:
    """Return the data of an event: as `data_of` does, but in a tenth of the time where it is one line, the last."""
    at = event.find(_DATA)
    data = event[at + len(_DATA) :]
    return data_of(event) if at < 0 or b"\n" in data or b"\r" in data else data


def _holder(data: _Event, kind: str) -> Found | _Event | None:
    """Return what has the usage in an event; None for an event whose usage is not the answer's."""
    if kind in _OWN:
        return data
    inner = data.message if kind == "message_start" else data.response if kind.startswith("response.") else None
    return Found(inner.get("id"), inner.get("model"), inner.get("usage")) if isinstance(inner, dict) else None


def _of_metrics(metrics: dict[str, Any]) -> Usage:
    """Return what Bedrock adds to the last event of any model's stream as Anthropic's usage."""
    return {usual: metrics.get(theirs) for theirs, usual in _METRICS_FIELDS.items()}
