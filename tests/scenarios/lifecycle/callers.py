"""Clients that ask all the time, while something happens to the daemon."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.calls import post


class Callers:
    """Clients that ask all the time, each request on a connection of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.failures: list[str] = []
        self.served = 0
        self.done = threading.Event()
        self._counting = threading.Lock()

    def run(self) -> None:
        while not self.done.is_set():
            try:
                status, _ = post(self.port)
                failure = "" if status == 200 else f"status {status}"
            except (OSError, http.client.HTTPException) as error:
                failure = repr(error)
            with self._counting:
                self.served += not failure
                self.failures += [failure] if failure else []
            self.done.wait(0.01)


@contextmanager
def calling(port: int) -> Iterator[Callers]:
    callers = Callers(port)
    threads = [threading.Thread(target=callers.run) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield callers
    finally:
        callers.done.set()
        for thread in threads:
            thread.join()
