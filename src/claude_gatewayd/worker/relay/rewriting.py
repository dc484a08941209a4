"""Tell a stream again, as it comes: Bedrock's answer in Anthropic's words, another's as it is, but with an end."""

import asyncio
import re
from typing import Final, Protocol

from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.anthropic.sse import PING, EventSplitter, data_of
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.http1.deadline import Deadline
from claude_gatewayd.http1.flow import Bytes, Source
from claude_gatewayd.http1.head import Lines
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.worker.relay.relay import Answer
from claude_gatewayd.worker.relay.sinks import Payload

# A line feed cannot stand raw inside a JSON string, so a line that begins so is an event's name.
_LAST: Final = re.compile(rb"(?:\A|(?<=\n))event: ?(message_stop|error)\r?\n")
_LONGEST: Final = 16 * 1024 * 1024


class StreamRewriter(Protocol):
    """What puts a stream into other words. *complete*: its end has been told."""

    complete: bool

    def feed(self, payload: Bytes) -> bytes:
        """Return what is to be told of the next bytes: whole events, nothing before the first of the stream."""
        ...

    def finish(self, failure: UpstreamFailed | None) -> bytes:
        """Return what is to be told at the end; *failure* is how the upstream failed, if it did."""
        ...


class Passthrough:
    """Tell a stream of messages as it is, event by event, and never let it end as if it were complete when it is not.

    *whose* is who answers, as the person knows it.
    """

    def __init__(self, whose: str) -> None:
        self.complete = False
        self._whose = whose
        self._splitter = EventSplitter()

    def feed(self, payload: Bytes) -> bytes:
        """Return the events that are whole."""
        whole = self._splitter.feed_raw(payload)
        if len(self._splitter.rest) > _LONGEST:
            self._splitter.clear()
        if self.complete or not whole:
            return b""
        if (last := _LAST.search(whole)) is None:
            return whole
        self.complete = True
        return whole if last[1] == b"message_stop" else whole[: last.start()] + _masked(whole[last.start() :])

    def finish(self, failure: UpstreamFailed | None) -> bytes:
        """Return an error where there was no end."""
        if self.complete:
            return b""
        self.complete = True
        why = failure.detail if failure is not None else "its stream ended without message_stop"
        status = 504 if failure is not None and failure.kind == "timeout" else 502
        return anthropic_errors.error_event(status, f"{self._whose}'s answer broke off: {why}")


def _masked(events: bytes) -> bytes:
    """Return the error that these events begin with, without what tells of an account."""
    failure = bedrock_errors.read_event(data_of(EventSplitter().feed(events)[0]))
    return anthropic_errors.error_event(failure.status, bedrock_errors.masked(failure.message))


async def rewrite_stream(
    answer: Answer, exchange: Exchange, lines: Lines, teller: StreamRewriter, *, silence: float, ping_after: float
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

    def __init__(self, payload: Payload, teller: StreamRewriter, ping_after: float) -> None:
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
