"""`claude-gatewayctl ledger check`, `prune` and `export`, as a person types them; and what `uninstall` leaves."""

import csv
import io
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_gatewayd import paths
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.migrate import migrate
from tests.support.daemon import BIN, Daemon
from tests.support.terminal import CTRL_C, Terminal
from tests.support.usage_records import put, usage_record

DAY = 86400.0


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """Return a daemon that does not run."""
    daemon = Daemon()
    try:
        yield daemon
    finally:
        daemon.close()


@pytest.fixture
def ledger(daemon: Daemon, database: Database) -> Database:
    """Return the ledger of that daemon, on either database, with two rows a day of the last 40 days."""
    if database.file is not None:
        database = Database(file=paths.ledger_file(daemon.environ))
    else:
        daemon.config_file.write_text(f'[ledger]\nurl = "{database.url}"\n')
        daemon.config_file.chmod(0o600)
    migrate(database)
    put(database, [usage_record(time.time() - DAY * number / 2 - 4000) for number in range(80)])
    return database


def test_check_finds_nothing_wrong_and_says_what_there_is(daemon: Daemon, ledger: Database) -> None:
    done = daemon.ctl("ledger", "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"database  {ledger.shown} (")
    assert "\nrows      80, " in done.stdout
    assert done.stdout.endswith("\nok        nothing is wrong\n")
    report = json.loads(daemon.ctl("ledger", "check", "--json").stdout)
    assert (report["rows"], report["troubles"], report["differing"], report["daemon"]) == (80, [], [], None)


def test_check_repairs_sums(daemon: Daemon, ledger: Database) -> None:
    if ledger.file is None:
        pytest.skip("test_agreement.py has it for PostgreSQL")
    with sqlite3.connect(ledger.file) as connection:
        connection.execute(
            "UPDATE quarters SET requests = requests + 1 WHERE quarter = (SELECT max(quarter) FROM quarters)"
        )
    connection.close()
    done = daemon.ctl("ledger", "check")
    assert done.returncode == 1
    assert "1 hour has sums that are not those of their requests, from " in done.stdout
    assert "claude-gatewayctl ledger check --repair" in done.stdout
    done = daemon.ctl("ledger", "check", "--repair")
    assert (done.returncode, done.stderr) == (0, "Repaired the sums of 1 hour\n")
    assert daemon.ctl("ledger", "check").returncode == 0


def test_check_finds_what_others_can_read_and_what_waits(daemon: Daemon, ledger: Database) -> None:
    spill = paths.ledger_spill_dir(daemon.environ)
    spill.mkdir(parents=True)
    (spill / "0.jsonl").write_text("{}\n{}\n")
    (spill / "0.jsonl").chmod(0o644)
    if ledger.file is not None:
        ledger.file.chmod(0o640)
    done = daemon.ctl("ledger", "check")
    assert done.returncode == 1
    assert "\nwaiting   2 rows in files, until the database can be written\n" in done.stdout
    assert f"chmod 600 {spill}/0.jsonl" in done.stdout
    assert (f"chmod 600 {ledger.file}" in done.stdout) == (ledger.file is not None)


def test_a_damaged_file_and_one_that_is_none(daemon: Daemon) -> None:
    file = paths.ledger_file(daemon.environ)
    file.parent.mkdir(parents=True, mode=0o700)
    file.write_text("no database\n" * 1000)
    file.chmod(0o600)
    for words in (("check",), ("export",), ("prune", "--yes")):
        done = daemon.ctl("ledger", *words)
        assert done.returncode == 1
        assert "damaged" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_prune_asks_and_removes(daemon: Daemon, ledger: Database) -> None:
    done = daemon.ctl("ledger", "prune", "--keep-days", "10")
    assert (done.returncode, done.stdout) == (1, "")
    assert "would be removed\n  claude-gatewayctl ledger prune --keep-days 10 --yes\n" in done.stderr
    ctl = [str(BIN / "claude-gatewayctl"), "ledger", "prune", "--keep-days", "10"]
    with Terminal(ctl, daemon.environ, columns=250) as terminal:
        terminal.answer(f"from {ledger.shown}? [y/N]")
        assert terminal.end() == 1
    assert "Nothing was changed." in terminal.text
    with Terminal(ctl, daemon.environ, columns=250) as terminal:
        terminal.answer(f"from {ledger.shown}? [y/N]", CTRL_C)
        assert terminal.end() == 130
    assert "Traceback" not in terminal.text
    report = json.loads(daemon.ctl("ledger", "prune", "--keep-days", "10", "--yes", "--json").stdout)
    assert report["removed"] == 60
    kept = daemon.ctl("ledger", "export", "--since", "5d", "--json").stdout.count("\n")
    assert 8 <= kept <= 10, "today is one of the five days"
    assert daemon.ctl("ledger", "prune", "--before", "5d", "--yes", "--vacuum").returncode == 0
    left = json.loads(daemon.ctl("ledger", "check", "--json").stdout)
    assert (left["rows"], left["troubles"]) == (kept, [])


def test_export_to_a_file_and_to_a_pipe(daemon: Daemon, ledger: Database) -> None:
    done = daemon.ctl("ledger", "export")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(csv.DictReader(io.StringIO(done.stdout)))) == 80
    file = daemon.home / "rows.jsonl"
    done = daemon.ctl("ledger", "export", str(file), "--since", "10d")
    assert (done.returncode, done.stdout.startswith(f"wrote     {file}, ")) == (0, True)
    assert {json.loads(line)["kind"] for line in file.read_text().splitlines()} == {"messages"}
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    done = daemon.ctl("ledger", "export", str(file))
    assert (done.returncode, file.read_bytes() == before) == (1, True)
    assert daemon.ctl("ledger", "export", "--since", "soon").stderr.endswith(
        "claude-gatewayctl ledger export --since 7d\n"
    )


def test_a_purge_says_what_it_leaves_in_postgresql(daemon: Daemon, ledger: Database) -> None:
    waiting = paths.ledger_spill_dir(daemon.environ)
    waiting.mkdir(parents=True, exist_ok=True)
    (waiting / "0.jsonl").write_text("{}\n")
    done = daemon.ctl("uninstall", "--purge")
    assert done.returncode == 0, done.stderr
    assert not Path(paths.state_dir(daemon.environ)).exists()
    drop = "DROP SCHEMA claude_gateway CASCADE"
    assert (drop in done.stdout) == (ledger.file is None)
    assert ledger.without_password(done.stdout) == done.stdout
