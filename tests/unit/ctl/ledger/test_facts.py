"""What doctor gets to know of the ledger: quickly, and without changing anything."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from claude_gatewayd.config.model import Config, LedgerConfig
from claude_gatewayd.ctl.ledger import facts, unfinished
from claude_gatewayd.ctl.ledger.facts import gather
from claude_gatewayd.ctl.ledger.unfinished import Move
from claude_gatewayd.ledger.database import REVISION, Database
from claude_gatewayd.ledger.maintenance.migrate import head, migrate
from claude_gatewayd.paths import config_path, ledger_file
from tests.support.postgres import PostgresServer
from tests.support.usage_records import put, usage_record

NOW = 1_800_000_000.0


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


@pytest.fixture
def file(environ: dict[str, str]) -> Path:
    """Return the file of a ledger with a row."""
    file = ledger_file(environ)
    migrate(Database(file=file))
    put(Database(file=file), [usage_record(NOW)])
    return file


def test_a_good_one_and_none_yet(environ: dict[str, str]) -> None:
    file = ledger_file(environ)
    assert gather(Config(), environ) == facts.LedgerFacts(str(file), is_new=True)
    assert not file.exists()
    migrate(Database(file=file))
    assert gather(Config(), environ).is_new
    put(Database(file=file), [usage_record(NOW)])
    assert gather(Config(), environ) == facts.LedgerFacts(str(file), newest=NOW)
    off = Config(ledger=LedgerConfig(enabled=False))
    assert not gather(off, environ).is_on


def test_one_of_a_newer_version(environ: dict[str, str], file: Path) -> None:
    assert head() == REVISION
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    found = gather(Config(), environ)
    assert "a newer version has made its tables: revision 9999" in found.why
    assert found.hint == "claude-gatewayctl upgrade"


def test_one_that_is_damaged(environ: dict[str, str], file: Path) -> None:
    file.write_bytes(b"no database" * 1000)
    assert "damaged" in gather(Config(), environ).why


def test_a_password_that_others_can_read(environ: dict[str, str]) -> None:
    config = config_path(environ)
    config.parent.mkdir(parents=True)
    for text, mode, is_open in (
        ('[ledger]\nurl = "postgresql://u:p@h/d"\n', 0o644, True),
        ('[ledger]\nurl = "postgresql://u:p@h/d"\n', 0o600, False),
        ('[ledger]\nurl = "postgresql://u@h/d"\n', 0o644, False),
    ):
        config.write_text(text)
        config.chmod(mode)
        assert bool(gather(Config(), environ).open_file) == is_open


def test_a_postgresql(environ: dict[str, str], postgres: PostgresServer) -> None:
    url = postgres.new_database()
    assert gather(Config(ledger=LedgerConfig(url=url)), environ).why == ""
    by_variable = Config(ledger=LedgerConfig(use_database_url=True))
    assert gather(by_variable, {**environ, "DATABASE_URL": url}).why == ""
    assert "DATABASE_URL is not set" in gather(by_variable, environ).why
    postgres.make_read_only(url)
    assert gather(Config(ledger=LedgerConfig(url=url)), environ).why.startswith("it is read-only")


def test_a_move_that_is_not_finished(environ: dict[str, str], file: Path) -> None:
    unfinished.begin(Move(Database(file=file), Database.of("postgresql://u:sk-secret@h/d")), environ)
    assert gather(Config(), environ).moving_to == "postgresql://u@h/d"
    assert (file.parent / "ledger-move.json").stat().st_mode & 0o777 == 0o600
    assert unfinished.read(environ) == Move(Database(file=file), Database.of("postgresql://u:sk-secret@h/d"))
    unfinished.end(environ)
    assert gather(Config(), environ).moving_to == ""


def test_sqlalchemy_is_not_loaded() -> None:
    heavy = {"sqlalchemy", "alembic", "psycopg"}
    code = f"import claude_gatewayd.ctl.doctor.checks, sys; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
