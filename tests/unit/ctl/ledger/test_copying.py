"""Rows are copied from one ledger to another, each once."""

import itertools
from pathlib import Path

import pytest
from sqlalchemy import event, func, select

from claude_gatewayd.ctl.ledger import agreement, copying
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import open_for_reading, open_for_writing
from claude_gatewayd.ledger.schema import key_quarters, key_secrets, keys, latencies, quarters, requests
from claude_gatewayd.ledger.usage_record import UsageRecord
from tests.support.postgres import PostgresServer
from tests.support.usage_records import put, usage_record

NOW = 1_800_000_123.0


def records(count: int, *, after: float = NOW) -> list[UsageRecord]:
    """Return some of each kind, some with a first event, of several hours."""
    kinds = itertools.cycle(("messages", "count_tokens", "openai"))
    return [
        usage_record(after + 40 * number, kind=next(kinds), first_event_ms=float(number) if number % 2 else None)
        for number in range(count)
    ]


def rows(database: Database) -> list[UsageRecord]:
    with open_for_reading(database).connect() as connection:
        return [copying.as_record(row) for row in connection.execute(select(requests).order_by(requests.c.id))]


@pytest.fixture
def source(tmp_path: Path) -> Database:
    file = Database(file=tmp_path / "old" / "ledger.sqlite3")
    migrate(file)
    return file


def test_all_of_it_and_then_what_is_missing(
    source: Database, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(database)
    first, later = records(250), records(50, after=NOW + 90_000)
    put(source, first)
    heard: list[tuple[int, int]] = []
    monkeypatch.setattr(copying, "CHUNK", 100)
    assert copying.copy_missing(source, database, lambda *how: heard.append(how)) == 250
    assert heard == [(100, 100), (200, 200), (250, 250), (250, 250)]
    put(source, later)
    assert copying.copy_missing(source, database, lambda *_: None) == 50
    assert copying.copy_missing(source, database, lambda *_: None) == 0
    assert rows(database) == rows(source) == [*first, *later]
    assert agreement.differing(open_for_reading(database)) == []


def test_sums_are_added_to_those_of_others_in_the_same_quarter(source: Database, database: Database) -> None:
    migrate(database)
    put(database, [usage_record(NOW, input_tokens=1), usage_record(NOW, gateway="other@there")])
    put(source, [usage_record(NOW, input_tokens=5)])
    copying.copy_missing(source, database, lambda *_: None)
    with open_for_reading(database).connect() as connection:
        mine = quarters.c.gateway == "me@here"
        assert connection.execute(select(quarters.c.requests, quarters.c.input_tokens).where(mine)).all() == [(2, 6)]
        assert connection.scalar(select(func.sum(latencies.c.requests))) == 3
    assert agreement.differing(open_for_reading(database)) == []


def test_one_that_another_writes_at_the_same_moment_is_there_once(source: Database, postgres: PostgresServer) -> None:
    """A daemon replays its spill file between the look and the insert; SQLite has one writer at a time."""
    database = Database(url=postgres.new_database())
    migrate(database)
    both = usage_record(NOW)
    put(source, [both, usage_record(NOW + 1)])
    engine, others = open_for_writing(database), [both]

    def replay(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if others and "INTO claude_gateway.requests" in statement:
            put(database, [others.pop()])

    event.listen(engine, "before_cursor_execute", replay)
    assert copying.add(engine, rows(source)) == 1
    assert others == []
    assert len(rows(database)) == 2
    assert agreement.differing(open_for_reading(database)) == []


def test_a_text_that_postgresql_does_not_take(source: Database, database: Database) -> None:
    migrate(database)
    put(source, [usage_record(NOW, model_asked="a\0b")])
    assert copying.copy_missing(source, database, lambda *_: None) == 1
    assert rows(database)[0].model_asked == ("a\0b" if database.file else "a\N{REPLACEMENT CHARACTER}b")


def test_named_keys_are_copied_but_for_names_that_are_there(source: Database, database: Database) -> None:
    migrate(database)
    for there, names in ((source, ("alice", "bob")), (database, ("bob",))):
        with open_for_writing(there).begin() as connection:
            for name in names:
                connection.execute(keys.insert(), {"name": name, "created_at": NOW, "monthly_budget": 5.0})
                digest = f"{name} of {there.is_postgres or there.file}"
                connection.execute(key_secrets.insert(), {"digest": digest, "name": name, "created_at": NOW})
    assert copying.copy_keys(source, database) == 1
    assert copying.copy_keys(source, database) == 0
    with open_for_reading(database).connect() as connection:
        found = [
            tuple(row) for row in connection.execute(select(keys.c.name, keys.c.monthly_budget).order_by(keys.c.name))
        ]
        secrets = {row.name: row.digest for row in connection.execute(select(key_secrets))}
    assert found == [("alice", 5.0), ("bob", 5.0)]
    assert secrets == {"alice": f"alice of {source.file}", "bob": f"bob of {database.is_postgres or database.file}"}


def test_sums_by_key_are_copied(source: Database, database: Database) -> None:
    migrate(database)
    put(source, [usage_record(NOW, key_name="alice"), usage_record(NOW + 1)])
    assert copying.copy_missing(source, database, lambda *_: None) == 2
    with open_for_reading(database).connect() as connection:
        assert connection.scalars(select(key_quarters.c.requests)).all() == [1]
    assert agreement.differing(open_for_reading(database)) == []
