"""A ledger in memory, its requests, and a clock that a test moves: for what is used."""

from typing import Any

from sqlalchemy import create_engine, insert
from sqlalchemy.pool import StaticPool

from claude_gatewayd.ledger import schema
from claude_gatewayd.ledger.sums import sums_of
from claude_gatewayd.ledger.usage_record import Billing, Kind, UsageRecord
from claude_gatewayd.worker.usage import used
from claude_gatewayd.worker.usage.totals import UsageTotals

NOON = 1_796_040_000.0  # Tue 30 Nov 2026, 12:00 UTC
DAY = 86400.0
GATEWAY = "me@here"


class Clock:
    """Time that a test moves."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


_numbers = iter(range(10**6))


def request(
    at: float = NOON,
    cost: float | None = 1.0,
    billing: Billing = "subscription",
    *,
    kind: Kind = "messages",
    fallback: str = "",
    worker: str = "aaaaaaaa",
    gateway: str = GATEWAY,
) -> UsageRecord:
    number = f"{int(at * 1000):011x}{worker}{next(_numbers):06x}"
    return UsageRecord(
        id=number, started_at=at, gateway=gateway, kind=kind, status=200, cost=cost, billing=billing,
        fallback=fallback, input_tokens=5, output_tokens=4, cache_read_tokens=3, cache_write_5m_tokens=2,
        cache_write_1h_tokens=1,
    )  # fmt: skip


class Database:
    """A ledger with its sums."""

    def __init__(self) -> None:
        self._engine = create_engine("sqlite://", poolclass=StaticPool)
        schema.metadata.create_all(self._engine)
        self._rows: list[UsageRecord] = []

    def write(self, *records: UsageRecord) -> None:
        self._rows += records
        with self._engine.begin() as connection:
            for key, sums in sums_of(records).quarters:
                connection.execute(insert(schema.quarters).values(key._asdict() | sums._asdict()))

    def own(self, worker: str, since: float) -> list[UsageRecord]:
        return [row for row in self._rows if row.id[11:19] == worker and row.started_at >= since]

    def used(self, gateway: str, since: int) -> list[Any]:
        raw: Any = self._engine.raw_connection()
        columns = ", ".join(used.COLUMNS)
        text = f"SELECT quarter, {columns} FROM quarters WHERE gateway = ? AND quarter >= ? GROUP BY quarter"
        found: list[Any] = raw.execute(text, (gateway, since)).fetchall()
        return found


def today(totals: UsageTotals) -> tuple[int, float]:
    found = totals.snapshot()
    return found["requests"], found["cost"]
