"""The place of a daemon: taken once, found by clients, and made anew."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_gatewayd import paths
from claude_gatewayd.ipc import client
from claude_gatewayd.ipc import place as places
from claude_gatewayd.ipc.lock import AlreadyRunning, acquire, lock_is_held
from claude_gatewayd.ipc.place import Place
from tests.support.leftovers import short_directory

LONG_AGO = 1_000_000_000


def test_what_is_left_alone_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd-tmpfiles removes what in /tmp is ten days old, and a Mac what is three."""
    monkeypatch.setattr(places, "_TOUCH_EVERY", 3)

    async def live() -> None:
        with short_directory("p-") as directory:
            environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": directory}
            with Place.take(environ, "http://here") as place:
                place.listen(environ)
                await place.serve({})
                here = paths.runtime_dir(environ)
                parts = [here, here / "lock", here / "control.sock"]
                for part in parts:
                    os.utime(part, (LONG_AGO, LONG_AGO))
                place._identity = place._identify()
                before = (here / "control.sock").stat().st_ino
                for _ in range(3):
                    assert {part.stat().st_mtime for part in parts} == {LONG_AGO}
                    await place.look_after(environ)
                assert all(part.stat().st_mtime > LONG_AGO for part in parts)
                await place.look_after(environ)
                assert (here / "control.sock").stat().st_ino == before
                place.leave()
                assert not (here / "control.sock").exists()

    asyncio.run(live())


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Return the environment of a Mac, with a home of its own."""
    with short_directory("m-") as directory:
        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.setenv("HOME", directory)
        yield {"HOME": directory}


def test_a_daemon_of_an_earlier_version_is_found(mac: dict[str, str]) -> None:
    now, before = paths.runtime_dirs(mac)
    assert now == Path(mac["HOME"], "Library/Application Support/claude-gateway/run")
    assert before == Path(mac["HOME"], "Library/Caches/TemporaryItems/claude-gateway")
    with pytest.raises(client.NotRunning, match=str(now)):
        client.ask("version")
    paths.make_private(before)
    assert not lock_is_held()

    async def live() -> None:
        from claude_gatewayd.ipc import control

        async def version() -> dict[str, str]:
            return {"version": "0"}

        server = await control.serve(control.listen(before / "control.sock"), {"version": version}, set())
        assert await asyncio.to_thread(client.ask, "version") == {"version": "0"}
        server.close()

    asyncio.run(live())
    with acquire(before / "lock", "http://there"):
        assert lock_is_held()
        with pytest.raises(AlreadyRunning, match="http://there"):
            Place.take(mac, "http://here")
    with Place.take(mac, "http://here"):
        assert lock_is_held()


def test_a_place_that_cannot_be_read_is_no_obstacle(mac: dict[str, str]) -> None:
    _now, before = paths.runtime_dirs(mac)
    before.parent.mkdir(parents=True)
    before.touch()
    with Place.take(mac, "http://here"):
        assert lock_is_held()
