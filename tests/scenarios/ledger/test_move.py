"""`claude-gatewayctl ledger move`, with real requests and a real PostgreSQL: each row is in the new database, once."""

import json
import signal
import stat
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select

from claude_gatewayd import paths
from claude_gatewayd.ctl.ledger import agreement
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import open_for_reading
from claude_gatewayd.ledger.schema import requests
from tests.fakes.anthropic import FakeAnthropic
from tests.support.build import Build
from tests.support.calls import Stream, post
from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.load import Load
from tests.support.postgres import PostgresServer
from tests.support.usage_records import put, usage_record


def rows(database: Database) -> int:
    """Return how many requests for messages there are: the look whether a daemon serves is a row as well."""
    with open_for_reading(database).connect() as connection:
        return connection.scalar(select(func.count()).where(requests.c.kind == "messages")) or 0


def sqlite_of(daemon: Daemon) -> Database:
    return Database(file=paths.ledger_file(daemon.environ))


def moved_files(daemon: Daemon) -> list[Path]:
    return sorted(paths.state_dir(daemon.environ).glob("ledger.sqlite3.moved-*"))


@contextmanager
def begun(daemon: Daemon, url: str) -> "Iterator[subprocess.Popen[str]]":
    """Start a move that reads its URL from standard input; end it with the block."""
    command = [str(BIN / "claude-gatewayctl"), "ledger", "move", "-"]
    moving = subprocess.Popen(
        command, env=daemon.environ, cwd=daemon.home, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert moving.stdin is not None
    with moving:
        moving.stdin.write(f"{url}\n")
        moving.stdin.flush()
        try:
            yield moving
        finally:
            if moving.poll() is None:
                moving.kill()


def ended(moving: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, errors = moving.communicate(timeout=60)
    return moving.returncode, out, errors


@pytest.mark.slow
def test_under_load_every_request_is_there_once(fake: FakeAnthropic, postgres: PostgresServer) -> None:
    """A stream of the older generation ends only after the switch: its row is copied as well."""
    url = postgres.new_database()
    target = Database(url=url)
    with Daemon(upstream=fake.url) as daemon:
        hold = fake.hold_next("end")
        with Stream(daemon.port) as stream:
            hold.wait_reached()
            with Load(daemon.port) as load:
                wait_until(lambda: rows(sqlite_of(daemon)) > 200)
                with begun(daemon, url) as moving:
                    wait_until(lambda: daemon.generation()["number"] == 2)
                    wait_until(lambda: rows(target) > 300)
                    assert moving.poll() is None, "it did not wait for the stream of the older generation"
                    hold.release()
                    stream.rest()
                    assert stream.is_whole
                    code, out, errors = ended(moving)
            assert (code, errors) == (0, "")
        assert load.found.failed == 0, load.found
        made = load.found.requests + 1
        wait_until(
            lambda: rows(target) == made, 20, lambda: f"{rows(target)} rows of {made}; {daemon.status()['ledger']}"
        )
        assert daemon.status()["ledger"]["database"] == target.shown
        assert daemon.ctl("ledger", "check").returncode == 0
        words = [line.split()[0] for line in out.splitlines()]
        assert words[:4] == ["from", "to", "copied", "wrote"]
        assert words[-3:] == ["checked", "kept", "The"]
        assert "switched" in words
        assert "waited" in words
        assert target.without_password(out) == out
        assert daemon.config_file.stat().st_mode & 0o777 == 0o600
        assert tomllib.loads(daemon.config_file.read_text())["ledger"] == {"url": url}
        (old,) = moved_files(daemon)
        assert stat.S_IMODE(old.stat().st_mode) == 0o600
        assert 0 < rows(Database(file=old)) < made
        assert not sqlite_of(daemon).file.exists()  # type: ignore[union-attr]
        password = url.split(":")[2].partition("@")[0]
        assert password not in daemon.log + out + daemon.ctl("status", "--json").stdout
    assert agreement.differing(open_for_reading(target)) == []


def test_there_and_back_without_a_daemon(postgres: PostgresServer) -> None:
    daemon = Daemon()
    try:
        file, url = sqlite_of(daemon), postgres.new_database()
        migrate(file)
        now = time.time()
        put(file, [usage_record(now - number) for number in range(50)])
        done = daemon.ctl("ledger", "move", url, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        report = json.loads(done.stdout)
        assert report == {
            "database": Database(url=url).shown, "rows": 50, "generation": None, "kept": str(moved_files(daemon)[0]),
        }  # fmt: skip
        assert rows(Database(url=url)) == 50
        again = daemon.ctl("ledger", "move", url)
        assert (again.returncode, "it is in" in again.stderr) == (1, True)
        other_name = url.replace("127.0.0.1", "localhost")
        again = daemon.ctl("ledger", "move", other_name)
        assert (again.returncode, "it is in" in again.stderr) == (1, True), again.stderr

        put(Database(url=url), [usage_record(now + 3600)])
        done = daemon.ctl("ledger", "move", "sqlite")
        assert (done.returncode, done.stderr) == (0, "")
        assert rows(file) == 51
        assert "the tables in" in done.stdout
        assert agreement.differing(open_for_reading(file)) == []
        assert daemon.ctl("ledger", "check").returncode == 0

        second = postgres.new_database()
        put_there = Database(url=second)
        assert daemon.ctl("ledger", "move", second).returncode == 0
        third = postgres.new_database()
        done = daemon.ctl("ledger", "move", third)  # from one PostgreSQL to another
        assert (done.returncode, done.stderr) == (0, "")
        assert rows(put_there) == rows(Database(url=third)) == 51
    finally:
        daemon.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_one_that_is_interrupted_goes_on(fake: FakeAnthropic, postgres: PostgresServer, number: signal.Signals) -> None:
    """While a stream of the older generation is open: the configuration names the new database already."""
    url = postgres.new_database()
    target = Database(url=url)
    with Daemon(upstream=fake.url) as daemon:
        assert post(daemon.port)[0] == 200
        hold = fake.hold_next("end")
        with Stream(daemon.port) as stream:
            hold.wait_reached()
            wait_until(lambda: rows(sqlite_of(daemon)) == 1)
            with begun(daemon, url) as moving:
                wait_until(lambda: daemon.generation()["number"] == 2)
                assert post(daemon.port)[0] == 200
                moving.send_signal(number)
                code, _, errors = ended(moving)
            assert code == (130 if number == signal.SIGINT else -9)
            assert "Traceback" not in errors
            found = daemon.ctl("ledger", "check")
            assert found.returncode == 1
            assert "claude-gatewayctl ledger move --resume" in found.stdout
            other = daemon.ctl("ledger", "move", postgres.new_database())
            assert other.returncode == 1
            assert other.stderr.endswith("claude-gatewayctl ledger move --resume\n")
            hold.release()
            stream.rest()
        done = daemon.ctl("ledger", "move", "--resume")
        assert (done.returncode, done.stderr) == (0, "")
        wait_until(lambda: rows(target) == 3)
        assert len(moved_files(daemon)) == 1
        assert daemon.ctl("ledger", "check").returncode == 0
        assert daemon.ctl("ledger", "move", "--resume").returncode == 1


def test_what_the_daemon_refuses_changes_nothing(fake: FakeAnthropic, postgres: PostgresServer) -> None:
    """The file is broken behind the daemon's back: the configuration is as it was, and the old database in use."""
    url = postgres.new_database()
    with Daemon(upstream=fake.url) as daemon:
        daemon.environ["CLAUDE_GATEWAY_LEDGER_URL"] = url  # of this shell only
        done = daemon.ctl("ledger", "move", postgres.new_database())
        assert done.returncode == 1
        assert done.stderr.endswith("unset CLAUDE_GATEWAY_LEDGER_URL\n")
        del daemon.environ["CLAUDE_GATEWAY_LEDGER_URL"]
        daemon.config_file.write_text("[listen]\nprot = 1\n")
        done = daemon.ctl("ledger", "move", url)
        assert done.returncode == 78
        assert daemon.config_file.read_text() == "[listen]\nprot = 1\n"


def test_a_daemon_that_refuses_the_reload_records_where_it_did(
    fake: FakeAnthropic, postgres: PostgresServer, tmp_path: Path
) -> None:
    build, url = Build(tmp_path / "build"), postgres.new_database()
    before = "# mine\n[ledger]\nkeep_days = 90\n"
    with Daemon(upstream=fake.url, config=before, environ=build.environ) as daemon:
        worker = daemon.generation()["pid"]
        assert post(daemon.port)[0] == 200
        wait_until(lambda: rows(sqlite_of(daemon)) == 1)
        build.spoil()
        done = daemon.ctl("ledger", "move", url)
        assert done.returncode == 1
        assert "the daemon refuses to reload, and nothing has changed: worker: ended with status 1" in done.stderr
        assert Database(url=url).without_password(done.stderr) == done.stderr
        assert daemon.config_file.read_text() == before
        assert daemon.generation()["pid"] == worker
        assert post(daemon.port)[0] == 200
        wait_until(lambda: rows(sqlite_of(daemon)) == 2)
        assert rows(Database(url=url)) == 1
        build.mend()
        assert daemon.ctl("ledger", "check").returncode == 0
        other = postgres.new_database()
        done = daemon.ctl("ledger", "move", other)
        assert (done.returncode, done.stderr) == (0, "")
        assert rows(Database(url=other)) == 2


@pytest.mark.parametrize("break_it", [PostgresServer.make_read_only, lambda server, url: server.stop()])
def test_one_that_cannot_be_used_is_refused_first(
    postgres: PostgresServer, break_it: Callable[[PostgresServer, str], None]
) -> None:
    daemon = Daemon()
    try:
        url = postgres.new_database()
        migrate(sqlite_of(daemon))
        break_it(postgres, url)
        done = daemon.ctl("ledger", "move", url)
        assert done.returncode == 1
        assert done.stderr.startswith("Cannot use the ledger postgresql://")
        assert not daemon.config_file.exists()
        assert daemon.ctl("ledger", "check").returncode == 0
    finally:
        daemon.close()
