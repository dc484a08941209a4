"""People's streams and messages. `python -m trial.clients` reads a `Plan` as JSON, and asks until its input ends.

For each request it prints a line of JSON, an `Asked`, when it is over.
"""

import asyncio
import itertools
import json
import ssl
import sys
import time
from dataclasses import dataclass
from typing import Final, NamedTuple

import uvloop
from tests.support.one_answer import GONE, OneAnswer, Outcome

_PATIENCE: Final = 90.0
_MOST_RESENT: Final = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """Who asks whom. *streams* and *messages* are numbers of clients; a stream has *events*, *pause* seconds apart.

    Each client waits *rest* seconds between a message and the next; streams follow one another at once.
    """

    label: str
    address: str
    port: int
    host: str
    ca_file: str
    key: str
    streams: int
    messages: int
    events: int = 200
    pause: float = 0.1
    rest: float = 0.5
    begin_within: float = 5.0


class Asked(NamedTuple):
    """A request that is over: when it was, by `time.monotonic`, and what came of it.

    *resent* is how often it was sent again, as all clients do, because a kept connection was closed just then.
    """

    mark: str
    label: str
    began: float
    ended: float
    status: int
    is_whole: bool
    events: int
    resent: int


class _Client(OneAnswer):
    """A person's connection: it counts the events of a stream."""

    def __init__(self) -> None:
        super().__init__()
        self.events = 0
        self._tail = b""

    def ask(self, request: bytes) -> "asyncio.Future[Outcome]":
        self.events, self._tail = 0, b""
        return super().ask(request)

    def on_body(self, data: bytes) -> None:
        self.events += data.count(b"event: content_block_delta")
        self._tail = (self._tail + data)[-200:]

    def is_whole(self) -> bool:
        is_error = b"event: error" in self._tail or (self.events > 0 and b"event: message_stop" not in self._tail)
        return not is_error


class _People:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._over = asyncio.Event()
        self._tls = ssl.create_default_context(cafile=plan.ca_file)
        self._numbers = itertools.count()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, sys.stdin.read).add_done_callback(lambda _: self._over.set())
        plan = self._plan
        await asyncio.gather(
            *(self._work(n, plan.begin_within * n / plan.streams, stream=True) for n in range(plan.streams)),
            *(self._work(n, plan.rest * n / plan.messages, stream=False) for n in range(plan.messages)),
        )

    async def _work(self, person: int, wait: float, *, stream: bool) -> None:
        client: _Client | None = None
        await self._pause(wait)
        while not self._over.is_set():
            mark = f"{self._plan.label}-{next(self._numbers):06}"
            began = time.monotonic()
            client, status, is_whole, resent = await self._ask(self._request(mark, person, stream=stream), client)
            events = client.events if client is not None else 0
            print(json.dumps(Asked(mark, self._plan.label, began, time.monotonic(), status, is_whole, events, resent)))
            if not is_whole and client is not None:
                client.close()
            if not stream or not is_whole:  # what is refused at once is not asked again at once
                await self._pause(self._plan.rest)
        if client is not None:
            client.close()

    async def _ask(self, request: bytes, client: _Client | None) -> tuple[_Client | None, int, bool, int]:
        """Return the connection that was used, the status, whether the answer is whole, how often it was resent."""
        resent = 0
        while True:
            is_kept = client is not None and client.is_open
            try:
                async with asyncio.timeout(_PATIENCE):
                    if client is None or not client.is_open:
                        client = await self._connect()
                    status, is_whole = await client.ask(request)
            except (OSError, TimeoutError):
                status, is_whole = GONE, False
            if status != GONE or not is_kept or resent == _MOST_RESENT:
                return client, status, is_whole, resent
            resent += 1

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            pass

    async def _connect(self) -> _Client:
        loop, plan = asyncio.get_running_loop(), self._plan
        _, client = await loop.create_connection(
            _Client, plan.address, plan.port, ssl=self._tls, server_hostname=plan.host
        )
        return client

    def _request(self, mark: str, person: int, *, stream: bool) -> bytes:
        plan = self._plan
        prompt = f"[[slow {plan.events} {plan.pause}]]" if stream else "good morning"
        message = {"role": "user", "content": prompt}
        body = json.dumps(
            {"model": "claude-opus-4-8", "max_tokens": 4096, "stream": stream, "messages": [message]}
        ).encode()
        lines = (
            "POST /v1/messages?beta=true HTTP/1.1",
            f"host: {plan.host}",
            "accept: application/json",
            "anthropic-version: 2023-06-01",
            f"authorization: Bearer sk-ant-oat01-TRIAL-{person:04}-invented",
            "content-type: application/json",
            "user-agent: claude-cli/2.1.332 (external, cli)",
            f"x-claude-code-session-id: {plan.label}-{person}",
            f"x-claude-code-agent-id: {mark}",
            f"x-gateway-key: {plan.key}",
            f"content-length: {len(body)}",
        )
        return "\r\n".join([*lines, "", ""]).encode() + body


def main() -> None:
    """Be the clients."""
    plan = Plan(**json.loads(sys.stdin.readline()))
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    uvloop.run(_People(plan).run())


if __name__ == "__main__":
    main()
