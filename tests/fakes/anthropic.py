"""A recording fake of Anthropic's API that is strict about HTTP and fails in every way one asks for.

    with FakeAnthropic() as fake:
        fake.fail_next(status=529)
        ...                                   # point the gateway, or a client, at fake.url
        first, second = fake.wait_for(2)
        assert first.status == 529
        assert fake.violations == []

Verbs that end in `_next` are about the next request to a path (by default POST /v1/messages); they queue: one
request takes one fault.
"""

import asyncio
import json
import socket
import ssl
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar
from urllib.parse import urlsplit

import brotli
import zstandard

from tests.fakes.anthropic_http import Connection, GoneError, Head, Headers, How, ViolationError, check_head, unmarked
from tests.fakes.anthropic_model import (
    RESET_AT,
    Answer,
    Api,
    Ids,
    Piece,
    common_headers,
    credential_of,
    error_answer,
    error_envelope,
    reason,
    sse_event,
    unified_limits,
)

T = TypeVar("T")

MESSAGES: Final = "/v1/messages"
TIMEOUT: Final = 10.0

Cut = Literal["nothing", "before-head", "half-head", "head", "first-event", "mid-event", "mid-chunk", "last-event"]


Coding = Literal["", "gzip", "deflate", "br", "zstd"]


@dataclass(slots=True)
class Recorded:
    """A request as it came, and what became of its answer. Times are time.monotonic()."""

    method: str
    target: str
    version: str
    headers: Headers
    head: bytes
    connection: int
    at: float
    body: bytes = b""
    trailers: Headers = ()
    received: int = 0
    complete: bool = False
    status: int | None = None
    answered: float | None = None
    aborted: float | None = None
    coding: str = ""  # of its answer
    coded: bytes = b""  # the answer's body in that coding, where it has one

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    def header(self, name: str) -> str | None:
        """Return the value of a header, whatever its case; None if there is none."""
        values = self.header_values(name)
        return values[0] if values else None

    def header_values(self, name: str) -> list[str]:
        """Return all values of a header, whatever its case."""
        return [value.decode("latin-1") for key, value in self.headers if key.lower() == name.lower().encode()]

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Wire:
    """How an answer is put on the wire."""

    framing: Literal["auto", "length", "chunked", "close"] = "auto"
    compression: Coding = ""  # used if the request accepts it; flushed for every event
    chunk_size: int | None = None  # None: one chunk an event
    write_size: int | None = None  # so many bytes a write, across all boundaries
    trailers: Headers = ()
    interim: tuple[int, ...] = ()  # 1xx before the answer: 103
    keep_alive: bool = True


class Hold:
    """A place where an answer waits until the test lets it go on."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reached = threading.Event()
        self._go = asyncio.Event()

    def wait_reached(self, timeout: float = TIMEOUT) -> None:
        """Block until a request is being held here."""
        assert self._reached.wait(timeout), "no request came to the hold"

    def release(self) -> None:
        """Let the held request, and those that come later, go on."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._go.set)

    async def pause(self) -> None:
        """Be held."""
        self._reached.set()
        await self._go.wait()


# An answer on its way is a list of steps, and most faults are a change of that list.


@dataclass(frozen=True, slots=True)
class SendHead:
    """Send a head, or what stands in its place."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SendBody:
    """Send a piece of the body in its framing; of a broken chunk only `only` bytes of the framed form."""

    name: str
    payload: bytes
    pause: float = 0.0
    torn: bool = False


@dataclass(frozen=True, slots=True)
class SendEnd:
    """Send what ends the body: the last chunk and trailers, or nothing."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Do nothing for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Held:
    """Do nothing until the test says so."""

    hold: Hold


@dataclass(frozen=True, slots=True)
class Stall:
    """Do nothing, or only send pings, until the peer leaves."""

    ping_every: float | None = None


@dataclass(frozen=True, slots=True)
class End:
    """End the connection."""

    how: How


Step = SendHead | SendBody | SendEnd | Delay | Held | Stall | End
Steps = list[Step]


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes otherwise with one request: what is answered, and how the answer is sent."""

    answer: Callable[[Answer, str], Answer] = lambda answer, request_id: answer
    steps: Callable[[Steps], Steps] = lambda steps: steps
    before_body: tuple[Step, ...] = ()  # done when the head is read, the body not
    answer_early: bool = False  # answered when the head is read, the body not
    wire: Wire | None = None


class FakeAnthropic:
    """Anthropic's API on a port of this machine, in a thread of its own."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        direct: bool = False,
    ) -> None:
        """Bind the port; `direct` allows what a client may say to its own server: Connection."""
        self.wire = Wire()
        self.requests: list[Recorded] = []
        self.violations: list[str] = []
        self.connections = 0
        self.deaths = 0
        self.good: set[str] | None = None  # the credentials that are known; None: any is
        self._tls, self._host, self._direct = tls, host, direct
        self._ids = Ids()
        self._api = Api(self._ids)
        self._changed = threading.Condition()
        self._faults: dict[str, deque[Fault]] = {}
        self._die_on_reuse: deque[How] = deque()
        self._holds: list[Hold] = []
        self._live: set[Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._run, name="fake-anthropic", daemon=True)
        self._listener = self._bind(port)
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        """The base URL."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    # Life.

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start to serve."""
        self._thread.start()
        self._call(self._listen())

    def close(self) -> None:
        """End every connection, task, socket and the thread."""
        if self._loop.is_closed():
            return
        if self._thread.is_alive():
            self._call(self._shut())
            self.wait_until(lambda: not self._live, what="the end of all connections")
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._listener.close()
        self._loop.close()

    def refuse_connections(self) -> None:
        """Close the listening socket, so that connecting is refused; open connections go on."""
        self._call(self._unlisten())

    def accept_connections(self) -> None:
        """Listen again on the same port."""
        self._listener = self._bind(self.port)
        self._call(self._listen())

    def _bind(self, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        return socket.create_server((self._host, port), family=family, backlog=512)

    def _run(self) -> None:
        self._loop.run_forever()

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(TIMEOUT)

    async def _listen(self) -> None:
        self._server = await self._loop.create_server(
            lambda: Connection(self._made, self._lost),
            sock=self._listener,
            ssl=self._tls,
            ssl_shutdown_timeout=0.5 if self._tls else None,
        )

    async def _unlisten(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _shut(self) -> None:
        await self._unlisten()
        for connection in list(self._live):
            connection.end("reset")
        tasks = [connection.task for connection in self._live if connection.task]
        await asyncio.gather(*tasks, return_exceptions=True)

    # What was seen.

    @property
    def open_connections(self) -> int:
        """The number of connections that are open now."""
        return len(self._live)

    @property
    def idle_connections(self) -> int:
        """The number of open connections on which no request is being served."""
        return sum(connection.idle for connection in list(self._live))

    def wait_until(self, true: Callable[[], bool], timeout: float = TIMEOUT, what: str = "it") -> None:
        """Block until something about this fake is true."""
        with self._changed:
            assert self._changed.wait_for(true, timeout), f"waited {timeout} s for {what}; saw {self._summary()}"

    def wait_for(self, n: int, timeout: float = TIMEOUT, *, path: str | None = None) -> list[Recorded]:
        """Block until n requests (to a path) came with their bodies; return all of them."""

        def whole() -> list[Recorded]:
            return [r for r in self.requests if r.complete and path in (None, r.path)]

        self.wait_until(lambda: len(whole()) >= n, timeout, f"{n} requests")
        return whole()

    def wait_for_heads(self, n: int, timeout: float = TIMEOUT) -> list[Recorded]:
        """Block until the heads of n requests came."""
        self.wait_until(lambda: len(self.requests) >= n, timeout, f"{n} heads")
        return list(self.requests)

    def wait_for_aborts(self, n: int, timeout: float = TIMEOUT) -> list[Recorded]:
        """Block until n requests were left by the client before their answers were complete; return those."""

        def aborted() -> list[Recorded]:
            return [r for r in self.requests if r.aborted is not None]

        self.wait_until(lambda: len(aborted()) >= n, timeout, f"{n} aborts")
        return aborted()

    def wait_for_answers(self, n: int, timeout: float = TIMEOUT) -> list[Recorded]:
        """Block until n answers were sent to their end; return their requests."""

        def answered() -> list[Recorded]:
            return [r for r in self.requests if r.answered is not None]

        self.wait_until(lambda: len(answered()) >= n, timeout, f"{n} answers")
        return answered()

    def _summary(self) -> str:
        seen = [f"{r.method} {r.target} status={r.status} aborted={bool(r.aborted)}" for r in self.requests]
        return f"{seen}, violations {self.violations}"

    # Faults.

    def next_is(self, fault: Fault, *, path: str = MESSAGES, times: int = 1) -> None:
        """Queue a fault for the next requests to a path."""
        with self._changed:
            self._faults.setdefault(path, deque()).extend([fault] * times)

    def clear_faults(self) -> None:
        """Forget the faults that no request has taken."""
        with self._changed:
            self._faults.clear()
            self._die_on_reuse.clear()

    def pass_next(self, *, path: str = MESSAGES, times: int = 1) -> None:
        """Let the next request be answered as usual; a place holder between faults."""
        self.next_is(Fault(), path=path, times=times)

    def wire_next(self, wire: Wire, *, path: str = MESSAGES, times: int = 1) -> None:
        """Put the next answer on the wire in another way."""
        self.next_is(Fault(wire=wire), path=path, times=times)

    def answer_next(
        self,
        status: int = 200,
        *,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        before_body: bool = False,
        wire: Wire | None = None,
        path: str = MESSAGES,
        times: int = 1,
    ) -> None:
        """Answer the next request with this; with `before_body` as soon as its head is read."""
        given = _headers(headers)

        def answer(usual: Answer, request_id: str) -> Answer:
            return Answer(status, given, (Piece(body),) if body else ())

        self.next_is(Fault(answer, answer_early=before_body, wire=wire), path=path, times=times)

    def fail_next(
        self,
        status: int = 529,
        *,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        message: str | None = None,
        kind: str | None = None,
        before_body: bool = False,
        path: str = MESSAGES,
        times: int = 1,
    ) -> None:
        """Answer the next request with an error: Anthropic's envelope, or this body."""
        given = _headers(headers)

        def answer(usual: Answer, request_id: str) -> Answer:
            error = error_answer(status, message, request_id=request_id, kind=kind).with_headers(given)
            return error if body is None else replace(error, pieces=(Piece(body),))

        self.next_is(Fault(answer, answer_early=before_body), path=path, times=times)

    def limit_next(
        self,
        *,
        resets_at: int = RESET_AT,
        retry_after: int | None = None,
        path: str = MESSAGES,
        times: int = 1,
    ) -> None:
        """Answer the next request with the 429 of a subscription whose limit is used up."""
        given = [(name.decode(), value.decode()) for name, value in _rejected(resets_at)]
        if retry_after is not None:
            given.append(("retry-after", str(retry_after)))
        self.fail_next(429, headers=given, path=path, times=times)

    def cut_next(self, after: Cut, how: How = "close", *, path: str = MESSAGES, times: int = 1) -> None:
        """End the connection in the next answer, after this much of it.

        nothing: the head is read, the body not; before-head: the request is read, nothing is answered;
        mid-event: the first event and half of the second, chunks whole; mid-chunk: as that, but in a chunk
        that promises more; last-event: everything but what ends the body.
        """
        if after == "nothing":
            fault = Fault(before_body=(End(how),))
        else:
            fault = Fault(steps=lambda steps: [*_until(steps, after), End(how)])
        self.next_is(fault, path=path, times=times)

    def delay_next(self, seconds: float, before: str = "head", *, path: str = MESSAGES, times: int = 1) -> None:
        """Wait in the next answer before body-read, head, first-event, an event of that name, or end."""
        self.next_is(_pausing(before, Delay(seconds)), path=path, times=times)

    def hold_next(self, before: str = "head", *, path: str = MESSAGES, times: int = 1) -> Hold:
        """Hold the next answer before such a place (as in delay_next) until it is released."""
        hold = Hold(self._loop)
        self._holds.append(hold)
        self.next_is(_pausing(before, Held(hold)), path=path, times=times)
        return hold

    def release(self) -> None:
        """Release everything that is or will be held."""
        for hold in self._holds:
            hold.release()

    def stall_next(
        self,
        after: str = "message_start",
        *,
        ping_every: float | None = None,
        path: str = MESSAGES,
        times: int = 1,
    ) -> None:
        """Send nothing more, or only pings, after "head" or the first event of that name, and stay."""
        stall = Stall(ping_every)
        self.next_is(Fault(steps=lambda steps: [*_through(steps, after), stall]), path=path, times=times)

    def first_event_error_next(
        self,
        kind: str = "overloaded_error",
        *,
        message: str = "Overloaded",
        path: str = MESSAGES,
        times: int = 1,
    ) -> None:
        """Answer the next request with 200 and an SSE error as its first event."""
        self.event_error_next(kind, after="head", message=message, path=path, times=times)

    def event_error_next(
        self,
        kind: str = "overloaded_error",
        *,
        after: str = "content_block_delta",
        message: str = "Overloaded",
        path: str = MESSAGES,
        times: int = 1,
    ) -> None:
        """End the next stream with an SSE error after "head" or the first event of that name."""

        def answer(usual: Answer, request_id: str) -> Answer:
            error = sse_event("error", error_envelope(kind, message, request_id=request_id))
            return replace(usual, pieces=(*_first(usual.pieces, after), error))

        self.next_is(Fault(answer), path=path, times=times)

    def end_without_message_stop_next(
        self, after: str = "content_block_delta", *, path: str = MESSAGES, times: int = 1
    ) -> None:
        """End the next stream in good order, but after the first event of that name."""
        self.next_is(
            Fault(lambda usual, request_id: replace(usual, pieces=tuple(_first(usual.pieces, after)))),
            path=path,
            times=times,
        )

    def html_next(self, status: int = 200, *, path: str = MESSAGES, times: int = 1) -> None:
        """Answer the next request with a web page, as a captive portal does."""
        page = b"<!DOCTYPE html><html><body>Please sign in to the network.</body></html>"
        self.answer_next(status, headers={"Content-Type": "text/html"}, body=page, path=path, times=times)

    def garbage_next(self, data: bytes = b"\x16\x03\x01\x00 not HTTP\r\n\r\n", *, path: str = MESSAGES) -> None:
        """Answer the next request with these bytes, whatever they are, and end the connection."""
        self.next_is(Fault(steps=lambda steps: [SendHead(data), End("close")]), path=path)

    def die_on_reuse_next(self, how: How = "close", *, times: int = 1) -> None:
        """End the next connection that is used a second time, at the first byte of that request.

        Such a request is not recorded: `deaths` counts them.
        """
        with self._changed:
            self._die_on_reuse.extend([how] * times)

    def close_idle_now(self, how: How = "close") -> int:
        """End all connections that wait for a request; return how many, when they are ended."""

        async def close() -> list[Connection]:
            idle = [connection for connection in self._live if connection.idle]
            for connection in idle:
                connection.end(how)
            return idle

        ended = self._call(close())
        self.wait_until(lambda: self._live.isdisjoint(ended), what="the end of idle connections")
        return len(ended)

    # Serving. All below runs in the thread of the fake.

    def _made(self, connection: Connection) -> None:
        with self._changed:
            self.connections += 1
            connection.number = self.connections
            self._live.add(connection)
            self._changed.notify_all()
        connection.task = self._loop.create_task(self._serve(connection))

    def _lost(self, connection: Connection) -> None:
        if connection.task:
            connection.task.cancel()
        with self._changed:
            self._live.discard(connection)
            self._changed.notify_all()

    async def _serve(self, connection: Connection) -> None:
        served = 0
        try:
            while await connection.first_byte():
                if served and self._die_on_reuse:
                    with self._changed:
                        self.deaths += 1
                        how = self._die_on_reuse.popleft()
                        self._changed.notify_all()
                    connection.end(how)
                    return
                self._set_idle(connection, idle=False)
                if not await self._serve_one(connection):
                    return
                self._set_idle(connection, idle=True)
                served += 1
        except (GoneError, asyncio.CancelledError):
            pass
        except ViolationError as violation:
            await self._refuse(connection, [str(violation)])
        except Exception as error:  # a fake that fails must fail the test, not the thread
            self._note([f"the fake itself failed: {error!r}"], connection)
        finally:
            connection.end()

    async def _serve_one(self, connection: Connection) -> bool:
        """Serve one request; tell whether the connection can serve another."""
        head = unmarked(await connection.head())
        recorded = Recorded(
            head.method,
            head.target,
            head.version,
            head.headers,
            head.raw,
            connection.number,
            time.monotonic(),
        )
        with self._changed:
            self.requests.append(recorded)
            waiting = self._faults.get(recorded.path)
            fault = waiting.popleft() if waiting else Fault()
            self._changed.notify_all()
        try:
            return await self._exchange(connection, head, recorded, fault)
        finally:
            with self._changed:
                if recorded.answered is None:
                    recorded.aborted = connection.peer_left_at
                self._changed.notify_all()

    async def _exchange(self, connection: Connection, head: Head, recorded: Recorded, fault: Fault) -> bool:
        violations = check_head(head, port=self.port, direct=self._direct)
        if violations:
            recorded.status = 400
            await self._refuse(connection, violations)
            return False
        for step in fault.before_body:
            await self._take(connection, step, chunked=False, wire=self.wire)
            if isinstance(step, End):
                return False
        if not fault.answer_early:
            await self._read_body(connection, head, recorded)
        request_id = self._ids("req")
        usual = self._api.answer(head, recorded.body, request_id)
        credential = credential_of(head)
        if self.good is not None and credential and credential not in self.good:
            usual = error_answer(401, request_id=request_id)
        answer = fault.answer(usual, request_id)
        common = common_headers(request_id, credential, answer.status)
        answer = replace(answer, headers=Answer(0, common).with_headers(answer.headers).headers)
        wire = fault.wire or self.wire
        if fault.answer_early:
            wire = replace(wire, keep_alive=False)
        reusable = await self._play(connection, head, recorded, answer, wire, fault.steps)
        if fault.answer_early:
            # A close with bytes unread would be a reset, and might take the answer back.
            await self._read_body(connection, head, recorded)
        return reusable

    async def _read_body(self, connection: Connection, head: Head, recorded: Recorded) -> None:
        if head.values(b"expect") and not recorded.status:
            await connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = bytearray()

        def keep(part: bytes) -> None:
            body.extend(part)
            recorded.received += len(part)

        try:
            await connection.body(head, keep)
            recorded.trailers = connection.trailers
            recorded.complete = True
        finally:
            with self._changed:
                recorded.body = bytes(body)
                self._changed.notify_all()

    async def _play(
        self,
        connection: Connection,
        head: Head,
        recorded: Recorded,
        answer: Answer,
        wire: Wire,
        change: Callable[[Steps], Steps],
    ) -> bool:
        """Send an answer step by step; tell whether the connection can serve another request."""
        recorded.coding = _coding(head, wire)
        steps, chunked, closes = _steps(answer, head, wire, recorded.coding)
        recorded.status = answer.status
        steps = change(steps)
        if recorded.coding:
            recorded.coded = b"".join(step.payload for step in steps if isinstance(step, SendBody))
        for step in steps:
            if isinstance(step, End):
                await connection.cut(step.how)
                return False
            await self._take(connection, step, chunked=chunked, wire=wire)
        with self._changed:
            recorded.answered = time.monotonic()
        return not closes

    async def _take(self, connection: Connection, step: Step, *, chunked: bool, wire: Wire) -> None:
        async def send(data: bytes) -> None:
            size = wire.write_size or len(data)
            for at in range(0, len(data), size or 1):
                if wire.write_size:
                    await asyncio.sleep(0)  # another turn of the loop, so another segment
                await connection.send(data[at : at + size])

        match step:
            case SendHead(data):
                await send(data)
            case SendBody(payload=payload, pause=pause, torn=torn):
                await asyncio.sleep(pause)
                for framed in _framed(payload, wire.chunk_size) if chunked else (payload,):
                    await send(framed[: len(framed) // 2] if torn else framed)
                    if torn:
                        break
            case SendEnd():
                await send(_last_chunk(wire.trailers) if chunked else b"")
            case Delay(seconds):
                await asyncio.sleep(seconds)
            case Held(hold):
                await hold.pause()
            case Stall(ping_every):
                ping = sse_event("ping", {"type": "ping"}).data
                while True:
                    await asyncio.sleep(ping_every or 3600)
                    for framed in _framed(ping, None) if chunked else (ping,):
                        await send(framed)
            case End(how):
                await connection.cut(how)

    async def _refuse(self, connection: Connection, violations: list[str]) -> None:
        self._note(violations, connection)
        answer = error_answer(400, "; ".join(violations), request_id=self._ids("req"))
        data = answer.pieces[0].data
        headers = (*answer.headers, (b"Content-Length", b"%d" % len(data)), (b"Connection", b"close"))
        try:
            await connection.send(_head(400, headers) + data)
        except GoneError:
            pass

    def _note(self, violations: list[str], connection: Connection) -> None:
        with self._changed:
            self.violations += [f"connection {connection.number}: {text}" for text in violations]
            self._changed.notify_all()

    def _set_idle(self, connection: Connection, *, idle: bool) -> None:
        with self._changed:
            connection.idle = idle
            self._changed.notify_all()


# From an answer to steps.


def _steps(answer: Answer, head: Head, wire: Wire, coding: str) -> tuple[Steps, bool, bool]:
    """Return the steps of an answer, whether it is chunked, and whether its end is the connection's end."""
    bodyless = head.method == "HEAD" or answer.status in (204, 304)
    headers, pieces = _compressed(answer, coding) if coding else (answer.headers, answer.pieces)
    framing = wire.framing
    if framing == "auto":
        framing = "chunked" if answer.streamed else "length"
    closes = framing == "close" or not wire.keep_alive
    if closes:
        headers = Answer(0, headers).with_headers(((b"Connection", b"close"),)).headers
    if answer.status in (204, 304):
        pass
    elif framing == "chunked":
        headers = (*headers, (b"Transfer-Encoding", b"chunked"))
    elif framing == "length":
        headers = (*headers, (b"Content-Length", b"%d" % sum(len(piece.data) for piece in pieces)))
    if wire.trailers and framing == "chunked":
        headers = (*headers, (b"Trailer", b", ".join(name for name, _ in wire.trailers)))
    steps: Steps = [SendHead(_interim(status)) for status in wire.interim]
    steps.append(SendHead(_head(answer.status, headers)))
    if bodyless:
        return steps, False, closes
    steps += [SendBody(piece.name, piece.data, piece.pause) for piece in pieces if piece.data]
    return [*steps, SendEnd()], framing == "chunked", closes


def _coding(head: Head, wire: Wire) -> str:
    """Return the coding of an answer: the one that is wanted, if the client accepts it."""
    accepted = b",".join(head.values(b"accept-encoding")).decode("latin-1").lower()
    return wire.compression if wire.compression in [name.strip() for name in accepted.split(",")] else ""


def _compressed(answer: Answer, coding: str) -> tuple[Headers, Sequence[Piece]]:
    squeeze, flush, end = _squeezer(coding)
    pieces = [replace(piece, data=squeeze(piece.data) + flush()) for piece in answer.pieces]
    added = ((b"Content-Encoding", coding.encode()), (b"Vary", b"Accept-Encoding"))
    return (*answer.headers, *added), [*pieces, Piece(end(), "compression-end")]


def _squeezer(coding: str) -> tuple[Callable[[bytes], bytes], Callable[[], bytes], Callable[[], bytes]]:
    """Return what compresses, what flushes, and what ends."""
    if coding == "br":
        br = brotli.Compressor()
        return br.process, br.flush, br.finish
    if coding == "zstd":
        zstd = zstandard.ZstdCompressor().compressobj()
        return zstd.compress, lambda: zstd.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK), zstd.flush
    squeeze = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
    return squeeze.compress, lambda: squeeze.flush(zlib.Z_SYNC_FLUSH), squeeze.flush


def _head(status: int, headers: Headers) -> bytes:
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {reason(status)}\r\n".encode() + lines + b"\r\n"


def _interim(status: int) -> bytes:
    return _head(status, ((b"Link", b"</style.css>; rel=preload"),) if status == 103 else ())


def _framed(payload: bytes, chunk_size: int | None) -> Iterator[bytes]:
    size = chunk_size or len(payload) or 1
    for at in range(0, len(payload), size):
        chunk = payload[at : at + size]
        yield b"%x\r\n%b\r\n" % (len(chunk), chunk)


def _last_chunk(trailers: Headers) -> bytes:
    return b"0\r\n" + b"".join(name + b": " + value + b"\r\n" for name, value in trailers) + b"\r\n"


def _headers(given: Mapping[str, str] | Iterable[tuple[str, str]]) -> Headers:
    pairs = given.items() if isinstance(given, Mapping) else given
    return tuple((name.encode(), value.encode()) for name, value in pairs)


def _rejected(resets_at: int) -> Headers:
    return (
        *unified_limits("rejected", reset_at=resets_at, utilization="1.0"),
        (b"anthropic-ratelimit-unified-overage-status", b"rejected"),
        (b"anthropic-ratelimit-unified-overage-disabled-reason", b"org_level_disabled"),
    )


# Changes of steps.


def _first(pieces: Sequence[Piece], after: str) -> Sequence[Piece]:
    """Return the pieces up to the first of a name; none for "head"."""
    names = [piece.name for piece in pieces]
    return () if after == "head" else pieces[: names.index(after) + 1]


def _places(steps: Steps) -> list[str]:
    """Return the name of the place of every step: head, an event's name, end."""
    return [
        step.name if isinstance(step, SendBody) else "head" if isinstance(step, SendHead) else "end" for step in steps
    ]


def _through(steps: Steps, after: str) -> Steps:
    """Return the steps up to the head (interim ones before it), or to the first event of a name."""
    places = _places(steps)
    return steps[: places.count("head") if after == "head" else places.index(after) + 1]


def _until(steps: Steps, after: Cut) -> Steps:
    """Return the steps before a cut."""
    heads = [step for step in steps if isinstance(step, SendHead)]
    bodies = [step for step in steps if isinstance(step, SendBody)]
    whole, broken = (bodies[:1], bodies[1]) if len(bodies) > 1 else ([], bodies[0] if bodies else None)
    match after:
        case "half-head":
            return [*heads[:-1], SendHead(heads[-1].data[: len(heads[-1].data) // 2])]
        case "head":
            return [*heads]
        case "first-event":
            return [*heads, *bodies[:1]]
        case "mid-event" if broken:
            return [*heads, *whole, replace(broken, payload=broken.payload[: len(broken.payload) // 2])]
        case "mid-chunk" if broken:
            return [*heads, *whole, replace(broken, torn=True)]
        case "last-event":
            return [*heads, *bodies]
        case _:
            return []


def _pausing(before: str, pause: Delay | Held) -> Fault:
    """Return the fault that pauses before a place in the answer."""

    def steps(usual: Steps) -> Steps:
        places = _places(usual)
        at = places.count("head") if before == "first-event" else places.index(before)
        return [*usual[:at], pause, *usual[at:]]

    return Fault(before_body=(pause,)) if before == "body-read" else Fault(steps=steps)
