"""The upkeep as a worker runs it: in a process of its own."""

import os
import resource
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.job import EXIT_CODES, Report, job_for
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.maintenance.work import work
from claude_gatewayd.ledger.opening import open_for_reading
from claude_gatewayd.ledger.schema import requests
from claude_gatewayd.ledger.sqlite_files import days_file
from tests.support.other_user import as_nobody, needs_root
from tests.support.postgres import PostgresServer
from tests.support.usage_records import put, usage_record

CHILD = [sys.executable, "-m", "claude_gatewayd.ledger.maintenance"]


def run(database: Database, job: Any, **more: Any) -> Report:
    given = msgspec.json.encode(job_for(database, job, **more)) + b"\n"
    child = subprocess.run(CHILD, input=given, capture_output=True, env={"PYTHONPATH": "src"}, timeout=60)
    assert child.stderr == b""
    assert child.stdout.count(b"\n") == 1
    assert b"s3cret" not in child.stdout
    report = msgspec.json.decode(child.stdout, type=Report)
    assert child.returncode == EXIT_CODES[report.outcome]
    return report


def rows(database: Database) -> int | None:
    with open_for_reading(database).connect() as connection:
        return connection.scalar(select(func.count()).select_from(requests))


def test_a_life(database: Database) -> None:
    assert run(database, "prepare") == Report(outcome="done")
    put(database, [usage_record(time.time() - days * 86400) for days in (40, 2)])
    assert run(database, "prepare", is_suspect=True) == Report(outcome="done")
    assert run(database, "prune", keep_days=0) == Report(outcome="done")
    assert rows(database) == 2
    days = None if database.file is None else days_file(database.file)
    if days is not None:
        days.write_text("sums of what goes")
    assert run(database, "prune", keep_days=30) == Report(outcome="done", pruned=1)
    assert days is None or not days.exists()
    assert run(database, "check") == Report(outcome="done")
    assert rows(database) == 1


def test_a_clock_that_may_be_wrong_removes_nothing(database: Database) -> None:
    migrate(database)
    put(database, [usage_record(time.time() - days * 86400) for days in (1000, 900, 0)])
    report = run(database, "prune", keep_days=30)
    assert (report.outcome, report.hint) == ("refused", "claude-gatewayctl ledger prune --keep-days 30")
    assert "the clock may be wrong" in report.message
    assert rows(database) == 3


def test_what_takes_too_long_to_prune_says_so(database: Database) -> None:
    migrate(database)
    put(database, [usage_record(time.time() - days * 86400) for days in (40, 2)])
    report = work(job_for(database, "prune", keep_days=30, seconds=0.0))
    assert (report.outcome, report.pruned) == ("later", 0)
    assert "they go tomorrow" in report.why


@pytest.mark.parametrize("suspect", [False, True])
@pytest.mark.parametrize("kind", ["directory", "pipe", "link to a directory", "link to a pipe"])
def test_what_is_not_a_file_is_refused_and_left_as_it_is(tmp_path: Path, kind: str, suspect: bool) -> None:
    """A link may lead to a device: whoever made that private for its owner would lock everybody out of it."""
    file = tmp_path / "ledger.sqlite3"
    place = tmp_path / "elsewhere" if kind.startswith("link") else file
    if kind.endswith("directory"):
        place.mkdir()
    else:
        os.mkfifo(place)
    if place != file:
        file.symlink_to(place)
    place.chmod(0o766)
    begun = time.monotonic()
    report = run(Database(file=file), "prepare", is_suspect=suspect)
    assert time.monotonic() - begun < 20
    assert (report.outcome, report.why) == ("refused", "it is not a file")
    assert report.hint.startswith("ls -ld ")
    assert place.stat().st_mode & 0o777 == 0o766
    assert {path.name for path in tmp_path.iterdir()} == {file.name, place.name}


def test_a_damaged_file_is_set_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    file.write_bytes(b"this is no database" * 1000)
    database = Database(file=file)
    assert run(database, "check").outcome == "corrupt"
    report = run(database, "prepare")
    assert report.outcome == "done"
    assert Path(report.set_aside).read_bytes() == b"this is no database" * 1000
    assert rows(database) == 0


def test_damage_deep_in_a_file_is_found_where_it_is_suspected(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    database = Database(file=file)
    migrate(database)
    put(database, [usage_record(3600.0 * number) for number in range(500)])
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as out:
        out.seek(file.stat().st_size - 40960)
        out.write(b"\xa5" * 8192)
    assert run(database, "prepare") == Report(outcome="done")
    report = run(database, "prepare", is_suspect=True)
    assert Path(report.set_aside).exists()
    assert rows(database) == 0


@pytest.mark.parametrize("most_bytes", [0, 8192, 20000])
def test_a_disk_that_takes_no_more(tmp_path: Path, most_bytes: int) -> None:
    database = Database(file=tmp_path / "ledger.sqlite3")
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    given = msgspec.json.encode(job_for(database, "prepare")) + b"\n"
    child = subprocess.run(CHILD, input=given, capture_output=True, env={"PYTHONPATH": "src"}, preexec_fn=limit)
    report = msgspec.json.decode(child.stdout, type=Report)
    assert (report.outcome, report.hint) == ("later", f"df -h {tmp_path}")
    assert run(database, "prepare") == Report(outcome="done")


def test_it_ends_in_time(postgres: PostgresServer) -> None:
    database = Database(url=postgres.new_database())
    migrate(database)
    postgres.pause()
    started = time.monotonic()
    report = run(database, "prepare", seconds=2)
    assert time.monotonic() - started < 8
    assert report.outcome == "later"
    assert report.message.startswith(f"cannot prepare the ledger {database.shown}: ")


def test_who_may_not_come_in(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    database = Database(url=f"{url[:15]}x:s3cret@{url.partition('@')[2]}")
    report = run(database, "prepare")
    assert report.outcome == "refused"
    assert "password authentication failed" in report.message


def test_who_may_not_create_a_schema(postgres: PostgresServer) -> None:
    report = run(Database(url=postgres.new_database(may_create_schema=False)), "prepare")
    assert report.outcome == "refused"
    assert "CREATE SCHEMA IF NOT EXISTS claude_gateway; GRANT ALL" in report.hint


def test_a_database_that_is_down(postgres: PostgresServer) -> None:
    database = Database(url=postgres.new_database())
    postgres.stop()
    report = run(database, "prepare")
    assert (report.outcome, "Connection refused" in report.message) == ("later", True)


@needs_root
@pytest.mark.parametrize("is_there", [False, True])
def test_a_folder_that_may_not_be_written(tmp_path: Path, is_there: bool) -> None:
    from claude_gatewayd.ledger.maintenance import work

    tmp_path.chmod(0o755)
    database = Database(file=tmp_path / "ledger.sqlite3")
    if is_there:
        database.file.touch(0o644)  # type: ignore[union-attr]
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    text = as_nobody(lambda: msgspec.json.encode(work.work(job_for(database, "prepare", seconds=1))).decode())
    report = msgspec.json.decode(text, type=Report)
    assert report.outcome == "later"
    assert report.message in (
        f"cannot prepare the ledger {database.file}: permission denied",
        f"cannot prepare the ledger {database.file}: it is read-only",
    )


def test_what_is_no_job_ends_with_an_error() -> None:
    child = subprocess.run(CHILD, input=b"{}\n", capture_output=True, env={"PYTHONPATH": "src"}, timeout=60)
    assert child.returncode == 1
    assert child.stdout == b""
