"""The requests that a fake has seen."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from tests.fakes.anthropic_http import Headers

TIMEOUT: Final = 60.0  # seconds: what has not come by then never will, also on a busy machine


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
    peer: str = ""  # the address of who asked

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


class RequestLog:
    """What a fake has seen, and how a test waits for it."""

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self.violations: list[str] = []
        self._changed = threading.Condition()

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
