"""The ledger as the worker knows it: it takes rows, or is off; nothing of it costs a start or a request."""

import os
from pathlib import Path
from time import perf_counter

import pytest

from claude_gatewayd import paths
from claude_gatewayd.config.model import LedgerConfig
from claude_gatewayd.worker.ledger.ledger import Ledger
from claude_gatewayd.worker.ledger.writer import MOST_WAITING
from tests.support.loop import on_uvloop, until
from tests.support.threads import NewThreads
from tests.unit.worker.ledger.fake_database import row, rows, view


@pytest.fixture
def new() -> NewThreads:
    return NewThreads()


@on_uvloop
async def test_rows_end_in_the_file(tmp_path: Path, new: NewThreads) -> None:
    environ = {"HOME": str(tmp_path)}
    ledger = Ledger(LedgerConfig(), environ, view())
    ledger.record(row(1))
    assert ledger.snapshot()["state"] == "starting"
    await ledger.start()
    await until(lambda: ledger.snapshot()["written"] == 1)
    assert new.names("ledger")
    for one in rows(3, 2):
        ledger.record(one)
    await ledger.close()
    assert ledger.snapshot() | {"why": ""} == {
        "state": "ok", "database": str(paths.ledger_file(environ)), "why": "", "hint": "", "set_aside": "",
        "waiting": 0, "spilled": 0, "dropped": 0, "written": 4,
    }  # fmt: skip
    assert new.names("ledger") == []


@on_uvloop
async def test_one_that_was_not_started_is_closed(tmp_path: Path, new: NewThreads) -> None:
    """As by `claude-gatewayd check`, which ends where a generation would begin to serve: no upgrade succeeded."""
    ledger = Ledger(LedgerConfig(), {"HOME": str(tmp_path)}, view())
    await ledger.close()
    assert new.names("ledger") == []
    assert not paths.ledger_file({"HOME": str(tmp_path)}).exists()


@on_uvloop
async def test_turned_off_it_does_nothing(tmp_path: Path, new: NewThreads) -> None:
    ledger = Ledger(LedgerConfig(enabled=False), {"HOME": str(tmp_path)}, view())
    await ledger.start()
    ledger.record(row(1))
    assert new.names("ledger") == []
    snapshot = ledger.snapshot()
    assert (snapshot["state"], snapshot["why"], snapshot["waiting"]) == ("off", "[ledger] enabled is false", 0)
    await ledger.close()
    assert os.listdir(tmp_path) == []


@on_uvloop
async def test_a_database_that_nobody_names_costs_no_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ledger = Ledger(LedgerConfig(use_database_url=True), {"HOME": str(tmp_path)}, view())
    await ledger.start()
    ledger.record(row(1))
    assert ledger.snapshot()["state"] == "off"
    assert "DATABASE_URL is not set" in ledger.snapshot()["why"]
    assert "DATABASE_URL is not set" in caplog.text
    await ledger.close()


@on_uvloop
async def test_more_rows_than_there_is_room_for_are_counted(tmp_path: Path) -> None:
    ledger = Ledger(LedgerConfig(), {"HOME": str(tmp_path)}, view())  # not started
    for one in rows(MOST_WAITING + 5):
        ledger.record(one)
    assert (ledger.snapshot()["waiting"], ledger.snapshot()["dropped"]) == (MOST_WAITING, 5)


@on_uvloop
async def test_a_row_costs_less_than_a_microsecond(tmp_path: Path) -> None:
    ledger = Ledger(LedgerConfig(), {"HOME": str(tmp_path)}, view())
    one = row(1)
    times = []
    for _ in range(8):
        begun = perf_counter()
        for _ in range(1000):
            ledger.record(one)
        times.append((perf_counter() - begun) / 1000)
    assert min(times) < 1e-6


@on_uvloop
async def test_a_password_is_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    url = "postgresql://me:hunter%402@127.0.0.1:9/nowhere?application_name=x"
    ledger = Ledger(LedgerConfig(url=url), {"HOME": str(tmp_path)}, view())
    await ledger.start()
    ledger.record(row(1))
    await until(lambda: "cannot write the ledger" in caplog.text)
    shown = f"{ledger.snapshot()} {caplog.text}"
    await ledger.close()
    assert "127.0.0.1" in shown
    assert "hunter" not in shown
