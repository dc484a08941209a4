"""Send one request to an upstream, and its answer back to the client. Whether to retry is not decided here."""

import asyncio
import functools
from collections.abc import Awaitable, Callable

from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.anthropic import events, sse
from claude_gatewayd.anthropic.events import FirstEvent, FirstEventFinder, StreamWatch
from claude_gatewayd.bedrock import event_stream
from claude_gatewayd.bedrock.event_stream import EventStreamDecoder
from claude_gatewayd.http1 import content_coding
from claude_gatewayd.http1.flow import Bytes, Sink
from claude_gatewayd.http1.head import HOP_BY_HOP, Lines, ResponseHead
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.http1.upstream import mute
from claude_gatewayd.http1.upstream.connection import UpstreamConnection, UpstreamFailed
from claude_gatewayd.http1.upstream.pool import Pool
from claude_gatewayd.worker.metering.meter import Meter
from claude_gatewayd.worker.relay.kept_answer import KeptAnswer
from claude_gatewayd.worker.relay.outgoing import _NO_HEADERS, _NO_LINES, OutgoingRequest
from claude_gatewayd.worker.relay.sinks import CountedSink, EventStreamSink, MemorySink, PayloadSink

_FRAMING = frozenset((b"transfer-encoding", b"content-length"))
_LONGEST_KEPT = 64 * 1024
_LONGEST_ERROR = 32 * 1024  # it is parsed on the event loop
_KEEP_TIMEOUT = 5.0
_FRAMING_TIMEOUT = 0.2  # after the last event of a stream, for the last chunk


class Answer:
    """An answer whose head has been received. One of `pass_on`, `pipe_to`, `keep` and `abort` must be called."""

    __slots__ = ("_connection", "_pool", "head")

    def __init__(self, connection: UpstreamConnection, pool: Pool, answer: ResponseHead) -> None:
        self.head = answer
        self._connection = connection
        self._pool = pool

    @property
    def is_stream(self) -> bool:
        """Whether it is a stream of events. `first_event` and `pipe_to` turn AWS's into server-sent ones."""
        return _is_stream(self.head.fields.get(b"content-type"))

    async def first_event(self, seconds: float) -> FirstEvent:
        """Return what a stream begins with, apart from pings; "waiting" if nothing else comes within *seconds*.

        This inspects a decoded copy: `pass_on` and `keep` still send all of it. Raises UpstreamFailed, also for a
        stream that ends before its first event.
        """
        decoder = self._events()
        finder = FirstEventFinder()
        first = FirstEvent("waiting")

        def inspect(payload: Bytes) -> bool:
            nonlocal first
            assert decoder is not None
            first = finder.feed(decoder.feed(payload))
            return first.verdict != "waiting" or decoder.blind

        if decoder is not None:
            try:
                await self._connection.look(inspect, seconds)
            except BaseException:
                self.abort()
                raise
            if first.verdict == "waiting" and not decoder.blind and self._connection.body_done:
                self._pool.release(self._connection)
                raise UpstreamFailed("lost", "its stream ended before the first event", silent=False)
        return first

    async def error(self, seconds: float) -> tuple[str, str]:
        """Return the type and the message of an error, "" for what does not come within *seconds*.

        This inspects a decoded copy: `pass_on` and `keep` still send all of it.
        """
        body = await self._first_bytes(seconds, _LONGEST_ERROR)
        return anthropic_errors.read_error(body) if len(body) <= _LONGEST_ERROR else ("", "")

    async def start_of_body(self, seconds: float) -> bytes:
        """Return the beginning of an error's body, decoded, as far as it comes within *seconds*; discard the rest."""
        body = await self._first_bytes(seconds, _LONGEST_KEPT)
        if self._connection.body_done:
            self._pool.release(self._connection)
        else:
            self.abort()
        return body[:_LONGEST_KEPT]

    async def _first_bytes(self, seconds: float, most: int) -> bytes:
        decoder = content_coding.decoder(self.head.fields.get(b"content-encoding"))
        if decoder is None:
            return b""
        pieces: list[bytes] = []
        left = most

        def inspect(payload: Bytes) -> bool:
            nonlocal left
            pieces.append(decoder.feed(payload))
            left -= len(pieces[-1])
            return left < 0 or decoder.blind

        try:
            await self._connection.look(inspect, seconds)
        except UpstreamFailed:
            pass  # `pass_on` and `keep` will fail, too
        except BaseException:
            self.abort()
            raise
        return b"".join(pieces)

    async def pass_on(
        self,
        exchange: Exchange,
        extra: Lines,
        *,
        meter: Meter,
        silence: float,
        watched: bool,
        drop: frozenset[bytes] = _NO_HEADERS,
        only_pings: float | None = None,
    ) -> UpstreamFailed | None:
        """Send it to the client as it comes: status, headers and body, unchanged and unbuffered. *meter* sees a copy.

        *drop* are headers to leave out. *silence* is how many seconds may pass without a byte, *only_pings* how many
        with nothing but pings; without it, pings count as any other byte. A *watched* stream that breaks never looks
        complete: it gets an SSE error event if it broke between two events, else the connection is reset. Returns how
        the upstream failed, if it did.
        """
        watch = self._watch(meter) if watched else None
        observer = watch if watched or only_pings is None or not self.is_stream else self._watch(meter)
        counted = self.head.length is not None
        sink = self._start(exchange, extra, watch, HOP_BY_HOP | drop if drop else HOP_BY_HOP)
        failure = None
        connection = self._connection
        raw = sink is exchange
        see = observer.see if observer is not None else meter.reader_of(self.head)
        connection.begin_pipe(sink, raw=raw, silence=silence, watch=see, only_pings=only_pings)
        try:
            if not connection.body_done:  # a short one came with its head: nothing to wait for
                exchange.flush()
                await connection.piped()
        except UpstreamFailed as failed:
            failure = failed
        except BaseException:
            self.abort()
            raise
        if failure is None and watch is not None and watch.incomplete:
            failure = UpstreamFailed("lost", "its stream ended without message_stop", silent=False)
        trailers = connection.trailers if not raw else _NO_LINES
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

    async def pipe_to(self, sink: Sink, *, silence: float) -> None:
        """Write the payload to *sink* as it comes. At most *silence* seconds may pass with nothing but pings.

        Raises UpstreamFailed.
        """
        pings = events.PingFilter().is_only_pings if self.is_stream else None
        if event_stream.is_event_stream(self.head.fields.get(b"content-type")):
            sink = EventStreamSink(sink)
            pings = sink.is_only_pings
        self._connection.begin_pipe(sink, raw=False, silence=silence, watch=pings, only_pings=silence)
        try:
            await self._connection.piped()
        except BaseException:
            self.abort()
            raise
        self._pool.release(self._connection)

    def _events(self) -> content_coding.Decoder | EventStreamDecoder | None:
        """Return what makes server-sent events of a stream's bytes; None if its coding is unknown."""
        if event_stream.is_event_stream(self.head.fields.get(b"content-type")):
            return EventStreamDecoder()
        return content_coding.decoder(self.head.fields.get(b"content-encoding"))

    def _watch(self, meter: Meter | None = None) -> StreamWatch | None:
        """Return a watch for the stream; None if its coding is unknown."""
        coding = self.head.fields.get(b"content-encoding").lower()
        also = meter.plain_reader_of(self.head) if meter is not None else None
        if coding in (b"", b"identity"):
            return StreamWatch(also=also)
        decoder = content_coding.decoder(coding)
        return StreamWatch(decoder, also) if decoder is not None else None

    def _start(
        self, exchange: Exchange, extra: Lines, watch: StreamWatch | None, drop: frozenset[bytes]
    ) -> "Exchange | PayloadSink | CountedSink":
        """Send the head of the answer to the client, and return the sink for the body."""
        request, answer = exchange.head, self.head
        lines = answer.without(drop)
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
        if watch is not None or (answer.chunked and (self.is_stream or not chunks_out)):
            return PayloadSink(exchange, in_chunks=chunks_out)
        return exchange

    async def keep(self, *, most: int = _LONGEST_KEPT, within: float = _KEEP_TIMEOUT) -> KeptAnswer | None:
        """Read all of it, and release its connection. None if it is larger than *most* bytes, too slow, or breaks off.

        A stream is complete with its last event, even if its connection breaks after that.
        """
        sink = MemorySink(most)
        watch = self._watch() if self.is_stream else None
        try:
            if watch is not None:
                await self._connection.look(watch.sees_end, within)
                if not watch.complete and not self._connection.body_done:
                    raise TimeoutError
                within = _FRAMING_TIMEOUT
            self._connection.begin_pipe(sink, raw=False, silence=within)
            async with asyncio.timeout(within):
                await self._connection.piped()
        except (UpstreamFailed, TimeoutError):
            self.abort()
            if watch is None or not watch.complete or sink.full:
                return None
            body = content_coding.decoded(self.head.fields.get(b"content-encoding"), b"".join(sink.pieces))
            return KeptAnswer(self.head, body, plain=True)
        except BaseException:
            self.abort()
            raise
        if sink.full:
            self.abort()
            return None
        self._pool.release(self._connection)
        return KeptAnswer(self.head, b"".join(sink.pieces))

    def abort(self) -> None:
        """Discard it, and reset the connection."""
        self._connection.abort()


class Relay:
    """Send requests to one upstream, over a pool of connections."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def ask(
        self,
        exchange: Exchange | None,
        request: OutgoingRequest,
        *,
        seconds: float,
        fresh: bool,
        longer: Callable[[], Awaitable[float]] | None = None,
    ) -> Answer:
        """Send a request, and return its answer when the head has been received.

        *exchange* is the client's, None for a request of our own, which must have its body. *seconds* is the time
        limit, from when the request is sent; when it is over, *longer* may extend it. *fresh* is for a new connection,
        which a request whose body is streamed always gets. Raises UpstreamFailed, with `stale` set if a connection that
        had been idle died before any byte, and BodyCut.
        """
        found = None if fresh or request.body is None else self._pool.idle()
        used_before = found is not None
        connection = found or await self._pool.connect()
        upload: asyncio.Task[None] | None = None
        try:
            _send(exchange, request, connection)
            if request.body is None:
                assert exchange is not None
                upload = asyncio.create_task(_upload(exchange, connection))
            answer: ResponseHead | None
            if used_before:
                answer = await connection.answer_unless_quiet(seconds, mute.QUIET, longer)
                if answer is None:
                    send = functools.partial(_send, exchange, request)
                    until = connection.loop.time() + seconds - mute.QUIET
                    again = mute.Resend(send, request.repeatable, until, longer)
                    connection, answer = await mute.answer(connection, self._pool, again)
            else:
                answer = await connection.answer(seconds, longer)
        except UpstreamFailed as failed:
            connection.abort()
            failed.stale = used_before and failed.kind == "lost" and failed.silent
            if upload is not None and upload.done() and not upload.cancelled() and upload.exception() is not None:
                raise upload.exception() or failed from None
            raise
        except BaseException:
            connection.abort()
            raise
        finally:
            if upload is not None and not upload.done():
                upload.cancel()
            if exchange is not None and exchange.source is not None:  # set by interim answers
                exchange.source = None
                connection.resume_reading()
        return Answer(connection, self._pool, answer)


@functools.lru_cache(8)
def _is_stream(content_type: bytes) -> bool:
    return sse.is_stream(content_type) or event_stream.is_event_stream(content_type)


def _send(exchange: Exchange | None, request: OutgoingRequest, connection: UpstreamConnection) -> None:
    connection.send(
        request.head,
        request.body or b"",
        without_body=request.no_response_body,
        complete=request.body is not None,
        interim=functools.partial(_pass_on_early, exchange, connection) if exchange is not None else None,
    )


def _pass_on_early(exchange: Exchange, connection: UpstreamConnection, early: ResponseHead) -> None:
    exchange.source = connection
    exchange.interim(early.status, early.reason, early.without(HOP_BY_HOP))


async def _upload(exchange: Exchange, connection: UpstreamConnection) -> None:
    try:
        await exchange.pipe(connection)
        connection.request_complete()
    except Exception:  # not if cancelled: the answer came before the whole request was sent
        connection.abort()
        raise
