"""The upstream side: one connection, and one exchange after the other on it."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from claude_gatewayd.http1 import tcp
from claude_gatewayd.http1.deadline import Deadline, Silence
from claude_gatewayd.http1.flow import Bytes, Sink, Source
from claude_gatewayd.http1.head import Lines, Malformed, ResponseHead
from claude_gatewayd.http1.intake import Intake
from claude_gatewayd.http1.upstream.answer import AnswerReader, Phase
from claude_gatewayd.http1.upstream.failure import UpstreamFailed as UpstreamFailed

_IDLE, _HEAD = Phase.IDLE, Phase.HEAD


class UpstreamConnection(asyncio.Protocol):
    """A connection to an upstream: `send`, `answer`, `begin_pipe`, `piped`; and again, if `reusable` says so."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.source: Source | None = None
        self.reusable = False
        self.lost = False
        self.on_lost: Callable[[UpstreamConnection], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._intake = Intake(self.loop, self.data_received)
        self._request_sent = True
        self._any_byte = False
        self._failed: UpstreamFailed | None = None
        # Who waits for the head, how long, and what then: a first pause ends the wait, or more time is asked for.
        self._head_waiter: asyncio.Future[ResponseHead | None] | None = None
        self._patience = 0.0
        self._is_first_pause = False
        self._may_ask_for_more = False
        self._on_head: Callable[[], None] | None = None
        self._on_end: Callable[[UpstreamFailed | None], None] | None = None
        self._unsent = 0
        self._look_waiter: asyncio.Future[None] | None = None
        self._deadline = Deadline(self.loop, self._expired)
        self._silence = Silence(self.loop, self._deadline)
        self._answer = AnswerReader(self._silence)

    # -- one exchange

    def send(
        self,
        request: bytes,
        body: Bytes,
        *,
        without_body: bool,
        complete: bool,
        interim: Callable[[ResponseHead], None] | None = None,
    ) -> None:
        """Send a request's head and *body*, what there is of it.

        *without_body* says that the answer has none whatever its head says (HEAD); *complete* that no more of the
        request follows by `write`; *interim* gets each 1xx answer.
        """
        self.reusable = False
        self._request_sent = complete
        self._any_byte = False
        self._answer.expect(without_body=without_body, interim=interim)
        if self._transport is not None:
            self._transport.writelines((request, body) if body else (request,))
        else:
            self._fail(UpstreamFailed("lost", "it closed the connection without an answer"))

    def write(self, data: Bytes) -> None:
        """Send the next raw bytes of the request's body."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def request_complete(self) -> None:
        """Say that the whole request has been sent: the time for the answer runs from now."""
        self._request_sent = True
        self.source = None
        if self._head_waiter is not None:
            self._deadline.set(self._patience)

    async def answer(self, seconds: float, longer: Callable[[], Awaitable[float]] | None = None) -> ResponseHead:
        """Return the head of the answer, waiting at most *seconds* for it. Raises UpstreamFailed.

        Where these are over, *longer* says how many more there are; none: it has failed.
        """
        found = await self.answer_unless_quiet(seconds, seconds, longer)
        assert found is not None
        return found

    async def answer_unless_quiet(
        self, seconds: float, quiet: float, longer: Callable[[], Awaitable[float]] | None = None
    ) -> ResponseHead | None:
        """Return it likewise, but None as soon as not one byte has come for *quiet* seconds: `answer` waits on."""
        rest = seconds - quiet
        while True:
            if self._failed is not None:
                raise self._failed
            if self._answer.head is not None:
                return self._answer.head
            self._patience = seconds
            self._is_first_pause = rest > 0
            self._may_ask_for_more = longer is not None
            if self._request_sent:
                self._deadline.set(quiet if rest > 0 else seconds)
            self._head_waiter = self.loop.create_future()
            try:
                found = await self._head_waiter
            finally:
                self._head_waiter = None
            if found is not None:
                return found
            if rest > 0:
                if not self._any_byte:
                    return None
                seconds, rest = rest, 0.0
                continue
            assert longer is not None
            seconds = await longer()
            if seconds <= 0 and self._answer.head is None:
                self._give_up()

    def call_with_head(self, on_head: Callable[[], None], seconds: float) -> None:
        """Call *on_head* once: with the `head` of the answer, or more of it than now; after *seconds*, or a failure."""
        self._on_head = on_head
        self._is_first_pause = True
        self._deadline.set(seconds)

    @property
    def head(self) -> ResponseHead | None:
        """The head of the answer, None while it is not here."""
        return self._answer.head

    @property
    def held(self) -> Sequence[tuple[bytes, Bytes]]:
        """What is here of the body, kept for `begin_pipe`: its bytes as they came, and their payload."""
        return self._answer.held

    async def look(self, sees: Callable[[Bytes], bool], seconds: float) -> None:
        """Show *sees* the payload that is here and what comes, until it says that it has seen enough.

        All of it is kept for `begin_pipe`. Ends as well when the body does, when as much as may be kept has come, or
        after *seconds*. Raises UpstreamFailed if the connection breaks first.
        """
        answer = self._answer
        if answer.has_seen(sees) or answer.body_done or answer.is_full:
            return
        if self._failed is not None:
            raise self._failed
        waiter = self._look_waiter = self.loop.create_future()
        seen_enough = functools.partial(_done, waiter)
        answer.look(sees, seen_enough)
        timer = self.loop.call_later(seconds, seen_enough)
        try:
            await waiter
        finally:
            timer.cancel()
            answer.stop_looking()
            self._look_waiter = None

    def begin_pipe(
        self,
        sink: Sink,
        *,
        raw: bool,
        silence: float,
        watch: Callable[[Bytes], bool | None] | None = None,
        only_pings: float | None = None,
    ) -> None:
        """Write the answer's body to *sink* from now on: what is here at once, the rest as it comes.

        With *raw* its bytes as they came, chunk sizes and all; else the payload. *silence* is how many seconds may
        pass without a byte. *watch* sees the payload before the sink does, and may say that there is nothing in it
        but pings: *only_pings* is how many seconds may pass with no more than those. `piped` waits for the end.
        """
        self._silence.begin(silence, only_pings)
        self._answer.pipe_to(sink, raw=raw, watch=watch)

    async def piped(self) -> None:
        """Return when the sink has the whole body. Raises UpstreamFailed."""
        if self.body_done:
            return
        ended: asyncio.Future[UpstreamFailed | None] = self.loop.create_future()
        self.call_when_piped(lambda failure: None if ended.done() else ended.set_result(failure))
        try:
            failure = await ended
        finally:
            self._on_end = None
            if self._answer.sink is not None:
                self._answer.sink.source = None
        if failure is not None:
            raise failure

    def call_when_piped(self, on_end: Callable[[UpstreamFailed | None], None]) -> None:
        """Call *on_end* once the sink has the whole body, or with how the connection failed."""
        if self._failed is not None:
            on_end(self._failed)
            return
        sink = self._answer.sink
        assert sink is not None
        self._on_end = on_end
        self.resume_reading()
        self._silence.heard(only_pings=False)
        sink.source = self  # last: a sink that is full holds us up at once

    @property
    def body_done(self) -> bool:
        """Say whether the whole body has come."""
        body = self._answer.body
        return body is not None and body.done

    @property
    def trailers(self) -> Lines:
        """What came after the body's last chunk."""
        return self._answer.trailers

    @property
    def tls(self) -> object:
        """The TLS of this connection, None for a plain one."""
        return self._transport.get_extra_info("ssl_object") if self._transport is not None else None

    def unacknowledged(self) -> int | None:
        """Return how many bytes of what was sent the peer's TCP has not acknowledged; None: that cannot be known."""
        return tcp.unacknowledged(self._transport)

    def reset(self) -> None:
        """Reset the connection: once it is `lost`, nothing more arrives of what is in flight."""
        tcp.discard_unsent(self._transport)
        self.abort()

    def abort(self) -> None:
        """End the connection at once, whatever is under way."""
        self.reusable = False
        self._answer.phase = _IDLE
        self._answer.sink = None
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """End an idle connection."""
        if self._transport is not None:
            self._transport.close()

    def keep(self) -> None:
        """Make ready for the pool: nothing is expected until the next `send`."""
        self._silence.pinged = False
        self._answer.stop()
        self._deadline.clear()
        if self._intake.held_up:  # by the end of the answer: who reads it was full
            self._intake.go_on()

    # -- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self._intake.begin(self._transport)

    def data_received(self, data: bytes) -> None:
        phase = self._answer.phase
        if phase is _IDLE:
            self.abort()  # nobody asked: what this is cannot be known
            return
        self._any_byte = True
        if self._intake.rest:  # the transport had it already
            self._intake.rest += data
            return
        try:
            if phase is _HEAD:
                self._read_head(data)
            else:
                self._read_body(data)
                if self._on_head is not None:
                    self._call_on_head()
        except Malformed as problem:
            self._fail(UpstreamFailed("malformed", f"its answer is not HTTP/1.1: {problem.why}", silent=False))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.lost = True
        self._deadline.close()
        if self.on_lost is not None:
            self.on_lost(self)
        while self._intake.rest:  # the end may be in it
            self._intake.take()
        self._intake.end()
        if exc is None and self._answer.end_with_connection():
            self._ended()
            self._call_on_head()
        elif not self.body_done:
            where = "in the middle of its answer" if self._any_byte else "without an answer"
            self._fail(UpstreamFailed("lost", f"it closed the connection {where}", silent=not self._any_byte))

    def pause_writing(self) -> None:
        if self.source is not None:
            self.source.pause_reading()

    def resume_writing(self) -> None:
        if self.source is not None:
            self.source.resume_reading()

    # -- back-pressure, from the one who reads the answer

    def pause_reading(self) -> None:
        if self._intake.hold_up() and self._answer.head is not None:
            self._deadline.clear()  # the silence is ours

    def resume_reading(self) -> None:
        if self._intake.go_on() and self._on_end is not None:
            self._silence.heard(only_pings=False)

    # -- inside

    def _read_head(self, data: bytes) -> None:
        answer = self._answer
        rest = answer.feed_head(data)
        if rest is None:
            return
        if rest:
            self._read_body(rest)
        elif answer.body.done:  # type: ignore[union-attr]
            self._ended()
        if not answer.body.done:  # type: ignore[union-attr]
            self._deadline.clear()
        if self._head_waiter is not None and not self._head_waiter.done():
            self._head_waiter.set_result(answer.head)
        self._call_on_head()  # last: the connection may be another request's after it

    def _call_on_head(self) -> None:
        on_head, self._on_head = self._on_head, None
        if on_head is not None:
            self._deadline.clear()
            on_head()

    def _call_on_end(self, failure: UpstreamFailed | None) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            if self._answer.sink is not None:
                self._answer.sink.source = None
            on_end(failure)

    def _read_body(self, data: bytes) -> None:
        answer = self._answer
        if answer.body.done:  # type: ignore[union-attr]  # on the hottest path; there is one since the head
            self.abort()  # more than the answer: the connection cannot be trusted with another
            return
        used = answer.feed_body(data)
        if answer.body.done:  # type: ignore[union-attr]
            self._ended(clean=used == len(data))
            return
        if answer.sink is None and answer.is_full:
            self.pause_reading()
        if used < len(data):
            self._intake.put(data[used:])

    def _ended(self, *, clean: bool = True) -> None:
        self._deadline.clear()
        head = self._answer.head
        assert head is not None
        self.reusable = clean and self._request_sent and head.keep_alive and not self.lost
        _done(self._look_waiter)
        self._call_on_end(None)

    def _expired(self) -> None:
        if self._answer.head is not None and self._on_head is None:
            self._give_up()
            return
        unsent = self._transport.get_write_buffer_size() if self._transport is not None else 0
        if not self._is_first_pause and 0 < unsent != self._unsent:
            self._unsent = unsent  # a large request on a slow line is still on its way
            self._deadline.set(self._patience)
        elif self._on_head is not None:
            self._call_on_head()
        elif (self._is_first_pause or self._may_ask_for_more) and self._head_waiter is not None:
            if not self._head_waiter.done():
                self._head_waiter.set_result(None)
        else:
            self._give_up()

    def _give_up(self) -> None:
        waiting = "of its answer" if self._answer.head is not None else "of an answer"
        nothing = f"nothing {waiting} but pings" if self._silence.pinged else f"no byte {waiting}"
        self._fail(UpstreamFailed("timeout", f"{nothing} came in time", silent=not self._any_byte))
        self.abort()

    def _fail(self, failure: UpstreamFailed) -> None:
        if self._failed is None:
            failure.asked = True
            self._failed = failure
        for waiter in (self._head_waiter, self._look_waiter):
            if waiter is not None and not waiter.done():
                waiter.set_exception(self._failed)
        self._call_on_head()
        self._call_on_end(self._failed)


def _done(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
