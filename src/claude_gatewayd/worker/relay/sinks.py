"""What an upstream's answer is written to on its way to a client."""

from claude_gatewayd.anthropic.events import StreamWatch
from claude_gatewayd.http1 import framing
from claude_gatewayd.http1.flow import Bytes, Source
from claude_gatewayd.http1.head import Lines
from claude_gatewayd.http1.server.exchange import Exchange

_NUDGES = 8  # some readers of chunks bear 15 digits of a size, none of ours needs more than 7


class Payload:
    """Write payload to a client, in chunks of our own or bare."""

    def __init__(self, exchange: Exchange, *, in_chunks: bool) -> None:
        self._exchange = exchange
        self._in_chunks = in_chunks
        self._nudges = 0
        if in_chunks:
            exchange.nudge = self._nudge

    @property
    def source(self) -> Source | None:
        """Where it comes from."""
        return self._exchange.source

    @source.setter
    def source(self, source: Source | None) -> None:
        self._exchange.source = source

    def write(self, data: Bytes) -> None:
        """Write the next of it."""
        self._nudges = 0
        self._exchange.write(framing.chunk(data) if self._in_chunks else data)

    def end(self, trailers: Lines) -> None:
        """Say that this was all."""
        if self._in_chunks:
            self._exchange.write(framing.last_chunk(trailers))

    def _nudge(self) -> None:
        """Send a leading zero of the next chunk's size."""
        if self._nudges < _NUDGES:
            self._nudges += 1
            self._exchange.write(b"0")


class Counted:
    """Write a stream of a known length to a client, but for the last of it if the stream has not come to its end.

    A proxy that keeps answers until they are whole gives a length to what it has got.
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


class Memory:
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
