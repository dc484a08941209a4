"""What is older than `keep_days` goes by itself: the worker has its child remove it."""

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from claude_gatewayd import paths
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import open_for_reading
from claude_gatewayd.ledger.schema import requests
from tests.support.daemon import Daemon, wait_until
from tests.support.usage_records import put, usage_record

DAY = 86400.0


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """Return a daemon that keeps 30 days. It is not started."""
    daemon = Daemon(config="[ledger]\nkeep_days = 30\n")
    try:
        yield daemon
    finally:
        daemon.close()


def filled(daemon: Daemon, *ages: float) -> Database:
    """Fill its ledger with requests that are so many days old."""
    database = Database(file=paths.ledger_file(daemon.environ))
    migrate(database)
    put(database, [usage_record(time.time() - age * DAY) for age in ages])
    return database


def days(database: Database) -> list[int]:
    """Return how old the requests for messages are."""
    with open_for_reading(database).connect() as connection:
        begun = connection.scalars(select(requests.c.started_at).where(requests.c.kind == "messages"))
        return sorted(round((time.time() - at) / DAY) for at in begun)


def test_old_rows_are_gone_soon_after_the_start(daemon: Daemon) -> None:
    database = filled(daemon, 400, 40, 29, 2)
    daemon.spawn()
    daemon.wait_serving()
    wait_until(
        lambda: "the ledger is pruned: 2 rows older than 30 days are gone" in daemon.log, describe=daemon.describe
    )
    assert days(database) == [2, 29]


def test_a_clock_that_has_leapt_years_ahead_costs_no_row(daemon: Daemon) -> None:
    database = filled(daemon, 1900, 1800)
    daemon.spawn()
    daemon.wait_serving()
    wait_until(lambda: "cannot prune the ledger: " in daemon.log, describe=daemon.describe)
    [line] = [line for line in daemon.log.splitlines() if "cannot prune the ledger" in line]
    assert "the clock may be wrong" in line
    assert line.endswith("(run: claude-gatewayctl ledger prune --keep-days 30)")
    assert days(database) == [1800, 1900]
    assert daemon.status()["ledger"]["state"] == "ok"
