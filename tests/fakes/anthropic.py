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
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.fakes.anthropic_faults import FaultQueue
from tests.fakes.anthropic_http import Connection, GoneError, Head, How, ViolationError, check_head, unmarked
from tests.fakes.anthropic_model import (
    Answer,
    Api,
    Ids,
    common_headers,
    credential_of,
    error_answer,
    limit_answer,
    sse_event,
)
from tests.fakes.anthropic_requests import TIMEOUT, Recorded, RequestLog
from tests.fakes.anthropic_steps import (
    Delay,
    End,
    Fault,
    Held,
    SendBody,
    SendEnd,
    SendHead,
    Stall,
    Step,
    Steps,
    Wire,
    chunks_of,
    coding_of,
    last_chunk,
    response_head,
    steps_of,
)

T = TypeVar("T")


class FakeAnthropic(RequestLog, FaultQueue):
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
        RequestLog.__init__(self)
        FaultQueue.__init__(self, asyncio.new_event_loop(), self._changed)
        self.wire = Wire()
        self.connections = 0
        self.deaths = 0
        self.good: set[str] | None = None  # the credentials that are known; None: any is
        self.limited: set[str] = set()  # the credentials whose subscription has used up its limit
        self._tls, self._host, self._direct = tls, host, direct
        self._ids = Ids()
        self._api = Api(self._ids)
        self._live: set[Connection] = set()
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
            peer=connection.peer,
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
        if credential in self.limited:
            usual = limit_answer(request_id=request_id)
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
        recorded.coding = coding_of(head, wire)
        steps, chunked, closes = steps_of(answer, head, wire, recorded.coding)
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
                for framed in chunks_of(payload, wire.chunk_size) if chunked else (payload,):
                    await send(framed[: len(framed) // 2] if torn else framed)
                    if torn:
                        break
            case SendEnd():
                await send(last_chunk(wire.trailers) if chunked else b"")
            case Delay(seconds):
                await asyncio.sleep(seconds)
            case Held(hold):
                await hold.pause()
            case Stall(ping_every):
                ping = sse_event("ping", {"type": "ping"}).data
                while True:
                    await asyncio.sleep(ping_every or 3600)
                    for framed in chunks_of(ping, None) if chunked else (ping,):
                        await send(framed)
            case End(how):
                await connection.cut(how)

    async def _refuse(self, connection: Connection, violations: list[str]) -> None:
        self._note(violations, connection)
        answer = error_answer(400, "; ".join(violations), request_id=self._ids("req"))
        data = answer.pieces[0].data
        headers = (*answer.headers, (b"Content-Length", b"%d" % len(data)), (b"Connection", b"close"))
        try:
            await connection.send(response_head(400, headers) + data)
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
