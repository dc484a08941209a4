"""`usage` and the dashboard's history over a million requests of the last 30 days, in a file and in a PostgreSQL."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import pytest

from claude_gatewayd.dashboard.history.history import History, HistoryLimits
from claude_gatewayd.ledger import sqlite_files
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.gateway_name import gateway_name
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import open_for_reading, open_for_writing
from claude_gatewayd.ledger.reports.report import report
from claude_gatewayd.ledger.reports.window import window
from tests.support import ledger_rows
from tests.support.daemon import BIN, Daemon
from tests.support.effort import effort, yardstick

REQUESTS = 1_000_000
ROUNDS = 6
# Of the start of a Python that loads what a report needs, 0.35 s where nothing else runs: so this is a second there.
AT_MOST = 3.0
YARDSTICKS = 45  # of 10 ms; 29 were measured
# Of both threads together, so on two cores a page waits for little more than half of it: the first time of all, in a
# process that finds the days that are over, and in one that has answered before.
PAGE_AT_MOST = {"first": 70.0, "opened again": 30.0, "once more": 30.0}  # 45, 13 and 10 were measured
LOADED = "import sqlalchemy, rich.console, rich.table"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def million(request: pytest.FixtureRequest) -> Iterator[tuple[Daemon, Database]]:
    """Return who has a million requests; no daemon runs."""
    config = ""
    if request.param == "postgres":
        database = Database(url=request.getfixturevalue("the_postgres_server").new_database())
        config = f'[ledger]\nurl = "{database.url}"\n'
    person = Daemon(config=config)
    if request.param == "sqlite":
        database = Database(file=person.home / "s" / "claude-gateway" / "ledger.sqlite3")
    migrate(database)
    engine = open_for_writing(database, seconds=300)
    now = time.time()
    begin = window("30d", "", "", now, None).since  # at midnight: today is one of the 30 days
    ledger_rows.fill(engine, REQUESTS, since=begin, until=now, gateway=gateway_name(person.port))
    engine.dispose()
    yield person, database
    person.close()


def seconds(command: Sequence[str], person: Daemon) -> float:
    begun = time.monotonic()
    subprocess.run(command, env=person.environ, stdout=subprocess.DEVNULL, check=True, timeout=120)
    return time.monotonic() - begun


@pytest.mark.timeout(600)
@pytest.mark.parametrize("by", ["day", "hour", "model", "upstream", "project", "session"])
def test_it_takes_a_second(million: tuple[Daemon, Database], by: str) -> None:
    person, database = million
    bare, usage = [sys.executable, "-c", LOADED], [str(BIN / "claude-gatewayctl"), "usage", "--by", by]
    ratios = []
    for _ in range(ROUNDS):
        without, took = seconds(bare, person), seconds(usage, person)
        print(f"\n{database.shown.partition(':')[0]} by {by}: {took:.2f} s, bare {without:.2f} s")
        ratios.append(took / without)
        if min(ratios) <= AT_MOST:
            break
    assert min(ratios) <= AT_MOST


@pytest.mark.timeout(600)
def test_the_report_itself_is_for_a_page(million: tuple[Daemon, Database]) -> None:
    """A statement of PostgreSQL's is not this process's work, so there the time is what counts."""
    _, database = million
    now = time.time()
    engine = open_for_reading(database)
    amounts, times = [], []
    for _ in range(ROUNDS):
        with engine.connect() as connection, effort() as found:
            begun = time.monotonic()
            whole = report(connection, "day", window("30d", "", "", now, None), gateway=None)
            times.append(time.monotonic() - begun)
        assert whole.total.requests == REQUESTS
        amounts.append(found.amount)
        if min(amounts) <= YARDSTICKS:
            break
    print(f"\n{database.shown.partition(':')[0]}: {min(times):.2f} s, {min(amounts):.0f} yardsticks")
    assert min(amounts) <= YARDSTICKS


@pytest.mark.timeout(600)
def test_a_page_is_answered_at_once(million: tuple[Daemon, Database]) -> None:
    person, database = million
    days_file = None if database.file is None else sqlite_files.days_file(database.file)
    least: dict[str, float] = {}
    for _ in range(ROUNDS):
        if days_file is not None:
            days_file.unlink(missing_ok=True)
        for what, found in asyncio.run(_answers(person)):
            least[what] = min(found, least.get(what, found))
        if all(least[what] <= most for what, most in PAGE_AT_MOST.items()):
            break
    print(f"\n{database.shown.partition(':')[0]}, in yardsticks: {least}")
    assert {what: amount for what, amount in least.items() if amount > PAGE_AT_MOST[what]} == {}


async def _answers(person: Daemon) -> list[tuple[str, float]]:
    """Return what answers took, in yardsticks: this process does nothing else meanwhile."""
    first = History(person.environ, limits=HistoryLimits(holds=0.0))
    again = History(person.environ, limits=HistoryLimits(holds=0.0))
    found = []
    for what, one in (("first", first), ("opened again", again), ("once more", again)):
        before, begun, began = yardstick(), time.process_time(), time.monotonic()
        answer = await one.answer({"days": "30"})
        took, lasted = time.process_time() - begun, time.monotonic() - began
        print(f"\n{what}: {took:.3f} s of CPU time, {lasted:.3f} s")
        assert answer["state"] == "ok", answer["why"]
        assert answer["total"]["requests"] == REQUESTS
        found.append((what, took / max(before, yardstick())))
    return found
