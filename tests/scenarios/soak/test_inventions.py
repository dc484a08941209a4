"""A caller that makes up names costs little memory: each table that its names get into has a bound.

INVENTED=100000 makes up as many; a table without a bound shows with fewer.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import pytest
from soak import figures
from soak.inventions import INVENTIONS
from soak.scene import ROOT

from tests.fakes.bedrock import FakeBedrock
from tests.support.daemon import Daemon, free_port, wait_until
from tests.support.stage import asking

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc"),
]

COUNT: Final = int(os.environ.get("INVENTED", "6000"))
SLOW: Final = (
    "models when Anthropic is overloaded",
    "Bedrock's API",
    "counts at Bedrock",
    "models at Bedrock",
)  # the fake takes milliseconds for each
MOST_MB: Final = 10.0
MOST_ENTRIES: Final = 4096  # of a table; the largest is that of tickets
NOT_TABLES: Final = ("instances of", "tasks")


@dataclass
class Scene:
    daemon: Daemon
    key: str
    last: list[figures.Process] = field(init=False)

    def invent(self, what: str, begin: int, end: int) -> dict[str, int]:
        """Have a caller make things up; return how often it got which status."""
        arguments = [str(self.daemon.port), self.key, what, str(begin), str(end)]
        done = subprocess.run(
            ["nice", "-n", "10", sys.executable, "-m", "soak.inventions", *arguments],
            cwd=ROOT, capture_output=True, text=True, timeout=600, check=True,
        )  # fmt: skip
        found: dict[str, int] = json.loads(done.stdout)
        return found

    def measure(self) -> list[figures.Process]:
        """Measure the worker and the supervisor when its ledger is written and it rests."""

        def rests() -> bool:
            generation, ledger = self.daemon.generation(), self.daemon.status()["ledger"]
            return generation["at_rest"] and not ledger["waiting"] + ledger["spilled"]

        wait_until(rests, 300, self.daemon.describe)
        (worker,) = self.daemon.workers()
        return [figures.process(self.daemon, pid) for pid in (worker, self.daemon.pid)]


@contextmanager
def upstream() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "soak.upstream", str(port)], cwd=ROOT)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with upstream() as url, FakeBedrock() as bedrock:
        environ = asking(bedrock, "direct") | {"PYTHONPATH": str(ROOT / "soak" / "inside")}
        with Daemon(upstream=url, environ=environ) as daemon:
            scene = Scene(daemon, daemon.ctl("key").stdout.strip())
            for what in INVENTIONS:  # what is loaded and allocated once is no table
                scene.invent(what, 10**6, 10**6 + 200)
            scene.last = scene.measure()
            yield scene


@pytest.mark.parametrize("what", INVENTIONS)
def test_made_up(scene: Scene, what: str) -> None:
    count = COUNT // 20 if what in SLOW else COUNT
    statuses = scene.invent(what, 0, count)
    before, scene.last = scene.last, scene.measure()
    print(f"{count:,} {what}: {statuses}")
    for was, now in zip(before, scene.last, strict=True):
        large = {
            name: entries
            for name, entries in now.tables.items()
            if entries > MOST_ENTRIES and not name.startswith(NOT_TABLES)
        }
        grown = {
            name: entries - was.tables.get(name, 0)
            for name, entries in now.tables.items()
            if name.startswith(NOT_TABLES) and entries - was.tables.get(name, 0) > MOST_ENTRIES
        }
        print(f"process {now.pid}: RSS {was.rss:.1f} to {now.rss:.1f} MB; large tables: {large}")
        assert now.rss - was.rss <= MOST_MB
        assert (large, grown) == ({}, {})
