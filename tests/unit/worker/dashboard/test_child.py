"""The life of the dashboard's process, by a stand-in for it."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.worker.dashboard import child as child_module
from claude_gatewayd.worker.dashboard.child import Child
from claude_gatewayd.worker.dashboard.feed import Feed
from tests.support.loop import on_uvloop, until

# It takes connections and keeps them, until its feed ends.
_STAND_IN = """
import os, select, socket, sys
door, feed = socket.socket(fileno=int(sys.argv[2])), int(sys.argv[4])
open(sys.argv[0] + ".pids", "a").write(f"{os.getpid()}\\n")
kept = []
while True:
    ready, _, _ = select.select([door, feed], [], [])
    if feed in ready and not os.read(feed, 65536):
        sys.exit(0)
    if door in ready:
        data, fds, _, _ = socket.recv_fds(door, 1, 1)
        if not data:
            sys.exit(0)
        kept += fds
        door.send(b"t")
"""


class Scene:
    """A child that is a stand-in."""

    def __init__(self, directory: Path, program: str = _STAND_IN) -> None:
        self.script = directory / "stand_in.py"
        self.script.write_text(program)
        self.child = Child(Feed(), os.environ, (sys.executable, str(self.script)))

    @property
    def pids(self) -> list[int]:
        """Which processes were started."""
        file = self.script.with_name(self.script.name + ".pids")
        return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@on_uvloop
async def test_it_is_started_once_and_ends_with_its_owner(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    connections = await asyncio.gather(*(scene.child.connect() for _ in range(5)))
    assert len(set(map(id, connections))) == 5
    (pid,) = scene.pids
    await scene.child.close()
    assert not is_there(pid)
    with pytest.raises(UpstreamFailed, match="this generation of the daemon ends"):
        await scene.child.connect()


@on_uvloop
async def test_it_ends_when_nobody_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "_UNUSED_FOR", 0.05)
    scene = Scene(tmp_path)
    with scene.child.used():
        await scene.child.connect()
        (pid,) = scene.pids
        with scene.child.used():
            pass
        await asyncio.sleep(0.2)  # that it is not ended has no event
        assert is_there(pid)
    await until(lambda: not is_there(pid))
    with scene.child.used():
        await scene.child.connect()
    assert len(scene.pids) == 2
    await scene.child.close()


@on_uvloop
async def test_one_that_is_killed_is_replaced(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    connection = await scene.child.connect()
    (pid,) = scene.pids
    os.kill(pid, signal.SIGKILL)
    await until(lambda: connection.lost)
    await until(lambda: not is_there(pid))
    await scene.child.connect()
    assert len(scene.pids) == 2
    await scene.child.close()


@on_uvloop
async def test_one_that_does_not_start_is_not_tried_with_each_request(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "import os, sys; open(sys.argv[0] + '.pids', 'a').write(f'{os.getpid()}\\n'); sys.exit(3)")
    for _ in range(5):
        with pytest.raises(UpstreamFailed, match=r"ended as soon as it was started; .* claude-gatewayctl logs"):
            await scene.child.connect()
    assert len(scene.pids) == 1
    await scene.child.close()


@on_uvloop
async def test_what_cannot_be_run_is_a_sentence(tmp_path: Path) -> None:
    child = Child(Feed(), os.environ, (str(tmp_path / "nothing"),))
    for _ in range(2):
        with pytest.raises(UpstreamFailed, match="cannot be started: No such file"):
            await child.connect()
    await child.close()


@on_uvloop
async def test_one_that_takes_nothing_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "_TAKES_WITHIN", 0.2)
    monkeypatch.setattr(child_module, "_ENDS_WITHIN", 0.2)
    scene = Scene(tmp_path, "import time; time.sleep(1000)")
    with pytest.raises(UpstreamFailed, match="does not answer"):
        await scene.child.connect()
    await scene.child.close()  # it does not look at its feed, and is killed


@on_uvloop
async def test_no_descriptor_is_left(tmp_path: Path) -> None:
    def descriptors() -> int:
        return sum(1 for number in range(256) if _is_open(number))

    scene = Scene(tmp_path)
    connection = await scene.child.connect()
    connection.abort()
    await scene.child.close()
    await until(lambda: connection.lost)
    before = descriptors()
    for _ in range(3):
        scene.child.is_closed = False
        connection = await scene.child.connect()
        connection.abort()
        await scene.child.close()
    await until(lambda: descriptors() <= before)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
