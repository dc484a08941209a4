"""Leave a page of the dashboard open while requests pass, and print what its heap holds each minute.

`python -m bench.page_heap [MINUTES] [REQUESTS_A_SECOND]`, with Chromium installed. The heap is what is left of it after
its garbage has been collected, by the browser's own protocol.
"""

import argparse
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.fakes.anthropic import FakeAnthropic
from tests.support.browser import INSTALL, Chromium, Heap, program
from tests.support.calls import message, post
from tests.support.daemon import Daemon
from tests.support.pages import link_of

MODELS: Final = ("claude-opus-4-8", "claude-sonnet-4-6", "claude-haiku-4-5")
FAILS: Final = 0.02


class Requests:
    """Make requests at a steady rate until it is told to stop: of several models and projects, some of them fail."""

    def __init__(self, daemon: Daemon, upstream: FakeAnthropic, each_second: float) -> None:
        self.made = 0
        self._ends = threading.Event()
        self._daemon = daemon
        self._upstream = upstream
        self._pause = 1 / each_second
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Requests":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        chance = random.Random(1)
        with ThreadPoolExecutor(2) as clients:
            while not self._ends.wait(self._pause):
                if chance.random() < FAILS:
                    self._upstream.fail_next(429, times=1)
                body = message(model=chance.choice(MODELS), stream=chance.random() < 0.5)
                project = {"x-gateway-project": f"/home/ada/src/project-{chance.randrange(40)}"}
                clients.submit(post, self._daemon.port, body, project)
                self.made += 1


def main() -> int:
    """Print a line a minute; return 1 if the heap has grown by more than a megabyte since the first quarter."""
    parser = argparse.ArgumentParser(prog="python -m bench.page_heap", description=__doc__)
    parser.add_argument("minutes", type=float, nargs="?", default=60.0)
    parser.add_argument("each_second", type=float, nargs="?", default=2.0)
    chosen = parser.parse_args()
    if not program():
        sys.exit(INSTALL)
    used: list[int] = []
    with (
        FakeAnthropic() as upstream,
        Daemon(upstream=upstream.url) as daemon,
        Chromium(program()) as chromium,
        chromium.tab() as tab,
        Requests(daemon, upstream, chosen.each_second) as requests,
    ):
        tab.page.goto(link_of(daemon))
        heap = Heap(tab.page)
        end = time.monotonic() + chosen.minutes * 60
        print("minute requests  heap bytes   nodes  listeners", flush=True)
        while True:
            found = heap.read()
            used.append(found.size)
            minute = chosen.minutes - (end - time.monotonic()) / 60
            print(f"{minute:6.1f} {requests.made:8} {found.size:11,} {found.nodes:7} {found.listeners:10}", flush=True)
            if time.monotonic() >= end:
                break
            tab.page.wait_for_timeout(min(60.0, max(0.1, end - time.monotonic())) * 1000)
    quarter = max(used[: max(1, len(used) // 4) + 1])
    print(f"grown since the first quarter: {used[-1] - quarter:,} bytes")
    return 1 if used[-1] - quarter > 1_000_000 else 0


if __name__ == "__main__":
    sys.exit(main())
