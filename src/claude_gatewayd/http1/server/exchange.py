"""One request and its answer, on the server side."""

import asyncio
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, Protocol

from claude_gatewayd.http1 import framing, head
from claude_gatewayd.http1.flow import Budget, Bytes, OverBudget, Sink, Source
from claude_gatewayd.http1.head import Lines, RequestHead

_UNREAD = 256 * 1024  # bytes of a body kept while nobody has asked for it
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class BodyTooLarge(Exception):
    """A body that was to be held is larger than the caller allows."""


class BodyCut(Exception):
    """The client ended its side before its body was complete."""


class Connection(Protocol):
    """What an exchange needs of the connection that it is on."""

    loop: asyncio.AbstractEventLoop
    draining: bool
    close_after: bool
    write_paused: bool
    answer_source: Source | None

    @property
    def ends(self) -> tuple[object, object]: ...

    def send(self, data: Bytes) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def need_task(self) -> None: ...

    def exchange_finished(self) -> None: ...

    def reset(self) -> None: ...

    def unacknowledged(self) -> int | None: ...


class Exchange:
    """One request and its answer.

    The handler reads the body by `hold` or by `pipe`, and answers by `reply`, or by `start`, `write` and `finish`.
    """

    __slots__ = (
        "_body", "_budget", "_charged", "_connection", "_expects", "_failure", "_held", "_limit", "_on_body", "_raw",
        "_raw_size", "_sink", "_unsent", "_waiter",
        "answered", "body_done", "finished", "first_sent_at", "head", "nudge", "sent", "started", "status",
    )  # fmt: skip

    def __init__(self, connection: Connection, request: RequestHead) -> None:
        self.head = request
        self.started = False
        self.status = 0  # of the answer, once it is started
        self.answered = False  # the client has been sent all of it, though the handler may still be at it
        self.finished = False
        self.nudge: Callable[[], None] | None = None  # sends a byte of the body's framing that changes nothing
        self.sent = 0  # bytes of the answer's body, with its framing
        self.first_sent_at = 0.0  # by the monotonic clock
        self._unsent = b""
        self._connection = connection
        self._body: framing.BodyReader = framing.Chunked() if request.chunked else framing.Counted(request.length or 0)
        self.body_done = self._body.done
        self._expects = request.expects_continue
        # Until somebody has asked for the body both its forms are kept; then one, or none.
        self._held: list[Bytes] | None = []
        self._raw: list[Bytes] | None = []
        self._raw_size = 0
        self._limit = _UNREAD
        self._budget: Budget | None = None
        self._charged = 0
        self._sink: Sink | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._on_body: Callable[[], None] | None = None
        self._failure: Exception | None = None

    @property
    def connection(self) -> Connection:
        """The connection that it is on."""
        return self._connection

    # -- the request's body

    @property
    def received(self) -> int:
        """How many bytes of the body have come, with its framing."""
        return self._raw_size

    async def hold(self, limit: int, budget: Budget) -> Bytes:
        """Return the whole body's payload, once it is complete; *budget* is charged until the exchange ends.

        Raises BodyTooLarge beyond *limit*, OverBudget, BodyCut.
        """
        if (self.head.length or 0) > limit:
            raise BodyTooLarge
        if self._budget is None:
            self._begin_to_hold(limit, budget)
        if not self.body_done or self._failure is not None:
            await self._complete()
        held = self.held
        self._held = None
        return held or b""

    def hold_without_task(self, limit: int, budget: Budget, on_body: Callable[[], None]) -> bool:
        """Begin to do as `hold` does, and call *on_body* when the whole body is `held`, or will not be had.

        Return whether that is so already. `hold` may be called then.
        """
        self._begin_to_hold(limit, budget)
        if self.body_done or self._failure is not None:
            return True
        self._on_body = on_body
        return False

    @property
    def held(self) -> Bytes | None:
        """What is held of the body's payload; None where it cannot be had, or somebody has it."""
        if self._held is not None and len(self._held) != 1:
            self._held = [b"".join(self._held)]
        return self._held[0] if self._held is not None else None

    def need_task(self) -> None:
        """Have what was begun without a task go on in one."""
        self._connection.need_task()

    def _begin_to_hold(self, limit: int, budget: Budget) -> None:
        self._connection.resume_reading()
        self._raw = None
        self._limit = limit
        self._budget = budget
        self._charge(self._raw_size)

    async def pipe(self, sink: Sink) -> None:
        """Write the raw body, chunk sizes and all, to *sink* as it comes. Raises BodyCut."""
        self._held = None
        self._sink = sink
        self._connection.resume_reading()  # before the sink may say that it is full
        sink.source = self._connection
        for raw in self._raw or ():
            sink.write(raw)
        self._raw = None
        await self._complete()

    async def _complete(self) -> None:
        if self._expects and not self.body_done and not self._raw_size:
            self._connection.send(_CONTINUE)
        self._expects = False
        if self._failure is not None:
            raise self._failure
        if not self.body_done:
            self._waiter = self._connection.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def feed(self, data: Bytes) -> int:
        """Take what has arrived of the body; return how many bytes of *data* were its. Raises Malformed."""
        used, payload = self._body.feed(data)
        raw = data if used == len(data) else data[:used]
        self.body_done = self._body.done
        self._raw_size += used
        if self.finished or self._failure is not None:
            return used  # a refused client is still sending
        if self._sink is not None:
            self._sink.write(raw)
        else:
            if self._raw is not None:
                self._raw.append(raw)
                if self._raw_size > self._limit:
                    self._connection.pause_reading()
            if self._held is not None and payload:
                self._held.append(payload)
            if self._budget is not None:
                self._charge(used)
        if self.body_done:
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)
            self._body_is_here()
        return used

    def _body_is_here(self) -> None:
        on_body, self._on_body = self._on_body, None
        if on_body is not None:
            on_body()

    def charge(self, size: int) -> None:
        """Charge the budget of `hold` with what is made of the body, until the exchange ends. Raises OverBudget."""
        if self._budget is not None:
            self._charged += size
            self._budget.left -= size
            if self._budget.left < 0:
                raise OverBudget

    def _charge(self, size: int) -> None:
        assert self._budget is not None
        self._charged += size
        self._budget.left -= size
        if self._raw_size > self._limit:
            self.fail(BodyTooLarge())
        elif self._budget.left < 0:
            self.fail(OverBudget())

    def fail(self, failure: Exception) -> None:
        """Tell whoever reads the body that it will not be had."""
        self._failure = failure
        self._held = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(failure)
        self._body_is_here()

    def release(self) -> None:
        """Forget what is held of the body."""
        self._raw = None
        self._held = None
        self.nudge = None
        self._on_body = None
        if self._budget is not None:
            self._budget.left += self._charged
            self._budget = None

    # -- the answer

    def reply(self, status: int, reason: bytes, lines: Lines, body: bytes) -> None:
        """Answer in one piece."""
        self.start(status, reason, [*lines, b"content-length: %d" % len(body)])
        if body and self.head.method != b"HEAD":
            self.write(body)
        self.finish()

    def start(self, status: int, reason: bytes, lines: Lines, *, close: bool = False) -> None:
        """Begin the answer. *lines* say where the body ends; with *close* the end of the connection does.

        The head goes out with the first of the body, or by `flush`: one system call and one TCP segment for both.
        """
        self.started = True
        self.status = status
        if close or not self.head.keep_alive or not self.body_done or self._connection.draining:
            lines = [*lines, b"Connection: close"]
            self._connection.close_after = True
        self._unsent = head.write_response(status, reason, lines)

    def flush(self) -> None:
        """Send the head, if the first of the body is not here yet."""
        if self._unsent:
            unsent, self._unsent = self._unsent, b""
            self._connection.send(unsent)

    def interim(self, status: int, reason: bytes, lines: Lines) -> None:
        """Send an answer of the 1xx sort, to a client that can understand it."""
        if not self.head.is_http_10:
            self._connection.send(head.write_response(status, reason, lines))

    def probe(self) -> None:
        """Send what changes nothing, if there is such a thing now. A socket that is gone answers with a reset.

        Before the answer that is an interim one, which a client has to expect at any time (RFC 9110 15.2).
        """
        if not self.started:
            self.interim(100, b"Continue", [])
        elif self.nudge is not None:
            self.nudge()

    def write(self, data: Bytes) -> None:
        """Send the next raw bytes of the answer's body."""
        if not self.sent:
            self.first_sent_at = monotonic()
        self.sent += len(data)
        if self._unsent:
            data, self._unsent = b"".join((self._unsent, data)), b""
        self._connection.send(data)

    @property
    def source(self) -> Source | None:
        """Where the answer's body comes from: paused while the client does not read fast enough."""
        return self._connection.answer_source

    @source.setter
    def source(self, source: Source | None) -> None:
        self._connection.answer_source = source
        if source is not None and self._connection.write_paused:
            source.pause_reading()

    def finish(self) -> None:
        """End the exchange: the answer is complete."""
        if self._unsent:
            self.flush()
        self.answered = self.finished = True
        self.release()
        self._connection.exchange_finished()

    def abort(self) -> None:
        """End the exchange and the connection with a reset: the answer cannot be completed."""
        self.finished = True
        self.release()
        self._connection.reset()


class Underway(Protocol):
    """A request that is being answered without a task."""

    def cancel(self) -> None:
        """Its client has gone."""

    def go_on(self) -> Coroutine[Any, Any, None]:
        """Return what answers it in a task, from where it is."""


Handler = Callable[[Exchange], Coroutine[Any, Any, None]]
Begin = Callable[[Exchange], Underway | None]
