"""dashboard/history/history.py, in both databases: a page is always answered, if need be with what to do."""

import asyncio
import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from claude_gatewayd.dashboard.history.history import USUAL, History, HistoryLimits
from claude_gatewayd.ledger.database import SCHEMA, Database
from claude_gatewayd.ledger.gateway_name import gateway_name
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import open_for_writing
from claude_gatewayd.ledger.usage_record import UsageRecord
from tests.support.postgres import PostgresServer
from tests.support.usage_records import put, usage_record

NOW = 1_795_000_000.0
WEEK = {"days": "7", "zone": "Europe/Berlin"}


class Place:
    """A configuration and a ledger of its own."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.database = database
        self.config = folder / "config.toml"
        self.environ = {
            "HOME": str(folder), "XDG_STATE_HOME": str(folder / "s"), "CLAUDE_GATEWAY_CONFIG": str(self.config)
        }  # fmt: skip
        self.configure()
        self.file = folder / "s" / "claude-gateway" / "ledger.sqlite3"
        if database.file is not None:
            self.database = Database(file=self.file)

    def configure(self, more: str = "") -> None:
        url = f'url = "{self.database.url}"\n' if self.database.is_postgres else ""
        self.config.write_text(f"[ledger]\n{url}{more}")

    def fill(self, records: Sequence[UsageRecord]) -> None:
        migrate(self.database)
        put(self.database, records)

    def ask(self, *queries: Mapping[str, str], limits: HistoryLimits = USUAL) -> list[dict[str, Any]]:
        """Return the answers to these, asked at once of one history."""

        async def all_of_them() -> list[Any]:
            one = History(self.environ, lambda: NOW, limits)
            return await asyncio.gather(*map(one.answer, queries))

        return asyncio.run(all_of_them())


@pytest.fixture
def place(tmp_path: Path, database: Database) -> Place:
    return Place(tmp_path, database)


@pytest.fixture
def file(tmp_path: Path) -> Place:
    return Place(tmp_path, Database(file=tmp_path))


def a_request(at: float, **more: Any) -> UsageRecord:
    return usage_record(at, gateway=gateway_name(47000), **more)


def test_what_was_used(place: Place) -> None:
    place.fill([a_request(NOW - 60), a_request(NOW - 86400, model_served="haiku"), a_request(NOW - 40 * 86400)])
    week, day, quarter = place.ask(WEEK, WEEK | {"days": "1"}, WEEK | {"days": "90"})
    assert [one["state"] for one in (week, day, quarter)] == ["ok"] * 3
    assert [one["total"]["requests"] for one in (week, day, quarter)] == [2, 1, 3]
    assert [row["key"] for row in week["models"]] == ["claude-opus-4-8", "haiku"]
    assert week["first_at"] == day["first_at"] == (NOW - 40 * 86400) // 900 * 900
    assert week["gateway"] == (gateway_name(47000) if place.database.is_postgres else "")
    assert week["month"] == day["month"] == quarter["month"]
    assert week["latencies"][0]["duration"]["requests"] == 2


def test_another_gateway_s_are_not_counted(place: Place) -> None:
    place.fill([a_request(NOW - 60), usage_record(NOW - 60, gateway="grace@desk")])
    (week,) = place.ask(WEEK)
    assert week["total"]["requests"] == (1 if place.database.is_postgres else 2)  # a file is of one gateway


def test_the_same_process_sees_what_comes_in(place: Place) -> None:
    place.fill([a_request(NOW - 60), a_request(NOW - 3 * 86400)])

    async def ask() -> list[int]:
        one, found = History(place.environ, lambda: NOW, HistoryLimits(holds=0.0)), []
        for at in (NOW - 1000, NOW - 3 * 86400 - 1000, NOW - 2000):
            found.append((await one.answer(WEEK))["total"]["requests"])
            put(place.database, [a_request(at, duration_ms=float(100 * len(found)))])
        return [*found, (await one.answer(WEEK))["total"]["requests"]]

    assert asyncio.run(ask()) == [2, 3, 4, 5]


def test_the_next_process_has_the_days_that_are_over(file: Place) -> None:
    file.fill([a_request(NOW - 60), a_request(NOW - 3 * 86400)])
    first, again = file.ask(WEEK)[0], file.ask(WEEK)[0]
    assert first == again
    days = file.file.with_name("ledger-days")
    assert days.exists()
    put(file.database, [a_request(NOW - 3 * 86400 - 1000, duration_ms=5.0)])
    assert file.ask(WEEK)[0]["total"]["requests"] == 3
    days.write_bytes(b"\xff" * 100)
    assert file.ask(WEEK)[0]["total"]["requests"] == 3


def test_many_pages_are_answered_by_one_reading(file: Place) -> None:
    file.fill([a_request(NOW - 60)])
    assert len({id(answer) for answer in file.ask(*[WEEK] * 50)}) == 1


def test_before_the_first_request(place: Place) -> None:
    (week,) = place.ask(WEEK)
    assert (week["state"], week["total"]["requests"], week["first_at"], len(week["steps"])) == ("ok", 0, None, 7)
    migrate(place.database)
    (week,) = place.ask(WEEK)
    assert (week["state"], week["total"]["requests"], week["first_at"], len(week["steps"])) == ("ok", 0, None, 7)


def test_it_may_be_off_and_what_was_recorded_is_shown(place: Place) -> None:
    place.fill([a_request(NOW - 60)])
    place.configure("enabled = false\n")
    (week,) = place.ask(WEEK)
    assert (week["state"], week["why"], week["hint"]) == (
        "off", "recording is off", "claude-gatewayctl config set ledger.enabled true --reload"
    )  # fmt: skip
    assert week["total"]["requests"] == 1


def unavailable(place: Place, limits: HistoryLimits = USUAL) -> tuple[str, str]:
    """Return why there is none, and the command; the page has its steps all the same."""
    (week,) = place.ask(WEEK, limits=limits)
    assert (week["state"], week["total"]["requests"], len(week["steps"])) == ("unavailable", 0, 7)
    return week["why"], week["hint"]


def test_a_damaged_file(file: Place) -> None:
    file.file.parent.mkdir(parents=True)
    file.file.write_bytes(b"no database" * 1000)
    assert unavailable(file) == (
        f"cannot read the ledger {file.file}: the file is damaged: it is no database of SQLite's",
        "claude-gatewayctl reload",
    )


def test_a_locked_file(file: Place) -> None:
    file.fill([a_request(NOW - 60)])
    other = sqlite3.connect(file.file, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    other.execute("UPDATE requests SET status = 1")
    why, hint = unavailable(file, HistoryLimits(reads=0.2))
    other.close()
    assert why == f"cannot read the ledger {file.file}: another process keeps it locked"
    assert hint.startswith("ls -l")


def test_a_reading_that_takes_too_long(file: Place) -> None:
    migrate(file.database)
    engine = open_for_writing(file.database)
    with engine.begin() as connection:
        connection.execute(
            text(
                "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) "
                "INSERT INTO quarters SELECT :last - i / 100, 'g', 'u', '', 'm' || (i % 100), '', '', '', "
                "1, 0, 0, 0, 0, 0, 0, 0, 0, 0.0 FROM n"
            ),
            {"last": int(NOW // 900)},
        )
    why, _ = unavailable(file, HistoryLimits(reads=-1.0))
    assert why == f"cannot read the ledger {file.file}: it takes too long"


@pytest.mark.skipif(os.getuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read(file: Place) -> None:
    file.fill([a_request(NOW - 60)])
    file.file.chmod(0)
    assert "permission denied" in unavailable(file)[0] or "cannot be opened" in unavailable(file)[0]


def test_a_folder_in_the_file_s_place(file: Place) -> None:
    file.file.mkdir(parents=True)
    why, hint = unavailable(file)
    assert why == f"cannot read the ledger {file.file}: reading or writing its disk failed"
    assert hint.startswith("df -h")


def test_tables_of_an_older_version_are_named(place: Place) -> None:
    place.fill([a_request(NOW - 60)])
    prefix = f"{SCHEMA}." if place.database.is_postgres else ""
    with open_for_writing(place.database).begin() as connection:
        connection.execute(text(f"ALTER TABLE {prefix}quarters DROP COLUMN unpriced"))
    why, hint = unavailable(place)
    assert "its tables are of another version of claude-gatewayd (they have no quarters.unpriced)" in why
    assert hint == "claude-gatewayctl version"


def test_tables_of_a_newer_version_are_read(place: Place) -> None:
    """A revision only adds."""
    place.fill([a_request(NOW - 60)])
    prefix = f"{SCHEMA}." if place.database.is_postgres else ""
    with open_for_writing(place.database).begin() as connection:
        connection.execute(text(f"ALTER TABLE {prefix}quarters ADD COLUMN region text NOT NULL DEFAULT ''"))
        connection.execute(text(f"UPDATE {prefix}alembic_version SET version_num = '0999'"))
    assert [one["total"]["requests"] for one in place.ask(WEEK)] == [1]


def test_a_server_that_is_gone_is_said_without_its_password(tmp_path: Path, postgres: PostgresServer) -> None:
    place = Place(tmp_path, Database(url=postgres.new_database()))
    place.fill([a_request(NOW - 60)])
    password = place.database.url.split(":")[2].split("@")[0]
    postgres.stop()
    why, hint = unavailable(place)
    postgres.start()
    assert why.startswith(f"cannot read the ledger {place.database.shown}: ")
    assert hint.startswith("psql ")
    assert password not in why + hint


def test_a_server_that_hangs(tmp_path: Path, postgres: PostgresServer) -> None:
    place = Place(tmp_path, Database(url=postgres.new_database()))
    place.fill([a_request(NOW - 60)])
    postgres.pause()
    try:
        found = unavailable(place, HistoryLimits(waits=0.5))
    finally:
        postgres.resume()
    assert found == ("cannot read the ledger: it takes too long", "claude-gatewayctl ledger check")


def test_a_configuration_that_is_wrong(file: Place) -> None:
    file.config.write_text("[ledger]\nkeep_days = 'for ever'\n")
    why, _ = unavailable(file)
    assert why.startswith(f"{file.config}:2 [ledger] keep_days: must be")
