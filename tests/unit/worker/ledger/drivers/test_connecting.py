"""What the writer needs of a database, on both: transactions of rows and sums, and how they fail."""

import math
import threading
from contextlib import closing

import msgspec
import pytest
from sqlalchemy import select

from claude_gatewayd.ledger import schema
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.job import job_for
from claude_gatewayd.ledger.maintenance.work import work
from claude_gatewayd.ledger.opening import open_for_reading
from claude_gatewayd.ledger.sums import sums_of
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.ledger.drivers.connecting import connect
from claude_gatewayd.worker.ledger.drivers.connection import RowsRefused, Unwritable
from claude_gatewayd.worker.ledger.drivers.once import Written, write_once
from claude_gatewayd.worker.usage.used import Used, add
from tests.unit.worker.ledger.fake_database import row, rows

FULL = UsageRecord(
    id="0198-1", started_at=1_800_000_000.25, gateway="me@here", kind="messages", status=200, session_id="s",
    agent_id="a", message_id="msg_1", project="/home/me/ünïcode 'quoted' \\ %s ? :x", client="claude-cli",
    client_version="2.1.330", model_asked="claude-opus-4-8", model_served="claude-opus-4-8", lane="anthropic",
    upstream="bedrock", transport="direct", fallback="limit", billing="aws", input_tokens=1, output_tokens=2,
    cache_read_tokens=3, cache_write_5m_tokens=4, cache_write_1h_tokens=2**40, cost=0.1, first_event_ms=12.5,
    duration_ms=99.75, request_bytes=7, answer_bytes=8, retries=2, is_stream=True, is_aborted=True,
)  # fmt: skip


@pytest.fixture
def ready(database: Database) -> Database:
    """Return a database that has its tables."""
    assert work(job_for(database, "prepare")).outcome == "done"
    return database


def content(database: Database) -> list[UsageRecord]:
    """Return the rows, and hold the sums against them."""
    with open_for_reading(database).connect() as connection:
        found = connection.execute(select(schema.requests).order_by(schema.requests.c.id)).mappings().all()
        records = [msgspec.convert({str(name): value for name, value in one.items()}, UsageRecord) for one in found]
        quarters = sorted(tuple(one) for one in connection.execute(select(schema.quarters)))
        latencies = sorted(tuple(one) for one in connection.execute(select(schema.latencies)))
    sums = sums_of(records)
    assert [one[:-1] for one in quarters] == [(*key, *added[:-1]) for key, added in sums.quarters]
    assert [one[-1] for one in quarters] == pytest.approx([added.cost for _, added in sums.quarters])
    assert latencies == [(*key, added) for key, added in sums.latencies]
    return records


def test_every_field_comes_back(ready: Database) -> None:
    plain = UsageRecord(id="0198-2", started_at=1.5, gateway="", kind="other", status=599)
    with closing(connect(ready)) as connection:
        connection.write([FULL, plain])
    assert content(ready) == [FULL, plain]


def test_sums_grow_with_each_batch(ready: Database) -> None:
    with closing(connect(ready)) as connection:
        for start in range(0, 300, 100):
            connection.write([row(number, cost=0.1, duration_ms=number * 1.0) for number in range(start, start + 100)])
    assert len(content(ready)) == 300


def test_tables_tell_their_version(database: Database) -> None:
    if database.file is not None:
        with pytest.raises(Unwritable) as failure:
            connect(database)
    else:
        with closing(connect(database)) as connection, pytest.raises(Unwritable) as failure:
            connection.is_current()
    assert failure.value.is_odd
    work(job_for(database, "prepare"))
    with closing(connect(database)) as connection:
        assert connection.is_current()
        assert connection.oldest() is None
        connection.write(rows(3, 5))
        assert connection.oldest() == row(5).started_at


def test_rows_that_are_there_change_nothing(ready: Database) -> None:
    with closing(connect(ready)) as connection:
        connection.write(rows(10))
        with pytest.raises(RowsRefused):
            connection.write(rows(10, 9))
        assert connection.known([one.id for one in rows(1200, 5)]) == {one.id for one in rows(5, 5)}
        assert write_once(connection, rows(10, 5)) == Written(5)
    assert content(ready) == rows(15)


@pytest.mark.parametrize(
    "bad",
    [
        row(2, project="\ud800"),
        row(2, input_tokens=2**70),
        row(2, started_at=math.nan),
        row(2, duration_ms=math.inf),
        row(2, project=None),
        row(2, status="x" * 3),
    ],
    ids=["surrogate", "huge", "nan", "inf", "none", "text for a number"],
)
def test_a_row_that_no_database_takes_costs_no_other(ready: Database, bad: UsageRecord) -> None:
    with closing(connect(ready)) as connection:
        written = write_once(connection, [row(0), row(1), bad, row(3)])
    assert [one for one in written_rows(ready) if one != row(2).id] == [row(number).id for number in (0, 1, 3)]
    assert written.rows + written.refused == 4


def written_rows(database: Database) -> list[str]:
    """Return the ids; SQLite takes some of what PostgreSQL does not."""
    with open_for_reading(database).connect() as connection:
        return sorted(one[0] for one in connection.execute(select(schema.requests.c.id)))


def test_text_with_a_nul_is_refused_or_kept_but_keeps_no_other(ready: Database) -> None:
    with closing(connect(ready)) as connection:
        written = write_once(connection, [row(0), row(1, model_asked="a\0b"), row(2)])
    assert written.rows + written.refused == 3
    assert {row(0).id, row(2).id} <= set(written_rows(ready))


def test_many_writers_at_once_lose_nothing(ready: Database) -> None:
    """Generations, daemons: all add to the same sums. One batch of each is given to two of them."""
    failures: list[BaseException] = []

    def writer(number: int) -> None:
        try:
            with closing(connect(ready)) as connection:
                for start in range(number * 1000, number * 1000 + 200, 20):
                    write_once(connection, rows(20, start))
                write_once(connection, rows(20, 9000))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=writer, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert len(content(ready)) == 4 * 200 + 20


def test_what_was_used_is_read_by_quarter_and_a_workers_own_rows_by_their_ids(ready: Database) -> None:
    at = 1_800_000_000.0  # a quarter begins here
    records = [
        row(1, id="0000000000aaaaaaaaa000001", started_at=at, cost=1.5, billing="subscription", input_tokens=7),
        row(2, id="0000000000aaaaaaaaa000002", started_at=at + 899, cost=2.0, billing="aws", fallback="limit"),
        row(3, id="0000000000abbbbbbbb000001", started_at=at + 900, cost=None, billing="aws", output_tokens=5),
        row(4, id="0000000000abbbbbbbb000002", started_at=at - 1, cost=8.0),
        row(5, id="0000000000abbbbbbbb000003", started_at=at, cost=8.0, gateway="another@here"),
    ]
    with closing(connect(ready)) as connection:
        connection.write(records)
        found = {int(quarter): [float(one) for one in sums] for quarter, *sums in connection.used("me@here", 2_000_000)}
        expected: dict[int, Used] = {}
        # a file is of one gateway: a machine that is called otherwise on another network keeps its budget
        add(expected, records[:3] if ready.is_postgres else [*records[:3], records[4]])
        assert found == {quarter: list(map(float, sums)) for quarter, sums in expected.items()}
        assert sorted(connection.own("bbbbbbbb", at - 60), key=lambda one: one.id) == records[2:]
        assert list(connection.own("bbbbbbbb", at + 901)) == []
