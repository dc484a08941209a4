"""An answer on its way to the client: status, headers and body, unchanged and unbuffered."""

import functools
from collections.abc import Callable

from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.anthropic import sse
from claude_gatewayd.anthropic.events import StreamWatch
from claude_gatewayd.bedrock import event_stream
from claude_gatewayd.http1 import content_coding
from claude_gatewayd.http1.head import HOP_BY_HOP, Lines, ResponseHead
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.http1.upstream.connection import UpstreamConnection, UpstreamFailed
from claude_gatewayd.http1.upstream.pool import Pool
from claude_gatewayd.worker.metering.meter import Meter
from claude_gatewayd.worker.relay.outgoing import _NO_HEADERS
from claude_gatewayd.worker.relay.sinks import CountedSink, PayloadSink

_FRAMING = frozenset((b"transfer-encoding", b"content-length"))


class Passing:
    """Pass one answer on: `begin`, then `until_end`; or without a task, `call_with_all` and `end`."""

    __slots__ = ("_connection", "_exchange", "_head", "_pool", "_sink", "_watch")

    def __init__(self, head: ResponseHead, connection: UpstreamConnection, pool: Pool, exchange: Exchange) -> None:
        self._head = head
        self._connection = connection
        self._pool = pool
        self._exchange = exchange
        self._watch: StreamWatch | None = None
        self._sink: Exchange | PayloadSink | CountedSink = exchange

    def begin(
        self,
        extra: Lines,
        *,
        meter: Meter,
        silence: float,
        watched: bool,
        drop: frozenset[bytes] = _NO_HEADERS,
        only_pings: float | None = None,
    ) -> None:
        """Pass on what is here. *meter* sees a copy.

        *drop* are headers to leave out. *silence* is how many seconds may pass without a byte, *only_pings* how many
        with nothing but pings; without it, pings count as any other byte. A *watched* stream that breaks never looks
        complete: it gets an SSE error event if it broke between two events, else the connection is reset.
        """
        head, connection = self._head, self._connection
        watch = self._watch = watch_of(head, meter) if watched else None
        observer = watch
        if not watched and only_pings is not None and is_stream(head.fields.get(b"content-type")):
            observer = watch_of(head, meter)
        sink = self._sink = self._start(extra, HOP_BY_HOP | drop if drop else HOP_BY_HOP)
        see = observer.see if observer is not None else meter.reader_of(head)
        connection.begin_pipe(sink, raw=sink is self._exchange, silence=silence, watch=see, only_pings=only_pings)
        if not connection.body_done:
            self._exchange.flush()

    @property
    def has_all(self) -> bool:
        """Whether all of it is passed on, but for its `end`."""
        return self._connection.body_done

    def call_with_all(self, on_all: Callable[[UpstreamFailed | None], None]) -> None:
        """Call *on_all* when it `has_all`, or with how the upstream failed. It is for `end`."""
        self._connection.call_when_piped(on_all)

    async def until_end(self) -> UpstreamFailed | None:
        """Wait for all of it, and `end`."""
        failure = None
        try:
            if not self.has_all:  # a short one came with its head: nothing to wait for
                await self._connection.piped()
        except UpstreamFailed as failed:
            failure = failed
        except BaseException:
            self._connection.abort()
            raise
        return self.end(failure)

    def end(self, failure: UpstreamFailed | None) -> UpstreamFailed | None:
        """End it as the upstream did, which may have failed. Return how it has, if it has."""
        exchange, connection, sink, watch = self._exchange, self._connection, self._sink, self._watch
        counted = self._head.length is not None
        if failure is None and watch is not None and watch.incomplete:
            failure = UpstreamFailed("lost", "its stream ended without message_stop", silent=False)
        trailers = connection.trailers if sink is not exchange else []
        self._pool.release(connection)
        # A stream that broke after its last event is complete, unless it is compressed or has a Content-Length: then
        # the client waits for the rest of its bytes.
        if failure is not None and (watch is None or counted or watch.compressed or not watch.complete):
            if watch is None or counted or not watch.between_events:
                exchange.flush()
                exchange.abort()
                return failure
            status = 504 if failure.kind == "timeout" else 502
            sink.write(anthropic_errors.error_event(status, f"Anthropic's answer broke off: {failure.detail}"))
        if isinstance(sink, PayloadSink):
            sink.end(trailers)
        exchange.finish()
        return failure

    def _start(self, extra: Lines, drop: frozenset[bytes]) -> Exchange | PayloadSink | CountedSink:
        """Send the head of the answer to the client, and return the sink for the body."""
        exchange, answer, watch = self._exchange, self._head, self._watch
        request = exchange.head
        lines = answer.fields.all_but(drop | answer.named if answer.named else drop)
        has_body = request.method != b"HEAD" and answer.status not in (204, 304)
        if not has_body or answer.length is not None:
            exchange.start(answer.status, answer.reason, lines + extra)
            return CountedSink(exchange, answer.length, watch) if watch is not None and answer.length else exchange
        chunks_out = not request.is_http_10 and (answer.chunked or watch is not None)
        if request.is_http_10 and answer.chunked:
            lines = answer.without(drop | _FRAMING)
        elif chunks_out and not answer.chunked:
            lines = [*lines, b"Transfer-Encoding: chunked"]
        exchange.start(answer.status, answer.reason, lines + extra, close=not chunks_out)
        if watch is not None or (answer.chunked and (not chunks_out or is_stream(answer.fields.get(b"content-type")))):
            return PayloadSink(exchange, in_chunks=chunks_out)
        return exchange


@functools.lru_cache(8)
def is_stream(content_type: bytes) -> bool:
    """Say whether this is the type of a stream of events, Anthropic's or AWS's."""
    return sse.is_stream(content_type) or event_stream.is_event_stream(content_type)


def watch_of(head: ResponseHead, meter: Meter | None = None) -> StreamWatch | None:
    """Return a watch for a stream; None if its coding is unknown."""
    coding = head.fields.get(b"content-encoding").lower()
    also = meter.plain_reader_of(head) if meter is not None else None
    if coding in (b"", b"identity"):
        return StreamWatch(also=also)
    decoder = content_coding.decoder(coding)
    return StreamWatch(decoder, also) if decoder is not None else None
