"""Whatever becomes of the ledger's database, requests are served as ever, and each is in it once when it is back."""

import os
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from claude_gatewayd import paths
from claude_gatewayd.ledger.database import REVISION, Database
from tests.fakes.anthropic import FakeAnthropic
from tests.scenarios.ledger.callers import Callers, is_settled, sessions_in
from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.postgres import PostgresServer


def ledger_of(daemon: Daemon) -> Database:
    return Database(file=paths.ledger_file(daemon.environ))


def to(url: str) -> str:
    return f'[ledger]\nurl = "{url}"\n'


def settle(daemon: Daemon) -> None:
    wait_until(lambda: is_settled(daemon), describe=lambda: f"{daemon.status()['ledger']} {daemon.describe()}")


def wait_for(daemon: Daemon, state: str) -> None:
    wait_until(lambda: daemon.status()["ledger"]["state"] == state, describe=daemon.describe)


def assert_each_once(callers: Callers, database: Database) -> None:
    assert callers.failures == []
    assert len(callers.served) > 20
    found = sessions_in(database)
    assert {session: found[session] for session in callers.served} == dict.fromkeys(callers.served, 1)


def test_postgres_is_killed_under_load_and_comes_back(anthropic: FakeAnthropic, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with Daemon(upstream=anthropic.url, config=to(url)) as daemon:
        wait_for(daemon, "ok")
        with Callers(daemon) as callers:
            for _ in range(2):
                before = len(callers.served)
                wait_until(lambda: len(callers.served) > before + 50)  # noqa: B023
                postgres.stop()
                wait_until(lambda: "rows wait in" in daemon.log)
                wait_until(lambda: daemon.status()["ledger"]["spilled"] > 0)
                postgres.start()
                wait_for(daemon, "ok")
        settle(daemon)
        assert_each_once(callers, Database(url=url))
        assert "the ledger is written again; " in daemon.log
        assert "psycopg" not in daemon.log  # its own words for a connection that is lost
        assert daemon.status()["ledger"]["dropped"] == 0
        assert callers.slowest < 2.0 * callers.watch.pace
        password = url.split(":")[2].partition("@")[0]
        assert password not in daemon.log + daemon.ctl("status", "--json").stdout


def test_a_postgres_that_hangs_delays_nobody(anthropic: FakeAnthropic, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with Daemon(upstream=anthropic.url, config=to(url)) as daemon:
        wait_for(daemon, "ok")
        with Callers(daemon) as callers:
            wait_until(lambda: len(callers.served) > 50)
            postgres.pause()
            wait_for(daemon, "waiting")
            before = len(callers.served)
            wait_until(lambda: len(callers.served) > before + 100)
            postgres.resume()
        settle(daemon)
        assert_each_once(callers, Database(url=url))
        assert callers.slowest < 2.0 * callers.watch.pace


def test_a_host_that_never_answers_delays_neither_start_nor_request_nor_end(anthropic: FakeAnthropic) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        config = to(f"postgresql://me:hunter2@127.0.0.1:{silent.getsockname()[1]}/x")
        begun = time.monotonic()
        with Daemon(upstream=anthropic.url, config=config) as daemon:
            assert time.monotonic() - begun < 5.0
            with Callers(daemon) as callers:
                wait_for(daemon, "waiting")
            assert callers.failures == []
            assert callers.slowest < 2.0 * callers.watch.pace
            begun = time.monotonic()
            assert daemon.ctl("stop").returncode == 0
            assert time.monotonic() - begun < 8.0
            [waiting] = paths.ledger_spill_dir(daemon.environ).iterdir()
            assert sum(b'"messages"' in line for line in waiting.read_bytes().splitlines()) == len(callers.served)
            assert "hunter2" not in daemon.log


def test_a_worker_that_is_killed_loses_a_second_at_most(anthropic: FakeAnthropic, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with Daemon(upstream=anthropic.url, config=to(url)) as daemon:
        wait_for(daemon, "ok")
        for hangs in (False, True):
            with Callers(daemon) as callers:
                wait_until(lambda: len(callers.served) > 50)
                if hangs:
                    postgres.pause()
                    wait_for(daemon, "waiting")
                worker = daemon.generation()["pid"]
                wait_until(lambda: len(served_before(callers, time.monotonic() - 1.0)) > 200)
                killed = time.monotonic()
                daemon.kill(worker)
            postgres.resume()
            wait_until(lambda: worker not in daemon.workers())  # noqa: B023
            wait_for(daemon, "ok")
            with Callers(daemon) as after:
                wait_until(lambda: len(after.served) > 5)
            settle(daemon)
            found = sessions_in(Database(url=url))
            old = served_before(callers, killed - 1.0)
            assert len(old) > 200
            assert {session: found[session] for session in old} == dict.fromkeys(old, 1)
            assert max(found.values()) == 1


def served_before(callers: Callers, moment: float) -> list[str]:
    return [session for session, at in list(callers.served.items()) if at < moment]


@pytest.mark.slow
def test_a_lock_that_is_held_for_30_seconds(anthropic: FakeAnthropic) -> None:
    with Daemon(upstream=anthropic.url) as daemon:
        wait_for(daemon, "ok")
        with (
            Callers(daemon, pause=0.1) as callers,
            closing(sqlite3.connect(ledger_of(daemon).shown, isolation_level=None)) as other,
        ):
            other.execute("BEGIN IMMEDIATE")
            locked = time.monotonic()
            wait_until(lambda: "cannot write the ledger: another process keeps it locked" in daemon.log)
            wait_until(lambda: time.monotonic() > locked + 30)
            assert daemon.status()["ledger"]["spilled"] > 100
            other.execute("ROLLBACK")
            wait_for(daemon, "ok")
        settle(daemon)
        assert_each_once(callers, ledger_of(daemon))
        assert callers.slowest < 2.0 * callers.watch.pace
        assert daemon.log.count("rows wait in") == daemon.log.count("the ledger is written again") == 1


@pytest.mark.parametrize("running", [False, True], ids=["at the start", "while it runs"])
def test_a_corrupt_file_is_set_aside(anthropic: FakeAnthropic, running: bool) -> None:
    daemon = Daemon(upstream=anthropic.url)
    file = paths.ledger_file(daemon.environ)
    if not running:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"this is no database" * 1000)
    with daemon:
        wait_for(daemon, "ok")
        if running:
            with file.open("r+b") as content:
                content.write(b"\xff" * 40_000)
        with Callers(daemon) as callers:
            wait_until(lambda: daemon.status()["ledger"]["set_aside"], describe=daemon.describe)
            before = len(callers.served)
            wait_until(lambda: len(callers.served) > before + 30)
        settle(daemon)
        aside = Path(daemon.status()["ledger"]["set_aside"])
        assert aside.exists()
        assert f"the ledger was corrupt: it is now {aside}, and a new one is begun" in daemon.log
        assert callers.failures == []
        found = sessions_in(ledger_of(daemon))
        assert max(found.values()) == 1
        assert len(found) > 20
        if not running:
            assert_each_once(callers, ledger_of(daemon))


def test_tables_of_a_newer_version_are_left_alone(anthropic: FakeAnthropic) -> None:
    daemon = Daemon(upstream=anthropic.url)
    with daemon:
        wait_for(daemon, "ok")
        settle(daemon)
        assert daemon.ctl("stop").returncode == 0
        daemon.wait()
        file = ledger_of(daemon).shown
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("UPDATE alembic_version SET version_num = '9999'")
        daemon.spawn()
        daemon.wait_serving()
        with Callers(daemon) as callers:
            wait_until(lambda: len(callers.served) > 30)
            wait_for(daemon, "waiting")
        assert "newer" in daemon.status()["ledger"]["why"]
        wait_until(lambda: "cannot write the ledger: " in daemon.log)
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("UPDATE alembic_version SET version_num = ?", (REVISION,))
        settle(daemon)
        assert_each_once(callers, ledger_of(daemon))


def test_generations_write_at_once(anthropic: FakeAnthropic) -> None:
    with Daemon(upstream=anthropic.url) as daemon:
        with Callers(daemon) as callers:
            for _ in range(3):
                before = len(callers.served)
                wait_until(lambda: len(callers.served) > before + 50)  # noqa: B023
                assert daemon.ctl("reload").returncode == 0
        wait_until(lambda: len(daemon.workers()) == 1)
        settle(daemon)
        found = sessions_in(ledger_of(daemon))
        assert {session: found[session] for session in callers.served} == dict.fromkeys(callers.served, 1)
        assert "ledger" not in daemon.log


def test_two_daemons_share_a_postgres(anthropic: FakeAnthropic, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with (
        Daemon(upstream=anthropic.url, config=to(url)) as one,
        Daemon(upstream=anthropic.url, config=to(url)) as other,
    ):
        with Callers(one) as callers, Callers(other) as others:
            wait_for(one, "ok")
            wait_for(other, "ok")
            wait_until(lambda: len(callers.served) > 100 and len(others.served) > 100)
            postgres.disconnect(url)
            before = len(others.served)
            wait_until(lambda: len(others.served) > before + 50)
        settle(one)
        settle(other)
        assert_each_once(callers, Database(url=url))
        assert_each_once(others, Database(url=url))


def test_turned_off_there_is_nothing_of_it(anthropic: FakeAnthropic) -> None:
    with Daemon(upstream=anthropic.url, config="[ledger]\nenabled = false\n", has_ledger=False) as daemon:
        with Callers(daemon) as callers:
            wait_until(lambda: len(callers.served) > 20)
        assert daemon.status()["ledger"]["state"] == "off"
        assert not list(paths.state_dir(daemon.environ).glob("ledger*"))
        worker = daemon.generation()["pid"]
        names = [Path(f"/proc/{worker}/task/{task}/comm").read_text() for task in os.listdir(f"/proc/{worker}/task")]
        assert not [name for name in names if "ledger" in name]
        assert "sqlite" not in Path(f"/proc/{worker}/maps").read_text()


@pytest.fixture
def small_disk(tmp_path: Path, anthropic: FakeAnthropic) -> Iterator[Daemon]:
    """Lend a daemon whose state is on a disk of 600 KiB, in a mount namespace of its own."""
    if os.getuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a small disk needs root and unshare")
    script = tmp_path / "on-a-small-disk"
    script.write_text(
        '#!/bin/sh\nmkdir -p "$XDG_STATE_HOME"\n'
        'exec unshare -m sh -c \'cp -r "$XDG_STATE_HOME" "$HOME/kept"; mount -t tmpfs -o size=600k,mode=700 tmpfs '
        f'"$XDG_STATE_HOME" && cp -r "$HOME/kept/." "$XDG_STATE_HOME" && exec {BIN}/claude-gatewayd\'\n'
    )
    script.chmod(0o755)
    with Daemon(upstream=anthropic.url, executable=script) as daemon:
        wait_for(daemon, "ok")
        yield daemon


def inside(daemon: Daemon, *command: str) -> None:
    subprocess.run(["nsenter", "-t", str(daemon.pid), "-m", *command], check=True)


def test_a_full_disk_costs_rows_at_worst(small_disk: Daemon) -> None:
    daemon = small_disk
    with Callers(daemon, pause=0.001) as callers:
        wait_for(daemon, "waiting")
        wait_until(lambda: "disk is full" in daemon.log or "No space left" in daemon.log, describe=daemon.describe)
        before = len(callers.served)
        wait_until(lambda: len(callers.served) > before + 200)
        inside(daemon, "mount", "-o", "remount,size=20m", daemon.environ["XDG_STATE_HOME"])
        wait_for(daemon, "ok")
    settle(daemon)
    assert callers.failures == []
    assert callers.slowest < 2.0 * callers.watch.pace
    inside(daemon, "cp", "-r", str(paths.state_dir(daemon.environ)), str(daemon.home / "copy"))
    found = sessions_in(Database(file=daemon.home / "copy" / "ledger.sqlite3"))
    assert max(found.values()) == 1
    lost = len(callers.served) - sum(session in found for session in callers.served)
    assert lost == daemon.status()["ledger"]["dropped"] == 0, "memory has room for 10,000"


def test_a_read_only_database_is_waited_for(anthropic: FakeAnthropic, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with Daemon(upstream=anthropic.url, config=to(url)) as daemon:
        wait_for(daemon, "ok")
        with Callers(daemon) as callers:
            wait_until(lambda: len(callers.served) > 20)
            postgres.make_read_only(url)
            wait_until(lambda: "in a read-only transaction" in daemon.status()["ledger"]["why"])
            postgres.make_writable(url)
            wait_for(daemon, "ok")
        settle(daemon)
        assert_each_once(callers, Database(url=url))
