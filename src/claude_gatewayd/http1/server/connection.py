"""The server side: connections of clients, and one exchange after the other on each.

Requests of one connection are answered in their order: the next head is not even parsed before the answer to the
one before it is complete. What a client sends ahead stays in a bounded buffer, then in its kernel.
"""

import asyncio
import logging
import re
import socket
from dataclasses import dataclass
from typing import cast

from claude_gatewayd.http1 import tcp
from claude_gatewayd.http1.deadline import Deadline
from claude_gatewayd.http1.flow import Bytes, Source
from claude_gatewayd.http1.head import Malformed
from claude_gatewayd.http1.intake import Intake
from claude_gatewayd.http1.repeated import RepeatedHead
from claude_gatewayd.http1.server.connections import Connections
from claude_gatewayd.http1.server.exchange import Begin, BodyCut, Exchange, Handler, Underway

logger = logging.getLogger(__name__)

_COPIED = 16 * 1024  # bytes: to copy up to so many takes no longer than a view of them
_AHEAD = 64 * 1024  # bytes of pipelined requests kept while one is answered
_RESET_AFTER = 0.05  # seconds in which a probe is answered
_PROBE_AGAIN = 1.0
_EMPTY_LINES = re.compile(rb"(?:\r\n)+")  # before a request (RFC 9112 2.2)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that a client may take. Tests shorten them."""

    head: float = 30.0
    body_silence: float = 60.0
    keep_alive: float = 620.0  # longer than the pool of any client that we know
    write_stall: float = 600.0  # a client that reads nothing
    discard: float = 10.0  # to read away what a refused client still sends, so that it sees the answer


class ServerConnection(asyncio.Protocol):
    """One client's connection. A task of its own runs *handler* for each request; it is cancelled when the client goes.

    One task for all: to make one for each costs more than to parse its head. *begin* may get along without it.
    """

    def __init__(self, handler: Handler, connections: Connections, limits: Limits, begin: Begin | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.draining = connections.draining
        self.close_after = False
        self.write_paused = False
        self.answer_source: Source | None = None
        self._handler = handler
        self._begin = begin
        self._connections = connections
        self._waiting = connections.waiting
        self._limits = limits
        self._transport: asyncio.Transport | None = None
        self._intake = Intake(self.loop, self._take)
        self._heads = RepeatedHead()
        self._buffer = b""
        self._exchange: Exchange | None = None
        self._underway: Underway | None = None
        self._task: asyncio.Task[None] | None = None
        self._nothing_to_do: asyncio.Future[None] | None = None
        self._eof = False
        self._waits_to_write = False
        self._in_head = False
        self._discarding = False
        self._prober: asyncio.TimerHandle | None = None
        self._read_deadline = Deadline(self.loop, self._read_expired)
        self._write_deadline = Deadline(self.loop, self.abort)

    # -- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self._intake.begin(self._transport)
        self._connections.add(self)
        self._waiting[self] = None
        self._read_deadline.set(self._idle_seconds)
        self._task = self.loop.create_task(self._serve(), name="connection")

    def data_received(self, data: bytes) -> None:
        if self._discarding:
            return
        if self._intake.rest:  # the transport had it already
            self._intake.rest += data
            return
        exchange = self._exchange
        try:
            if exchange is not None and not exchange.body_done:
                self._read_deadline.set(self._limits.body_silence)
                used = exchange.feed(data)
                data = data[used:]
                if exchange.body_done:
                    self._read_deadline.clear()
                elif data:
                    self._put(data)
                    return
        except Malformed as problem:
            self._refuse(problem)
            return
        if data:
            self._buffer = self._buffer + data if self._buffer else data
            if self._exchange is None:
                self._advance()
            elif len(self._buffer) > _AHEAD:
                self.pause_reading()

    def eof_received(self) -> bool:
        self._eof = True
        if self._discarding:
            return False  # the refused client has seen its answer
        if self._intake.rest:
            return True
        exchange = self._exchange
        if exchange is None:
            if self._buffer:
                self._refuse(Malformed("the connection ended in the middle of a request's head"))
                return True
            return False
        if not exchange.body_done and exchange.started:
            self.abort()  # answered before its end came, which now never comes
        elif not exchange.body_done:
            exchange.fail(BodyCut())
        elif not exchange.finished:
            self._probe()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._intake.end()
        self._read_deadline.close()
        self._write_deadline.close()
        if self._prober is not None:
            self._prober.cancel()
        self._connections.remove(self)
        if self._exchange is not None:
            self._exchange.release()
        self._cancel()

    def pause_writing(self) -> None:
        self.write_paused = True
        self._write_deadline.set(self._limits.write_stall)
        if self.answer_source is not None:
            self.answer_source.pause_reading()

    def resume_writing(self) -> None:
        self.write_paused = False
        self._write_deadline.clear()
        if self.answer_source is not None:
            self.answer_source.resume_reading()
        elif self._waits_to_write:
            self._waits_to_write = False
            self._advance()

    # -- what an exchange calls

    @property
    def ends(self) -> tuple[object, object]:
        """The address of the client, and ours that it is connected to; None each once it is gone."""
        if self._transport is None:
            return None, None
        return self._transport.get_extra_info("peername"), self._transport.get_extra_info("sockname")

    def unacknowledged(self) -> int | None:
        """Return how many bytes of what was sent the client's TCP has not taken; None where that cannot be known."""
        return tcp.unacknowledged(self._transport)

    def send(self, data: Bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        if self._intake.hold_up():
            self._read_deadline.clear()  # the silence is ours

    def resume_reading(self) -> None:
        if not self._intake.held_up or not self._intake.go_on():
            return
        if self._exchange is not None and not self._exchange.body_done and not self._discarding:
            self._read_deadline.set(self._limits.body_silence)

    def need_task(self) -> None:
        if self._nothing_to_do is not None and not self._nothing_to_do.done():
            self._nothing_to_do.set_result(None)

    def exchange_finished(self) -> None:
        self.answer_source = None
        self._underway = None
        exchange = self._exchange
        if self._transport is None or exchange is None:
            return
        if not exchange.body_done:
            self._discard()
        elif self.close_after or (self._eof and not self._buffer):
            self._transport.close()
        else:
            self._advance()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Abort so that the client sees a reset: where the end of the connection ends the body, a close says "done"."""
        tcp.discard_unsent(self._transport)
        self.abort()

    # -- what the connections call, while the generation drains

    def drain(self) -> None:
        """Send `Connection: close` with the next answer; close an idle connection after a linger.

        A client may be sending a request at this very moment: its answer then asks it to close.
        """
        self.draining = True
        if self._exchange is None and not self._buffer:
            self._read_deadline.set(self._idle_seconds)

    def close_if_idle(self) -> bool:
        """Close, if nothing waits to be read by the client. Return whether it was so. Only a waiting one is asked."""
        if self._transport is None or self._transport.get_write_buffer_size():
            return False
        self._transport.close()
        return True

    # -- inside

    @property
    def _idle_seconds(self) -> float:
        return self._connections.linger if self.draining else self._limits.keep_alive

    def _advance(self) -> None:
        """Begin the next exchange, if its head is here."""
        self._exchange = None
        if self.write_paused:  # the answers to earlier requests have not been read: no more of them
            self._waits_to_write = True
            self.pause_reading()
            return
        try:
            self._next()
        except Malformed as problem:
            self._refuse(problem)

    def _next(self) -> None:
        buffer = self._buffer
        if buffer[:2] == b"\r\n":
            buffer = self._buffer = _EMPTY_LINES.sub(b"", buffer, 1)
        if not buffer:
            self._in_head = False
            if self._eof and self._transport is not None:
                self._transport.close()
            self._waiting[self] = None
            self._read_deadline.set(self._idle_seconds)
            if self._intake.held_up:
                self.resume_reading()
            return
        taken = self._heads.take(buffer)
        if taken is None:
            if self._eof:
                raise Malformed("the connection ended in the middle of a request's head")
            if not self._in_head:  # once: a head that comes byte by byte gets no longer for it
                self._in_head = True
                self._read_deadline.set(self._limits.head)
            self._waiting[self] = None
            self.resume_reading()
            return
        self._in_head = False
        self._read_deadline.clear()
        exchange, end, left = Exchange(self, taken[0]), taken[1], b""
        if exchange.body_done or exchange.head.chunked or len(buffer) - end <= _COPIED:
            buffer = buffer[end:]
            if buffer and not exchange.body_done:
                rest = buffer[exchange.feed(buffer) :]
                buffer, left = (rest, b"") if exchange.body_done else (b"", rest)
            self._buffer = buffer
        else:  # most of a large body is here: it is not copied once more
            used = exchange.feed(memoryview(buffer)[end:])
            self._buffer = buffer[end + used :]
        self._exchange = exchange
        self._waiting.pop(self, None)
        if not exchange.body_done:
            self._read_deadline.set(self._limits.body_silence)
            if left:
                self._put(left)
            elif self._eof:
                exchange.fail(BodyCut())
        elif self._eof:
            self._probe()
        if self._intake.held_up and len(self._buffer) <= _AHEAD:
            self.resume_reading()
        if self._nothing_to_do is not None and not self._nothing_to_do.done():
            self._underway = self._begin(exchange) if self._begin is not None else None
            if self._underway is None:
                self._nothing_to_do.set_result(None)

    def _put(self, rest: bytes) -> None:
        """Leave the rest of what has come of a body for later: it takes long to follow."""
        self._intake.put(rest)
        self._read_deadline.clear()  # the silence is ours

    def _take(self, rest: bytes) -> None:
        self.data_received(rest)
        if self._eof and not self._intake.rest and self._transport is not None:
            self.eof_received()

    async def _serve(self) -> None:
        while True:
            exchange = self._exchange
            if exchange is None or exchange.finished:
                self._nothing_to_do = self.loop.create_future()
                await self._nothing_to_do
                self._nothing_to_do = None
                continue
            underway, self._underway = self._underway, None
            try:
                await (self._handler(exchange) if underway is None else underway.go_on())
            except Exception:
                if not exchange.finished:
                    exchange.abort()
                logger.exception("a request could not be answered: this is a fault of the gateway")
            if not exchange.finished:
                exchange.abort()
            if self._buffer:
                await asyncio.sleep(0)  # a client that has sent many requests ahead is not alone here

    def _refuse(self, problem: Malformed) -> None:
        """Answer what cannot be parsed. Nothing more is read as a request on this connection."""
        self._buffer = b""
        if self._exchange is not None:
            if self._exchange.started:
                self.abort()
                return
            self._exchange.finished = True
            self._exchange.release()
        self._cancel()
        self.send(self._connections.refusal(problem))
        self._discard()

    def _cancel(self) -> None:
        """End what answers a request."""
        if self._underway is not None:
            self._underway.cancel()
            self._underway = None
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _discard(self) -> None:
        """Read away what the client still sends before the connection is closed.

        Closed with bytes unread, the kernel sends a reset, which may overtake the answer at the client.
        """
        self._discarding = True
        self._buffer = b""
        if self._transport is None:
            return
        if self._eof:
            self._transport.close()
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._waiting[self] = None
        self._read_deadline.set(self._limits.discard)
        self._intake.drop()
        self.resume_reading()

    def _read_expired(self) -> None:
        exchange = self._exchange
        if self._transport is None:
            return
        if self._discarding or (exchange is None and not self._buffer):
            self._transport.close()
        elif exchange is None or not exchange.body_done:
            self._refuse(Malformed("the client was silent for too long in the middle of a request", 408))

    def _probe(self) -> None:
        """Find out whether a client that has ended its side is gone, or only has nothing more to say.

        Both look the same until something is sent. One that waits may still go, so it is looked for until the end.
        """
        exchange = self._exchange
        if self._prober is not None:
            self._prober.cancel()
        if self._transport is not None and exchange is not None and not exchange.finished:
            exchange.probe()
            self._prober = self.loop.call_later(_RESET_AFTER, self._probed)

    def _probed(self) -> None:
        if self._transport is None:
            return
        sock: socket.socket | None = self._transport.get_extra_info("socket")
        if sock is not None and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._transport.abort()
        else:
            self._prober = self.loop.call_later(_PROBE_AGAIN, self._probe)
