"""Clients whose requests can be found in the ledger, each by a session of its own, and what the ledger has of them."""

import http.client
import itertools
import os
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self

from sqlalchemy import select

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.opening import open_for_reading
from claude_gatewayd.ledger.schema import quarters, requests
from tests.support.daemon import Daemon
from tests.support.stage import turn
from tests.support.stopwatch import Stopwatch

HEADERS = {"content-type": "application/json", "x-api-key": "sk-ant-api03-invented", "anthropic-version": "2023-06-01"}
_number = itertools.count(1)


class Callers:
    """Two clients that ask one request after the other, until the block ends."""

    def __init__(self, daemon: Daemon, pause: float = 0.01) -> None:
        self._port = daemon.port
        self._pause = pause
        self._prefix = f"{os.getpid()}-{next(_number)}"
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=[number]) for number in range(2)]
        self.served: dict[str, float] = {}  # by session, when it was over
        self.slowest = 0.0
        self.watch = Stopwatch()  # how slow the machine was
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        self.watch.__enter__()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.watch.__exit__(kind, error, trace)

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        for count in itertools.count():
            if self._stop.wait(self._pause):
                break
            session = f"{self._prefix}-{number}-{count}"
            begun = time.monotonic()
            try:
                headers = {**HEADERS, "x-claude-code-session-id": session}
                connection.request("POST", "/v1/messages", turn(stream=count % 2 == 0), headers)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    self.failures.append(f"{session}: {answer.status}")
                self.served[session] = time.monotonic()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self.failures.append(f"{session}: {error!r}")
            self.slowest = max(self.slowest, time.monotonic() - begun)
        connection.close()


def sessions_in(database: Database) -> Counter[str]:
    """Return how many rows each session has; the sums by quarter hour must have as many requests."""
    with open_for_reading(database).connect() as connection:
        rows = connection.execute(select(requests.c.session_id).where(requests.c.kind == "messages")).scalars().all()
        added = connection.execute(select(quarters.c.requests)).scalars().all()
    assert sum(added) == len(rows)
    return Counter(rows)


def is_settled(daemon: Daemon) -> bool:
    """Say whether every row is in the database."""
    ledger = daemon.status()["ledger"]
    return ledger["state"] == "ok" and not ledger["waiting"] and not ledger["spilled"]
