"""A ledger as a daemon leaves it, with three days of requests, for who has to read one."""

from datetime import UTC, datetime
from pathlib import Path

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import open_for_writing
from claude_gatewayd.ledger.usage_record import UsageRecord
from tests.support import ledger_rows

_BEGIN = datetime(2026, 10, 24, 22, 30, tzinfo=UTC).timestamp()  # 00:30 in Berlin, on a day of 25 hours
_EACH = 1800.0


def make(file: Path) -> None:
    """Write the file: 100 requests, one each half hour."""
    database = Database(file=file)
    migrate(database)
    engine = open_for_writing(database)
    ledger_rows.write(engine, [_request(number) for number in range(100)])
    engine.dispose()


def _request(number: int) -> UsageRecord:
    falls, is_mine = number % 10 == 0, number % 33 == 1
    return UsageRecord(
        id=f"{number:020}",
        started_at=_BEGIN + number * _EACH,
        gateway="ada@laptop",
        kind="messages",
        status=529 if number == 50 else 200,
        session_id=f"0{number % 3}b2f7de-5eb2-4c19-9d0e-1a2b3c4d5e6f",
        message_id=f"msg_{number}",
        project=("thesis", "website", "")[number % 3],
        model_asked="claude-opus-5-5",
        model_served="mine" if is_mine else "claude-opus-5-5",
        upstream="bedrock" if falls else "anthropic",
        fallback=("overloaded" if number % 20 else "limit") if falls else "",
        billing="aws" if falls else "other" if is_mine else "subscription",
        input_tokens=100,
        output_tokens=250,
        cache_read_tokens=20_000,
        cache_write_5m_tokens=1_000,
        cost=None if is_mine else 0.125,
        first_event_ms=None if is_mine else 800.0 + number,
        duration_ms=5000.0 + 10 * number,
        is_stream=not is_mine,
    )
