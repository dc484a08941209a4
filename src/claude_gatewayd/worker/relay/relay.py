"""Send one request to an upstream, and its answer back to the client. Whether to retry is not decided here."""

import asyncio
import functools
from collections.abc import Awaitable, Callable

import msgspec

from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.anthropic import events
from claude_gatewayd.anthropic.events import FirstEvent, FirstEventFinder
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
from claude_gatewayd.worker.relay.outgoing import _NO_HEADERS, OutgoingRequest
from claude_gatewayd.worker.relay.passing import Passing, is_stream, watch_of
from claude_gatewayd.worker.relay.sinks import EventStreamSink, MemorySink

_LONGEST_KEPT = 64 * 1024
_LONGEST_ERROR = 32 * 1024  # it is parsed on the event loop
_KEEP_TIMEOUT = 5.0
_FRAMING_TIMEOUT = 0.2  # after the last event of a stream, for the last chunk


class _Beginning:
    """The first event of a stream, in a decoded copy."""

    __slots__ = ("_decoder", "_finder", "first")

    def __init__(self, decoder: content_coding.Decoder | EventStreamDecoder) -> None:
        self._decoder = decoder
        self._finder = FirstEventFinder()
        self.first = FirstEvent("waiting")

    @property
    def is_known(self) -> bool:
        """Whether nothing more would be found out by waiting."""
        return self.first.verdict != "waiting" or self._decoder.blind

    def sees(self, payload: Bytes) -> bool:
        """Look at the next bytes. Return whether they are enough."""
        self.first = self._finder.feed(self._decoder.feed(payload))
        return self.is_known


class Answer:
    """An answer whose head has been received. One of `pass_on`, `pipe_to`, `keep` and `abort` must be called."""

    __slots__ = ("_connection", "_pool", "head", "is_stream")

    def __init__(self, connection: UpstreamConnection, pool: Pool, answer: ResponseHead) -> None:
        """Take an answer. `first_event` and `pipe_to` turn a stream of AWS's into server-sent events."""
        self.head = answer
        self.is_stream = is_stream(answer.fields.get(b"content-type"))
        self._connection = connection
        self._pool = pool

    async def first_event(self, seconds: float) -> FirstEvent:
        """Return what a stream begins with, apart from pings; "waiting" if nothing else comes within *seconds*.

        This inspects a decoded copy: `pass_on` and `keep` still send all of it. Raises UpstreamFailed, also for a
        stream that ends before its first event.
        """
        beginning = self._beginning()
        if beginning is not None:
            try:
                await self._connection.look(beginning.sees, seconds)
            except BaseException:
                self.abort()
                raise
            if not beginning.is_known and self._connection.body_done:
                self._pool.release(self._connection)
                raise UpstreamFailed("lost", "its stream ended before the first event", silent=False)
        return beginning.first if beginning is not None else FirstEvent("waiting")

    def begins_well(self) -> bool:
        """Say whether what is here of a stream begins with an event, and no error; or it cannot be known."""
        held = self._connection.held
        if held and held[0][1][: len(events.USUAL_START)] == events.USUAL_START:  # a coded stream does not
            return True
        beginning = self._beginning()
        if beginning is None:
            return True
        any(beginning.sees(payload) for _wire, payload in held)
        return beginning.is_known and beginning.first.verdict != "error"

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
        """Send it to the client as it comes, as `Passing.begin` says. Returns how the upstream failed, if it did."""
        passing = self.passing(exchange)
        passing.begin(extra, meter=meter, silence=silence, watched=watched, drop=drop, only_pings=only_pings)
        return await passing.until_end()

    def passing(self, exchange: Exchange) -> Passing:
        """Return what passes it on to a client."""
        return Passing(self.head, self._connection, self._pool, exchange)

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

    def _beginning(self) -> "_Beginning | None":
        """Return what looks at the first event of a stream; None if its coding is unknown."""
        if event_stream.is_event_stream(self.head.fields.get(b"content-type")):
            return _Beginning(EventStreamDecoder())
        decoder = content_coding.decoder(self.head.fields.get(b"content-encoding"))
        return _Beginning(decoder) if decoder is not None else None

    async def keep(self, *, most: int = _LONGEST_KEPT, within: float = _KEEP_TIMEOUT) -> KeptAnswer | None:
        """Read all of it, and release its connection. None if it is larger than *most* bytes, too slow, or breaks off.

        A stream is complete with its last event, even if its connection breaks after that.
        """
        sink = MemorySink(most)
        watch = watch_of(self.head) if self.is_stream else None
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


class RequestSent(msgspec.Struct, frozen=True):
    """A *request* that was sent on a connection which had been idle, *at* a time of the loop: `Relay.ask` goes on."""

    connection: UpstreamConnection
    request: OutgoingRequest
    at: float


class Relay:
    """Send requests to one upstream, over a pool of connections."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def send(
        self, exchange: Exchange, request: OutgoingRequest, seconds: float, on_head: Callable[[], None]
    ) -> RequestSent | None:
        """Send a request that has its body, if there is an idle connection; wait for nothing.

        *on_head* is called once: when there is an `answer`, or `ask` has to go on.
        """
        connection = self._pool.idle()
        if connection is None:
            return None
        _send(exchange, request, connection)
        sent = RequestSent(connection, request, connection.loop.time())
        connection.call_with_head(on_head, min(seconds, mute.QUIET))
        return sent

    def answer(self, sent: RequestSent) -> Answer | None:
        """Return the answer, if its head is here."""
        head = sent.connection.head
        return Answer(sent.connection, self._pool, head) if head is not None else None

    async def ask(
        self,
        exchange: Exchange | None,
        request: OutgoingRequest,
        *,
        seconds: float,
        fresh: bool,
        longer: Callable[[], Awaitable[float]] | None = None,
        sent: RequestSent | None = None,
    ) -> Answer:
        """Send a request, and return its answer when the head has been received.

        *exchange* is the client's, None for a request of our own, which must have its body. *seconds* is the time
        limit, from when it is sent; from now, if it was *sent*, which is not sent again. When it is over, *longer* may
        extend it. *fresh* is for a new connection, which a request whose body is streamed always gets. Raises
        UpstreamFailed, with `stale` set if a connection that had been idle died before any byte, and BodyCut.
        """
        quiet = mute.QUIET
        if sent is not None:
            found: UpstreamConnection | None = sent.connection
            quiet = max(0.0, quiet - (sent.connection.loop.time() - sent.at))
        else:
            found = None if fresh or request.body is None else self._pool.idle()
        used_before = found is not None
        connection = found or await self._pool.connect()
        upload: asyncio.Task[None] | None = None
        try:
            if sent is None:
                _send(exchange, request, connection)
            if request.body is None:
                assert exchange is not None
                upload = asyncio.create_task(_upload(exchange, connection))
            answer: ResponseHead | None
            if used_before:
                answer = await connection.answer_unless_quiet(seconds, quiet, longer)
                if answer is None:
                    send = functools.partial(_send, exchange, request)
                    until = connection.loop.time() + seconds - quiet
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
