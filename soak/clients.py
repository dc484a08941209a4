"""The soak's clients. `python -m soak.clients PORT KEY CONNECTIONS RATE SECONDS FIRST COUNT` prints what they found.

They end when their time is over, or when they have sent requests FIRST to FIRST + COUNT - 1.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Final

import uvloop
from tests.support.one_answer import GONE, OneAnswer, Outcome

from soak.kinds import KINDS, Kind, body_of, head_of

_PATIENCE: Final = 60.0  # seconds for an answer
_MOST_SAMPLES: Final = 10
_MOST_TRIES: Final = 3


@dataclass
class Found:
    """What became of the requests: *good* by kind, and of those that went wrong the first, in words.

    *answered* is how often a kind got which status, as `row_of` names it, and *unsure* how many of a kind got none:
    those may not have come.
    """

    good: dict[str, int] = field(default_factory=dict)
    bad: int = 0
    resent: int = 0  # a kept connection was closed just then
    slowest: float = 0.0
    samples: list[str] = field(default_factory=list)
    answered: dict[str, int] = field(default_factory=dict)
    unsure: dict[str, int] = field(default_factory=dict)
    sent: int = 0  # the same, but for those that are sent again
    seconds: float = 0.0
    cpu: float = 0.0  # seconds of it

    @property
    def requests(self) -> int:
        """How many there were."""
        return sum(self.good.values()) + self.bad


def row_of(kind: str, status: int) -> str:
    """Return how the ledger's rows of a kind and a status are counted."""
    return f"{kind}, {status}"


class Client(OneAnswer):
    """One of the soak's connections, for which the beginning of an answer may be enough."""

    _begins = False

    def ask(self, request: bytes, *, begins: bool = False) -> "asyncio.Future[Outcome]":
        """Send a request; return what has its outcome when the answer has come, or *begins*."""
        self._begins = begins
        return super().ask(request)

    def on_body(self, data: bytes) -> None:  # noqa: ARG002 - httptools calls it so
        if self._begins:
            self.settle(is_whole=True)


class _Clients:
    def __init__(self, port: int, key: str, connections: int, rate: float, seconds: float, numbers: range) -> None:
        self._port, self._key = port, key
        self._connections, self._rate = connections, rate
        self._until = time.monotonic() + seconds
        self._chance = random.Random(16)  # the same in each run
        self._bodies = {kind.name: b"" if kind.is_get or kind.name == "malformed" else body_of(kind) for kind in KINDS}
        self._numbers = numbers
        self._good: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._unsure: Counter[str] = Counter()
        self.found = Found()

    async def run(self) -> Found:
        """Ask until the time is over, or all are sent."""
        begun = time.monotonic()
        await asyncio.gather(*(self._work() for _ in range(self._connections)))
        found = self.found
        found.good, found.answered, found.unsure = dict(self._good), dict(self._answered), dict(self._unsure)
        found.seconds, found.cpu = time.monotonic() - begun, time.process_time()
        return found

    async def _work(self) -> None:
        client: Client | None = None
        while True:
            pause = self._chance.expovariate(self._rate / self._connections)
            if time.monotonic() + pause >= self._until:
                break
            await asyncio.sleep(pause)
            if self.found.sent >= len(self._numbers):
                break
            (kind,) = self._chance.choices(KINDS, [kind.share for kind in KINDS])
            begun = time.monotonic()
            try:
                client = await self._ask(kind, client)
            except OSError as error:  # it could not connect
                self._note_bad(kind, repr(error))
                client = None
            self.found.slowest = max(self.found.slowest, time.monotonic() - begun)
        if client is not None:
            client.close()

    async def _ask(self, kind: Kind, client: Client | None) -> Client | None:
        """Make one request of a kind; return the connection, if it can be used again."""
        tries = 0
        while True:
            is_kept = client is not None and client.is_open
            if client is None or not client.is_open:
                client = await self._connect()
            tries += 1
            outcome = await self._send(kind, client)
            if outcome.status != GONE or not is_kept or tries == _MOST_TRIES or kind.abort == "upload":
                break
            self.found.resent += 1
        if kind.abort == "upload" or (outcome.status in kind.good and (outcome.is_whole or kind.how == "cut")):
            self._good[kind.name] += 1
        else:
            what = f"{outcome.status or ''}{'' if outcome.is_whole else ' the connection ended'}"
            self._note_bad(kind, what.strip())
        if kind.abort or kind.is_last:
            client.close()
        return client if client.is_open else None

    async def _send(self, kind: Kind, client: Client) -> Outcome:
        """Send a request of a kind once, with a number of its own."""
        number = self._numbers[0] + self.found.sent
        self.found.sent += 1
        body = self._bodies[kind.name]
        head = head_of(kind, number, self._port, self._key, len(body))
        outcome = Outcome(GONE, is_whole=False)
        if kind.abort == "upload":
            client.transport.write(head + body[: len(body) // 2])
        else:
            try:
                async with asyncio.timeout(_PATIENCE):
                    outcome = await client.ask(head + body, begins=kind.abort == "answer")
            except TimeoutError:
                client.close()
        if outcome.status == GONE:
            self._unsure[kind.name] += 1
        else:
            self._answered[row_of(kind.name, outcome.status)] += 1
        return outcome

    async def _connect(self) -> Client:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_PATIENCE):
            _, client = await loop.create_connection(Client, "127.0.0.1", self._port)
        return client

    def _note_bad(self, kind: Kind, what: str) -> None:
        self.found.bad += 1
        if len(self.found.samples) < _MOST_SAMPLES:
            self.found.samples.append(f"{kind.name}: {what}")


def main() -> None:
    """Be the clients."""
    port, key, connections, rate, seconds, first, count = sys.argv[1:]
    numbers = range(int(first), int(first) + int(count))

    async def work() -> Found:
        return await _Clients(int(port), key, int(connections), float(rate), float(seconds), numbers).run()

    print(json.dumps(asdict(uvloop.run(work()))))


if __name__ == "__main__":
    main()
