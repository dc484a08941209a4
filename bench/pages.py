"""What ten open pages of the dashboard cost the relay: the worker's CPU time a request, with and without them.

`python -m bench.pages [PAIRS]`: bursts of 16 connections in turn, so that whatever else the machine does hits both. A
burst without pages is one without the dashboard's process, as on a daemon that nobody looks at.
"""

import contextlib
import os
import shutil
import signal
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.calls import CUT
from tests.support.daemon import Daemon, wait_until
from tests.support.pages import Browser, LiveStream
from tests.support.pages import processes as dashboards

from bench import client, load, processes, targets

PAGES: Final = 10
CONNECTIONS: Final = 16
SECONDS: Final = 1
PAIRS: Final = 30


class Burst(NamedTuple):
    """One burst: microseconds of the worker's CPU time a request, requests a second, and milliseconds."""

    cpu_us: float
    per_second: float
    p50_ms: float
    p99_ms: float


@contextlib.contextmanager
def open_pages(daemon: Daemon, count: int) -> Iterator[None]:
    """Have pages open that read what they are sent; at their end the dashboard's process ends too."""
    browser = Browser.of(daemon)
    pages = [browser.live() for _ in range(count)]
    browser.get("/gateway/history?days=7")  # then the process has loaded what it needs
    for page in pages:
        page.next("status")
    readers = [threading.Thread(target=_read, args=(page,), daemon=True) for page in pages]
    for reader in readers:
        reader.start()
    try:
        yield
    finally:
        for pid in dashboards(daemon):
            os.kill(pid, signal.SIGKILL)  # by itself it would stay for a minute
        for reader in readers:
            reader.join()
        for page in pages:
            page.close()
        wait_until(lambda: not dashboards(daemon))


def _read(page: LiveStream) -> None:
    with contextlib.suppress(*CUT):
        while page.answer.read1(65536):
            pass


def burst(daemon: Daemon, scratch: Path) -> Burst:
    """Make load, and return what it took."""
    clock = processes.CpuClock(daemon.workers())
    done = load.run(daemon.port, client.body(2), {}, CONNECTIONS, SECONDS, scratch)
    if done.errors:
        raise SystemExit(f"{done.errors} wrong answers of {done.requests}")
    return Burst(clock.elapsed() * 1e6 / done.requests, done.requests / done.seconds, done.p50_ms, done.p99_ms)


def main() -> int:
    """Print the medians of both, and of the pairs' ratios."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    scratch = Path(tempfile.mkdtemp(prefix="gwbench-"))
    found: dict[int, list[Burst]] = {0: [], PAGES: []}
    try:
        with (
            targets.started(targets.direct(), scratch) as upstream,
            Daemon(upstream=f"http://127.0.0.1:{upstream.port}") as daemon,
        ):
            burst(daemon, scratch)  # which warms it up
            for number in range(pairs):
                for count in (0, PAGES) if number % 2 else (PAGES, 0):
                    with open_pages(daemon, count) if count else contextlib.nullcontext():
                        found[count].append(burst(daemon, scratch))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print("| pages open | CPU µs/request of the worker | requests/s | p50 ms | p99 ms |\n|-:|-:|-:|-:|-:|")
    for count, bursts in found.items():
        cpu, per_second, p50, p99 = (statistics.median(values) for values in zip(*bursts, strict=True))
        print(f"| {count} | {cpu:.1f} | {per_second:.0f} | {p50:.2f} | {p99:.2f} |")
    ratios = [with_them.cpu_us / without.cpu_us for without, with_them in zip(found[0], found[PAGES], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"CPU with pages / without, median of {pairs} pairs: {middle:.3f} (quartiles {low:.3f} to {high:.3f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
