"""Clients that ask a daemon without a pause, and count what goes wrong.

    with Load(port) as load:
        ...                       # reload, upgrade, whatever
    assert load.found.failed == 0

They run in a process of their own, so that neither a fake nor a test slows them down, and until their standard input
ends. Three kinds: a new connection for each request; kept connections that ask again at once, as a busy agent does;
and kept connections whose owner thinks for up to two seconds before each request.
"""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.stopwatch import Stopwatch

NEW_A_SECOND: Final = 120
BUSY: Final = 8
THINKING: Final = 40
BUSY_PAUSE: Final = 0.04
LONGEST_THOUGHT: Final = 2.0
PATIENCE: Final = 60.0

_STREAMED_EVERY: Final = 4  # requests


@dataclass
class Found:
    """What the clients have seen. A request that is not served whole is counted under what became of it."""

    served: dict[str, int] = field(default_factory=dict)  # by kind of client
    refused: int = 0
    reset: int = 0
    cut: int = 0
    silent: int = 0
    not_200: int = 0
    said_close: int = 0
    closed_while_idle: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    over_a_second: int = 0
    pace: float = 1.0  # how slow the machine was: Stopwatch

    @property
    def requests(self) -> int:
        """How many were served."""
        return sum(self.served.values())

    @property
    def failed(self) -> int:
        """How many were not."""
        return self.refused + self.reset + self.cut + self.silent + self.not_200

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.served.items()))
        return (
            f"{self.requests} served in {self.seconds:.1f} s ({kinds}); refused {self.refused}, reset {self.reset}, "
            f"cut {self.cut}, silent {self.silent}, not 200 {self.not_200}; told to close {self.said_close}, closed "
            f"while idle {self.closed_while_idle}; slowest {self.slowest:.3f} s, over a second {self.over_a_second}"
        )


class Load:
    """The clients' process. *found* is there when it has ended."""

    def __init__(self, port: int) -> None:
        self.found = Found()
        self._watch = Stopwatch()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.load", str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip

    def __enter__(self) -> Self:
        self._watch.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            out, _ = self._process.communicate(timeout=PATIENCE + 30)
            if error is None:
                self.found = Found(**json.loads(out))
        finally:
            self._process.kill()
            self._process.wait()
            self._watch.__exit__(kind, error, trace)
        self.found.pace = self._watch.pace


# the clients


def _requests(port: int) -> tuple[bytes, bytes]:
    """Return a request for a whole answer, and one for a stream."""
    asked = {"model": "claude-opus-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    messages = []
    for stream in (False, True):
        body = json.dumps(asked | {"stream": stream}).encode()
        messages.append(
            b"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer sk-ant-oat01-invented\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (port, len(body)) + body
        )
    return messages[0], messages[1]


class _Cut(Exception):
    """The connection ended before the answer did."""


class _Connection:
    """A connection, used until it is told to close."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.told_to_close = False

    @property
    def is_closed(self) -> bool:
        return self._reader.at_eof()

    async def ask(self, message: bytes) -> int:
        """Return the status of an answer that was read to its end."""
        self._writer.write(message)
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            status, fields = _parse(head)
            self.told_to_close = fields.get(b"connection") == b"close"
            if b"content-length" in fields:
                await self._reader.readexactly(int(fields[b"content-length"]))
                return status
            assert fields.get(b"transfer-encoding") == b"chunked", head
            last = b""
            while size := int(await self._reader.readuntil(b"\r\n"), 16):
                last = (await self._reader.readexactly(size + 2))[:-2]
            await self._reader.readexactly(2)
            if status == 200 and b"message_stop" not in last:
                raise _Cut
            return status
        except asyncio.IncompleteReadError:
            raise _Cut from None

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            pass


def _parse(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    first, *lines = head.split(b"\r\n")
    pairs = (line.partition(b":") for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip().lower() for name, _, value in pairs}


class _Clients:
    def __init__(self, port: int) -> None:
        self.found = Found()
        self.ended = asyncio.Event()
        self._port = port
        self._whole, self._stream = _requests(port)
        self._served: Counter[str] = Counter()
        self._asked = 0
        self._random = random.Random(1)

    async def run(self) -> None:
        begun = time.monotonic()
        work: list[Callable[[], Awaitable[None]]] = [
            self._newcomers,
            *[self._busy] * BUSY,
            *[self._thinking] * THINKING,
        ]
        await asyncio.gather(*(one() for one in work))
        self.found.seconds = time.monotonic() - begun
        self.found.served = dict(self._served)

    async def _newcomers(self) -> None:
        """Connect and ask at a rate that does not depend on the answers."""
        under_way: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not await self._ends_before(due - loop.time()):
            due += 1 / NEW_A_SECOND
            task = loop.create_task(self._newcomer())
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        if under_way:
            await asyncio.wait(under_way)

    async def _newcomer(self) -> None:
        connection = await self._once("new", None)
        if connection is not None:
            await connection.close()

    async def _busy(self) -> None:
        await self._kept("busy", lambda: BUSY_PAUSE)

    async def _thinking(self) -> None:
        await self._kept("thinking", lambda: self._random.uniform(0, LONGEST_THOUGHT))

    async def _kept(self, kind: str, pause: Callable[[], float]) -> None:
        """Ask again and again on one connection, and on another when that is closed."""
        connection: _Connection | None = None
        while not await self._ends_before(pause()):
            if connection is not None and connection.is_closed:
                self.found.closed_while_idle += not connection.told_to_close
                await connection.close()
                connection = None
            connection = await self._once(kind, connection)
            if connection is not None and connection.told_to_close:
                self.found.said_close += 1
                await connection.close()
                connection = None
        if connection is not None:
            await connection.close()

    async def _ends_before(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self.ended.wait(), max(0.0, seconds))
        except TimeoutError:
            return False
        return True

    async def _once(self, kind: str, connection: _Connection | None) -> _Connection | None:
        """Ask once; return the connection, if it can be used again."""
        self._asked += 1
        message = self._whole if self._asked % _STREAMED_EVERY else self._stream
        begun = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                if connection is None:
                    connection = _Connection(*await asyncio.open_connection("127.0.0.1", self._port))
                status = await connection.ask(message)
        except ConnectionRefusedError:
            self.found.refused += 1
        except (_Cut, TimeoutError, OSError) as error:
            self.found.cut += isinstance(error, _Cut)
            self.found.silent += isinstance(error, TimeoutError)
            self.found.reset += not isinstance(error, (_Cut, TimeoutError))
        else:
            took = time.monotonic() - begun
            self.found.slowest = max(self.found.slowest, took)
            self.found.over_a_second += took > 1
            self.found.not_200 += status != 200
            self._served[kind] += status == 200
            return connection
        if connection is not None:
            await connection.close()
        return None


async def _main(port: int) -> None:
    clients = _Clients(port)
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), clients.ended.set)
    await clients.run()
    print(json.dumps(asdict(clients.found)))


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
