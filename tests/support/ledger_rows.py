"""Fill a ledger as the writer would: requests with the sums by quarter and the bins of their durations."""

import random
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg
from sqlalchemy import Engine

from claude_gatewayd.ledger import schema
from claude_gatewayd.ledger.latency import bin_of
from claude_gatewayd.ledger.sums import QUARTER, QUARTERS_OF_AN_HOUR, sums_of
from claude_gatewayd.ledger.usage_record import UsageRecord

COLUMNS = UsageRecord.__struct_fields__
GATEWAY = "ada@laptop"
_SORTS = 4096  # different requests, of which all others are copies at other times
_ID, _AT = COLUMNS.index("id"), COLUMNS.index("started_at")
_SUMMED = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
Row = tuple[Any, ...]


def write(engine: Engine, records: Iterable[UsageRecord]) -> None:
    """Write these requests into the tables, whose sums are empty."""
    found = list(records)
    sums = sums_of(found)
    rows = {
        schema.requests: [{name: getattr(record, name) for name in COLUMNS} for record in found],
        schema.quarters: [key._asdict() | row._asdict() for key, row in sums.quarters],
        schema.latencies: [key._asdict() | {"requests": number} for key, number in sums.latencies],
    }
    with engine.begin() as connection:
        for table, values in rows.items():
            if values:
                connection.execute(table.insert(), values)


def fill(engine: Engine, count: int, *, since: float, until: float, gateway: str = GATEWAY) -> None:
    """Write *count* different requests, spread evenly over a time, into empty tables: a million in 15 s."""
    draw = random.Random(count)
    sorts = [_sort(draw, gateway) for _ in range(_SORTS)]
    quarters: dict[Row, list[float]] = defaultdict(lambda: [0.0] * 10)
    latencies: Counter[Row] = Counter()
    step = (until - since) / max(1, count)

    def rows() -> Iterator[Row]:
        for number in range(count):
            record, row, key, sums, bins = sorts[number * 2654435761 % _SORTS]
            at = since + number * step
            quarter = int(at // QUARTER)
            total = quarters[quarter, *key]
            for index, value in enumerate(sums):
                total[index] += value
            for measure, its_bin in bins:
                latencies[quarter - quarter % QUARTERS_OF_AN_HOUR, gateway, record.upstream, measure, its_bin] += 1
            row[_ID] = f"{int(at * 1000):011x}{number:013x}"
            row[_AT] = at
            yield tuple(row)

    raw = engine.raw_connection()
    try:
        inner: Any = raw.driver_connection
        inner.cursor().execute("BEGIN")
        _write(inner, "requests", COLUMNS, rows())
        names = [column.name for column in schema.quarters.columns]
        _write(inner, "quarters", names, ((*key, *map(int, sums[:-1]), sums[-1]) for key, sums in quarters.items()))
        names = [column.name for column in schema.latencies.columns]
        _write(inner, "latencies", names, ((*key, number) for key, number in sorted(latencies.items())))
        inner.commit()
        analyze = inner.cursor()
        analyze.execute("ANALYZE")
        inner.commit()
    finally:
        raw.close()


def _write(connection: Any, table: str, columns: Sequence[str], rows: Iterator[Row]) -> None:
    if isinstance(connection, sqlite3.Connection):
        places = ", ".join("?" * len(columns))
        connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)
        return
    assert isinstance(connection, psycopg.Connection)
    with connection.cursor().copy(f"COPY {schema.SCHEMA}.{table} ({', '.join(columns)}) FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(row)


def _sort(draw: random.Random, gateway: str) -> tuple[UsageRecord, list[Any], Row, tuple[float, ...], list[Any]]:
    """Return a request with its row, its key in `quarters` without the quarter, its share there, and its bins."""
    model = draw.choices(("claude-opus-5-5", "claude-sonnet-5", "claude-haiku-4-5", "unheard-of"), (60, 25, 14, 1))[0]
    falls = draw.random() < 0.05
    billing: Any = "aws" if falls else draw.choices(("subscription", "api"), (9, 1))[0]
    fails = draw.random() < 0.02
    tokens: dict[str, Any] = {
        name: int(draw.lognormvariate(mean, 1.0)) for name, mean in zip(_SUMMED, (5, 6, 10, 7, 4), strict=True)
    }
    record = UsageRecord(
        id="",
        started_at=0.0,
        gateway=gateway,
        kind="messages",
        status=529 if fails else 200,
        session_id=f"{draw.randrange(400):08x}-5eb2-4c19-9d0e-000000000000",
        project=draw.choice(("gateway", "website", "thesis", "")),
        client="claude-cli",
        client_version="2.1.330",
        model_asked=model,
        model_served=model,
        lane="anthropic",
        upstream="bedrock" if falls else "anthropic",
        transport="direct" if falls else "",
        fallback=draw.choice(("overloaded", "limit", "timeout", "circuit")) if falls else "",
        billing=billing,
        cost=None if model == "unheard-of" else round(draw.lognormvariate(-4, 1.0), 6),
        first_event_ms=round(draw.lognormvariate(7, 0.6), 1),
        duration_ms=round(draw.lognormvariate(9, 0.8), 1),
        request_bytes=120_000,
        answer_bytes=9_000,
        is_stream=True,
        is_aborted=draw.random() < 0.01,
        **(dict.fromkeys(_SUMMED, 0) if fails else tokens),
    )
    key = (gateway, record.upstream, record.transport, model, record.project, record.billing, record.fallback)
    failed = record.status >= 400 and not record.is_aborted
    sums = (1, int(failed), int(record.is_aborted), int(record.cost is None),
            *(getattr(record, name) for name in _SUMMED), record.cost or 0.0)  # fmt: skip
    bins = [("duration", bin_of(record.duration_ms)), ("first_event", bin_of(record.first_event_ms or 0.0))]
    return record, [getattr(record, name) for name in COLUMNS], key, sums, bins
