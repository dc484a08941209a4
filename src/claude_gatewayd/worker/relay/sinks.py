"""The sinks that an upstream's answer is written to: the client, or memory."""

from claude_gatewayd.anthropic.events import PingFilter, StreamWatch
from claude_gatewayd.bedrock.event_stream import EventStreamDecoder
from claude_gatewayd.http1 import framing
from claude_gatewayd.http1.flow import Bytes, Sink, Source
from claude_gatewayd.http1.head import Lines
from claude_gatewayd.http1.server.exchange import Exchange

_NUDGES = 8  # leading zeros: some clients accept 15 digits of a chunk size, and ours has at most 7


class PayloadSink:
    """Write the payload to a client, in chunks of our own or as it is."""

    __slots__ = ("_exchange", "_in_chunks", "_nudges")

    def __init__(self, exchange: Exchange, *, in_chunks: bool) -> None:
        self._exchange = exchange
        self._in_chunks = in_chunks
        self._nudges = 0
        if in_chunks:
            exchange.nudge = self._nudge

    @property
    def source(self) -> Source | None:
        """The upstream's connection."""
        return self._exchange.source

    @source.setter
    def source(self, source: Source | None) -> None:
        self._exchange.source = source

    def write(self, data: Bytes) -> None:
        """Write the next bytes."""
        self._nudges = 0
        self._exchange.write(framing.chunk(data) if self._in_chunks else data)

    def end(self, trailers: Lines) -> None:
        """End the body."""
        if self._in_chunks:
            self._exchange.write(framing.last_chunk(trailers))

    def _nudge(self) -> None:
        """Send a leading zero of the next chunk's size: it shows whether the client is still there."""
        if self._nudges < _NUDGES:
            self._nudges += 1
            self._exchange.write(b"0")


class CountedSink:
    """Write a stream with a Content-Length to a client, but hold back its last bytes if it has no last event.

    A proxy that buffers whole answers adds a length to an incomplete stream, too.
    """

    def __init__(self, exchange: Exchange, length: int, watch: StreamWatch) -> None:
        self._exchange = exchange
        self._left = length
        self._watch = watch

    @property
    def source(self) -> Source | None:
        return self._exchange.source

    @source.setter
    def source(self, source: Source | None) -> None:
        self._exchange.source = source

    def write(self, data: Bytes) -> None:
        self._left -= len(data)
        if self._left or not self._watch.incomplete:
            self._exchange.write(data)


class EventStreamSink:
    """Write AWS's event stream to another sink, as server-sent events."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._decoder = EventStreamDecoder()
        self._pings = PingFilter()
        self._events = b""

    @property
    def source(self) -> Source | None:
        return self._sink.source

    @source.setter
    def source(self, source: Source | None) -> None:
        self._sink.source = source

    def is_only_pings(self, payload: Bytes) -> bool:
        """Look at the next bytes, before they are written, and say whether there is nothing in them but pings."""
        self._events = self._decoder.feed(payload)
        return self._pings.is_only_pings(self._events)

    def write(self, data: Bytes) -> None:  # noqa: ARG002 - `is_only_pings` has decoded it
        if self._events:
            self._sink.write(self._events)


class MemorySink:
    """Keep at most *most* bytes."""

    def __init__(self, most: int) -> None:
        self.pieces: list[Bytes] = []
        self.full = False
        self.source: Source | None = None
        self._left = most

    def write(self, data: Bytes) -> None:
        self._left -= len(data)
        self.full = self.full or self._left < 0
        if not self.full:
            self.pieces.append(data)
