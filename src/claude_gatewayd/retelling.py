"""Tell a stream again in other words, as it comes: Bedrock's answer, told as Anthropic would."""

import asyncio
from typing import Protocol

from claude_gatewayd.http1.exchange import Exchange
from claude_gatewayd.http1.flow import Bytes, Source
from claude_gatewayd.http1.head import Lines
from claude_gatewayd.http1.upstream import UpstreamFailed
from claude_gatewayd.relay import Answer, Payload

PING = b'event: ping\ndata: {"type": "ping"}\n\n'


class Teller(Protocol):
    """What puts a stream into other words. *began*: its first event has been told."""

    began: bool

    def feed(self, payload: Bytes) -> bytes:
        """Return what is to be told of the next bytes."""
        ...

    def finish(self, failure: str) -> bytes:
        """Return what is to be told at the end; *failure* is how the upstream failed, "" if it ended."""
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
    sink = _Told(Payload(exchange, in_chunks=in_chunks), teller)
    pings = asyncio.create_task(_ping(sink, ping_after))
    failure = None
    try:
        await answer.pipe_to(sink, silence=silence)
    except UpstreamFailed as failed:
        failure = failed
    finally:
        pings.cancel()
    sink.tell(teller.finish(failure.detail if failure is not None else ""))
    sink.payload.end([])
    exchange.finish()
    return failure


class _Told:
    """The client's end of it."""

    def __init__(self, payload: Payload, teller: Teller) -> None:
        self.payload = payload
        self.teller = teller
        self.told = 0

    @property
    def source(self) -> Source | None:
        return self.payload.source

    @source.setter
    def source(self, source: Source | None) -> None:
        self.payload.source = source

    def write(self, data: Bytes) -> None:
        self.tell(self.teller.feed(data))

    def tell(self, data: bytes) -> None:
        """Write to the client, if there is anything to write."""
        if data:
            self.told += 1
            self.payload.write(data)


async def _ping(sink: _Told, after: float) -> None:
    """Break the silence of a stream that has begun: a client takes a long one for the end (300 s, measured)."""
    while True:
        told = sink.told
        await asyncio.sleep(after)
        if sink.told == told and sink.teller.began:
            sink.tell(PING)
