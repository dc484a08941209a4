"""Rewrite a stream as it comes: Bedrock's to Anthropic's format; others so that none ends without its last event."""

import asyncio
import re
from collections.abc import Callable
from typing import Final, Protocol

from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.anthropic.sse import PING, EventSplitter, data_of
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.http1.deadline import Deadline
from claude_gatewayd.http1.flow import Bytes, Source
from claude_gatewayd.http1.head import Lines
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.worker.metering.meter import Meter
from claude_gatewayd.worker.relay.relay import Answer
from claude_gatewayd.worker.relay.sinks import PayloadSink

# JSON strings contain no raw line feeds, so a line that begins with "event:" is the name of an event.
_LAST: Final = re.compile(rb"(?:\A|(?<=\n))event: ?(message_stop|error)\r?\n")
_LONGEST: Final = 16 * 1024 * 1024
_AFTER_END: Final = 5.0  # seconds: LiteLLM calls the person's callbacks when the client has its last event


class StreamRewriter(Protocol):
    """Rewrites one stream. *complete*: its last event has been returned."""

    complete: bool

    def feed(self, payload: Bytes) -> bytes:
        """Return the rewritten events that are complete with the next bytes."""
        ...

    def finish(self, failure: UpstreamFailed | None) -> bytes:
        """Return what to send at the end; *failure* is how the upstream failed, if it did."""
        ...


class Passthrough:
    """Send a stream of messages as it is, event by event; one that breaks off ends with an error.

    *upstream* is who answers, by the name that the person knows.
    """

    def __init__(self, upstream: str) -> None:
        self.complete = False
        self._upstream = upstream
        self._splitter = EventSplitter()

    def feed(self, payload: Bytes) -> bytes:
        """Return the events that are complete."""
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
        """Return an error if there was no last event."""
        if self.complete:
            return b""
        self.complete = True
        why = failure.detail if failure is not None else "its stream ended without message_stop"
        status = 504 if failure is not None and failure.kind == "timeout" else 502
        return anthropic_errors.error_event(status, f"{self._upstream}'s answer broke off: {why}")


def _masked(events: bytes) -> bytes:
    """Return the error that these events begin with, without what tells of an account."""
    failure = bedrock_errors.read_event(data_of(EventSplitter().feed(events)[0]))
    return anthropic_errors.error_event(failure.status, bedrock_errors.masked(failure.message))


async def rewrite_stream(
    answer: Answer,
    exchange: Exchange,
    lines: Lines,
    rewriter: StreamRewriter,
    *,
    meter: Meter,
    silence: float,
    ping_after: float,
) -> UpstreamFailed | None:
    """Send an answer's stream to the client through *rewriter*. Returns how the upstream failed, if it did.

    *meter* sees what is sent.
    *silence* is how many seconds may pass without a byte from upstream. After *ping_after* seconds in which nothing was
    sent, a ping is sent. With the last event the client has all of it, whether the upstream ends then or stays.
    """
    in_chunks = not exchange.head.is_http_10
    if in_chunks:
        lines = [*lines, b"Transfer-Encoding: chunked"]
    exchange.start(200, b"OK", lines, close=not in_chunks)
    exchange.flush()
    failure = None
    limit = asyncio.timeout(None)
    payload = PayloadSink(exchange, in_chunks=in_chunks)

    def ended() -> None:
        payload.end([])
        exchange.answered = True  # a client that leaves now has missed nothing
        limit.reschedule(asyncio.get_running_loop().time() + _AFTER_END)

    sink = _RewritingSink(payload, rewriter, meter.reader_of_events(), ping_after, ended)
    try:
        async with limit:
            await answer.pipe_to(sink, silence=silence)
    except UpstreamFailed as failed:
        failure = failed
    except TimeoutError:
        pass  # it stayed after the last event
    finally:
        sink.close()
    if not sink.ended:
        if last := rewriter.finish(failure):
            sink.payload.write(last)
        sink.payload.end([])
    exchange.finish()
    return failure


class _RewritingSink:
    """Writes the rewritten stream to the client, up to its last event; then it calls *end*.

    A client that reads too slowly pauses the upstream.

    Once the stream has begun, silences are broken by pings: a client gives up after a long one (300 s, measured). While
    a client does not read, there are none: they would only pile up.
    """

    def __init__(
        self,
        payload: PayloadSink,
        rewriter: StreamRewriter,
        see: Callable[[Bytes], None],
        ping_after: float,
        end: Callable[[], None],
    ) -> None:
        self.payload = payload
        self.ended = False
        self._see = see
        self._end = end
        self._rewriter = rewriter
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
        self._send(self._rewriter.feed(data))

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

    def close(self) -> None:
        """Cancel the timer."""
        self._silence.close()

    def _send(self, data: bytes) -> None:
        if data:
            self._begun = True
            self._see(data)
            self._wait()  # before the write, which may pause us
            self.payload.write(data)
        if self._rewriter.complete and not self.ended:
            self.ended = True
            self._end()

    def _wait(self) -> None:
        if self._begun and not self._paused and not self._rewriter.complete:
            self._silence.set(self._ping_after)
        else:
            self._silence.clear()

    def _ping(self) -> None:
        self._send(PING)
