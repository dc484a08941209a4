"""Sums that are not those of their requests are found, and computed anew."""

import pytest
from sqlalchemy import delete, select, text, update

from claude_gatewayd.ctl.ledger import agreement
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import open_for_reading, open_for_writing
from claude_gatewayd.ledger.schema import key_quarters, latencies, quarters, requests
from tests.support.usage_records import put, usage_record

HOUR = 500_000
AT = HOUR * 3600.0


@pytest.fixture
def ledger(database: Database) -> Database:
    migrate(database)
    put(
        database,
        [
            usage_record(AT + 899.99, cost=0.1, first_event_ms=3.0),
            usage_record(AT + 900, cost=None),
            usage_record(AT + 3599.9),
            usage_record(AT + 3600, kind="openai", key_name="alice"),
            usage_record(AT + 2 * 3600, kind="count_tokens"),
        ],
    )
    return database


def test_what_is_written_agrees(ledger: Database) -> None:
    assert agreement.differing(open_for_reading(ledger)) == []


@pytest.mark.parametrize(
    ("change", "hours"),
    [
        (update(quarters).where(quarters.c.quarter == 4 * HOUR).values(requests=9), [HOUR]),
        (update(quarters).where(quarters.c.quarter == 4 * HOUR + 4).values(output_tokens=9), [HOUR + 1]),
        (update(quarters).values(cost=77.0), [HOUR, HOUR + 1]),
        (update(latencies).where(latencies.c.measure == "first_event").values(requests=2), [HOUR]),
        (delete(latencies).where(latencies.c.measure == "first_event"), [HOUR]),
        (update(key_quarters).values(requests=2), [HOUR + 1]),
        (update(key_quarters).values(quarter=4 * HOUR), [HOUR, HOUR + 1]),
        (delete(key_quarters), [HOUR + 1]),
        (delete(latencies), [HOUR, HOUR + 1]),
        (delete(quarters), [HOUR, HOUR + 1]),
        (delete(requests), [HOUR, HOUR + 1]),
        (delete(requests).where(requests.c.kind == "count_tokens"), []),
    ],
)
def test_what_differs_is_found_and_repaired(ledger: Database, change: object, hours: list[int]) -> None:
    def sums() -> list[object]:
        with open_for_reading(ledger).connect() as connection:
            return [
                row
                for table in (quarters, key_quarters, latencies)
                for row in connection.execute(select(table).order_by(*table.primary_key))
            ]

    before = sums()
    with open_for_writing(ledger).begin() as connection:
        connection.execute(change)  # type: ignore[call-overload]
        left = connection.scalar(select(text("count(*)")).select_from(requests))
    found = agreement.differing(open_for_reading(ledger))
    assert found == hours
    heard: list[int] = []
    agreement.repair(open_for_writing(ledger), found, heard.append)
    assert heard == list(range(1, len(hours) + 1))
    assert agreement.differing(open_for_reading(ledger)) == []
    assert sums() == (before if left else [])
