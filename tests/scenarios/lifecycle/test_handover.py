"""Hand-overs under load: nobody is refused, reset, cut or answered wrongly, and nothing piles up."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.calls import Stream, post
from tests.support.daemon import Daemon, wait_until
from tests.support.load import Load

pytestmark = pytest.mark.slow


def test_no_request_is_lost(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon, Stream(daemon.port, "[[slow 50 0.2]]") as stream:
        with Load(daemon.port) as load:
            fake.wait_until(lambda: len(fake.requests) > 200, 30)
            for _ in range(4):
                done = daemon.ctl("reload")
                assert (done.returncode, done.stderr) == (0, "")
                seen = len(fake.requests)
                fake.wait_until(lambda seen=seen: len(fake.requests) > seen + 600, 60)  # type: ignore[misc]
        stream.rest()
        assert stream.is_whole
        found = load.found
        print(f"\n4 hand-overs: {found}")
        assert found.requests > 1500
        assert set(found.served) == {"new", "busy", "thinking"}
        assert found.failed == 0, found
        assert found.said_close > 0, "no kept connection was in a hand-over"
        assert fake.violations == []
        assert "Traceback" not in daemon.log
        wait_until(lambda: len(daemon.workers()) == 1)


def test_two_at_once_lose_nothing(fake: FakeAnthropic) -> None:
    """Signals that come faster than generations start."""
    with Daemon(upstream=fake.url) as daemon:
        with Load(daemon.port) as load:
            fake.wait_until(lambda: len(fake.requests) > 100, 30)
            for _ in range(15):
                daemon.signal(signal.SIGHUP)
                seen = len(fake.requests)
                fake.wait_until(lambda seen=seen: len(fake.requests) > seen + 20, 60)  # type: ignore[misc]
            assert daemon.ctl("reload").returncode == 0
        print(f"\na burst of signals: {load.found}")
        assert load.found.failed == 0, load.found
        assert daemon.generation()["number"] > 2  # by signals too: how many depends on how long a start takes


class Size:
    """How much of the system one process holds."""

    def __init__(self, pid: int) -> None:
        process = Path("/proc") / str(pid)
        self.descriptors = len(os.listdir(process / "fd"))
        self.threads = len(os.listdir(process / "task"))
        self.memory = int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def __str__(self) -> str:
        return f"{self.descriptors} descriptors, {self.threads} threads, {self.memory / 2**20:.1f} MiB"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_forty_hand_overs_leave_nothing_behind(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:

        def hand_over(number: int) -> None:
            assert daemon.ctl("reload").returncode == 0
            assert daemon.generation()["number"] == number
            assert post(daemon.port)[0] == 200

        def wait_ended(count: int) -> None:
            """Return when the supervisor has taken note of the ends, too."""
            wait_until(lambda: len(re.findall(r"generation \d+ has ended", daemon.log)) == count)

        for number in range(2, 6):  # what is made once is made now
            hand_over(number)
        wait_ended(4)
        before, begun = Size(daemon.pid), time.monotonic()
        for number in range(6, 46):
            hand_over(number)
        wait_ended(44)
        assert len(daemon.workers()) == 1
        after = Size(daemon.pid)
        print(f"\n40 hand-overs in {time.monotonic() - begun:.1f} s: before {before}; after {after}")
        assert after.descriptors == before.descriptors
        assert after.threads == before.threads
        assert after.memory - before.memory < 2 * 2**20
        # all 44, and that of `wait_serving`; a worker tells its last a tenth of a second later
        wait_until(lambda: daemon.status()["requests"] == {"200": 45})
