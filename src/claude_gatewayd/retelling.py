"""Tell a stream again in other words, as it comes: Bedrock's answer, told as Anthropic would."""

import asyncio
from typing import Protocol

from claude_gatewayd.http1.deadline import Deadline
from claude_gatewayd.http1.exchange import Exchange
from claude_gatewayd.http1.flow import Bytes, Source
from claude_gatewayd.http1.head import Lines
from claude_gatewayd.http1.upstream import UpstreamFailed
from claude_gatewayd.relay import Answer, Payload

PING = b'event: ping\ndata: {"type": "ping"}\n\n'


class Teller(Protocol):
    """What puts a stream into other words. *complete*: its end has been told."""

    complete: bool

    def feed(self, payload: Bytes) -> bytes:
        """Return what is to be told of the next bytes: whole events, nothing before the first of the stream."""
        ...

    def finish(self, failure: UpstreamFailed | None) -> bytes:
        """Return what is to be told at the end; *failure* is how the upstream failed, if it did."""
        ...


async def retell(
    answer: Answer, exchange: Exchange, lines: Lines, teller: Teller, *, silence: float, ping_after: float
) -> UpstreamFailed | None:
    """Send an answer's stream to the client in *teller*'s words. Returns how the upstream failed, if it did.

    *silence* is how many seconds may pass without a byte from upstream; where nothing was told for *ping_after*
    seconds, a ping is.
    """
    in_chunks = not exchange.head.is_http_10
    if in_chunks:
        lines = [*lines, b"Transfer-Encoding: chunked"]
    exchange.start(200, b"OK", lines, close=not in_chunks)
    exchange.flush()
    sink = _Told(Payload(exchange, in_chunks=in_chunks), teller, ping_after)
    failure = None
    try:
        await answer.pipe_to(sink, silence=silence)
    except UpstreamFailed as failed:
        failure = failed
    finally:
        sink.no_more_pings()
    if last := teller.finish(failure):
        sink.payload.write(last)
    sink.payload.end([])
    exchange.finish()
    return failure


class _Told:
    """The client's end of it, and the client's word in it: where it reads too slowly, the upstream is held up.

    A stream that has begun has its silences broken: a client takes a long one for the end (300 s, measured). Not
    those of a client that does not read: nothing but pings would be waiting for it.
    """

    def __init__(self, payload: Payload, teller: Teller, ping_after: float) -> None:
        self.payload = payload
        self._teller = teller
        self._source: Source | None = None
        self._paused = False
        self._begun = False
        self._ping_after = ping_after
        self._silence = Deadline(asyncio.get_running_loop(), self._ping)

    @property
    def source(self) -> Source | None:
        return self._source

    @source.setter
    def source(self, source: Source | None) -> None:
        self._source = source
        self._paused = False
        self.payload.source = self if source is not None else None

    def write(self, data: Bytes) -> None:
        self._tell(self._teller.feed(data))

    def pause_reading(self) -> None:
        self._paused = True
        self._silence.clear()
        if self._source is not None:
            self._source.pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        self._wait()
        if self._source is not None:
            self._source.resume_reading()

    def no_more_pings(self) -> None:
        """Give the timer back."""
        self._silence.close()

    def _tell(self, data: bytes) -> None:
        if data:
            self._begun = True
            self._wait()  # before the write: it may find the client full
            self.payload.write(data)

    def _wait(self) -> None:
        if self._begun and not self._paused and not self._teller.complete:
            self._silence.set(self._ping_after)
        else:
            self._silence.clear()

    def _ping(self) -> None:
        self._tell(PING)
