"""Usage records, and a ledger that has some."""

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import insert

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.opening import open_for_writing
from claude_gatewayd.ledger.schema import key_quarters, latencies, quarters, requests
from claude_gatewayd.ledger.sums import sums_of
from claude_gatewayd.ledger.usage_record import UsageRecord

_number = itertools.count(1)


def usage_record(started_at: float, **more: Any) -> UsageRecord:
    """Return a request's record, one with tokens unless *more* says otherwise."""
    usual: dict[str, Any] = {
        "id": f"{int(started_at * 1000):011x}-{next(_number):06x}",
        "gateway": "me@here",
        "kind": "messages",
        "status": 200,
        "model_served": "claude-opus-4-8",
        "upstream": "anthropic",
        "input_tokens": 10,
        "output_tokens": 20,
        "cost": 0.5,
        "duration_ms": 1000.0,
        "is_stream": True,
    }
    return UsageRecord(started_at=started_at, **{**usual, **more})


def put(database: Database, records: Sequence[UsageRecord]) -> None:
    """Write records and their sums into tables that exist. The sums' rows must be new."""
    sums = sums_of(records)
    with open_for_writing(database).begin() as connection:
        connection.execute(insert(requests), [msgspec.structs.asdict(record) for record in records])
        if sums.quarters:
            connection.execute(insert(quarters), [{**k._asdict(), **v._asdict()} for k, v in sums.quarters])
            if sums.key_quarters:
                rows = [{**k._asdict(), **v._asdict()} for k, v in sums.key_quarters]
                connection.execute(insert(key_quarters), rows)
            connection.execute(insert(latencies), [{**k._asdict(), "requests": v} for k, v in sums.latencies])
