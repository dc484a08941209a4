"""The soak's clients. `python -m soak.clients PORT KEY CONNECTIONS RATE SECONDS` prints what they found, as JSON.

They end when their time is over, or their standard input.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Final, cast

import httptools
import uvloop

from soak.kinds import KINDS, Kind, body_of, head_of

_PATIENCE: Final = 60.0  # seconds for an answer
_MOST_SAMPLES: Final = 10
_MOST_TRIES: Final = 3
_GONE: Final = 0  # in place of a status: the connection ended


@dataclass
class Found:
    """What became of the requests: *good* by kind, and of those that went wrong the first, in words."""

    good: dict[str, int] = field(default_factory=dict)
    bad: int = 0
    resent: int = 0  # a kept connection was closed just then
    slowest: float = 0.0
    samples: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many there were."""
        return sum(self.good.values()) + self.bad


class Client(asyncio.Protocol):
    """A connection that has one answer at a time."""

    def __init__(self) -> None:
        self.is_open = False
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        self.is_open = False
        self._settle(_GONE)

    def ask(self, request: bytes, *, begins: bool) -> "asyncio.Future[int]":
        """Send a request; return what has its status when the answer has come, or *begins*."""
        self._parser: Any = httptools.HttpResponseParser(self)
        self._begins = begins
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_body(self, data: bytes) -> None:  # noqa: ARG002 - httptools calls it so
        if self._begins:
            self._settle(self._parser.get_status_code())

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self.close()
        self._settle(status)

    def close(self) -> None:
        """Close it."""
        self.is_open = False
        self.transport.close()

    def _settle(self, status: int) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)


class _Clients:
    def __init__(self, port: int, key: str, connections: int, rate: float, seconds: float) -> None:
        self._port, self._key = port, key
        self._connections, self._rate = connections, rate
        self._until = time.monotonic() + seconds
        self._chance = random.Random(16)  # the same in each run
        self._bodies = {kind.name: b"" if kind.is_get or kind.name == "malformed" else body_of(kind) for kind in KINDS}
        self._good: Counter[str] = Counter()
        self.found = Found()
        self._number = 0

    async def run(self) -> Found:
        """Ask until the time is over."""
        await asyncio.gather(*(self._work() for _ in range(self._connections)))
        self.found.good = dict(self._good)
        return self.found

    async def _work(self) -> None:
        client: Client | None = None
        while True:
            pause = self._chance.expovariate(self._rate / self._connections)
            if time.monotonic() + pause >= self._until:
                break
            await asyncio.sleep(pause)
            (kind,) = self._chance.choices(KINDS, [kind.share for kind in KINDS])
            begun = time.monotonic()
            try:
                client = await self._ask(kind, client)
            except (OSError, TimeoutError) as error:
                self._note_bad(kind, repr(error))
                client = None
            self.found.slowest = max(self.found.slowest, time.monotonic() - begun)
        if client is not None:
            client.close()

    async def _ask(self, kind: Kind, client: Client | None) -> Client | None:
        """Make one request of a kind; return the connection, if it can be used again."""
        self._number += 1
        body = self._bodies[kind.name]
        head = head_of(kind, self._number, self._port, self._key, len(body))
        status, tries = _GONE, 0
        while True:
            is_kept = client is not None and client.is_open
            if client is None or not client.is_open:
                client = await self._connect()
            tries += 1
            if kind.abort == "upload":
                client.transport.write(head + body[: len(body) // 2])
                client.close()
                self._good[kind.name] += 1
                return None
            status = await asyncio.wait_for(client.ask(head + body, begins=kind.abort == "answer"), _PATIENCE)
            if status != _GONE or not is_kept or kind.how == "cut" or tries == _MOST_TRIES:
                break
            self.found.resent += 1
        if status in kind.good or (status == _GONE and kind.how == "cut"):
            self._good[kind.name] += 1
        else:
            self._note_bad(kind, str(status) if status else "the connection ended")
        if kind.abort or kind.is_last:
            client.close()
        return client if client.is_open else None

    async def _connect(self) -> Client:
        loop = asyncio.get_running_loop()
        _, client = await asyncio.wait_for(loop.create_connection(Client, "127.0.0.1", self._port), _PATIENCE)
        return client

    def _note_bad(self, kind: Kind, what: str) -> None:
        self.found.bad += 1
        if len(self.found.samples) < _MOST_SAMPLES:
            self.found.samples.append(f"{kind.name}: {what}")


def main() -> None:
    """Be the clients."""
    port, key, connections, rate, seconds = sys.argv[1:]

    async def work() -> Found:
        return await _Clients(int(port), key, int(connections), float(rate), float(seconds)).run()

    print(json.dumps(asdict(uvloop.run(work()))))


if __name__ == "__main__":
    main()
