"""Sums of usage records: the rows of `schema.quarters` and `schema.latencies` that go with rows of `requests`."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from claude_gatewayd.ledger.latency import bin_of
from claude_gatewayd.ledger.usage_record import Kind, UsageRecord

QUARTER = 900  # seconds
QUARTERS_OF_AN_HOUR = 4
KINDS: frozenset[Kind] = frozenset(("messages", "invoke", "openai"))  # those that use tokens


class QuarterKey(NamedTuple):
    """The key of `schema.quarters`."""

    quarter: int
    gateway: str
    upstream: str
    transport: str
    model: str
    project: str
    billing: str
    fallback: str


class QuarterSums(NamedTuple):
    """The other columns of `schema.quarters`."""

    requests: int
    failures: int
    aborted: int
    unpriced: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    cost: float


class LatencyKey(NamedTuple):
    """The key of `schema.latencies`, whose other column is how many requests there were.

    *quarter* is the first one of an hour: of a million requests, quarters would have three times as many rows, which
    percentiles of a day gain nothing from.
    """

    quarter: int
    gateway: str
    upstream: str
    measure: str
    bin: int


class Sums(NamedTuple):
    """What some requests add to both tables. Sorted: two who write the same rows in the same order cannot deadlock."""

    quarters: list[tuple[QuarterKey, QuarterSums]]
    latencies: list[tuple[LatencyKey, int]]


def sums_of(records: Iterable[UsageRecord]) -> Sums:
    """Return what these requests add."""
    quarters: dict[QuarterKey, list[UsageRecord]] = defaultdict(list)
    latencies: Counter[LatencyKey] = Counter()
    for record in records:
        if record.kind not in KINDS:
            continue
        quarter, gateway, upstream = int(record.started_at // QUARTER), record.gateway, record.upstream
        model = record.model_served or record.model_asked
        who = (record.transport, model, record.project, record.billing, record.fallback)
        quarters[QuarterKey(quarter, gateway, upstream, *who)].append(record)
        hour = quarter - quarter % QUARTERS_OF_AN_HOUR
        latencies[LatencyKey(hour, gateway, upstream, "duration", bin_of(record.duration_ms))] += 1
        if record.first_event_ms is not None:
            latencies[LatencyKey(hour, gateway, upstream, "first_event", bin_of(record.first_event_ms))] += 1
    return Sums(sorted((key, _sum(alike)) for key, alike in quarters.items()), sorted(latencies.items()))


def _sum(records: list[UsageRecord]) -> QuarterSums:
    return QuarterSums(
        requests=len(records),
        failures=sum(record.status >= 400 and not record.is_aborted for record in records),
        aborted=sum(record.is_aborted for record in records),
        unpriced=sum(record.cost is None for record in records),
        input_tokens=sum(record.input_tokens for record in records),
        output_tokens=sum(record.output_tokens for record in records),
        cache_read_tokens=sum(record.cache_read_tokens for record in records),
        cache_write_5m_tokens=sum(record.cache_write_5m_tokens for record in records),
        cache_write_1h_tokens=sum(record.cache_write_1h_tokens for record in records),
        cost=sum(record.cost or 0.0 for record in records),
    )
