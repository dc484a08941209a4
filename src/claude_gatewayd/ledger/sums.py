"""Sums of usage records: the rows of `schema.quarters` and `schema.latencies` that go with rows of `requests`."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from claude_gatewayd.ledger.latency import bins_of
from claude_gatewayd.ledger.usage_record import Kind, UsageRecord

QUARTER = 900  # seconds
QUARTERS_OF_AN_HOUR = 4
HOUR = QUARTER * QUARTERS_OF_AN_HOUR
KINDS: frozenset[Kind] = frozenset(("messages", "invoke", "openai"))  # those that use tokens


def quarter_of(at: float) -> int:
    """Return the quarter of an hour that a time is in."""
    return int(at // QUARTER)


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


class KeyQuarterKey(NamedTuple):
    """The key of `schema.key_quarters`."""

    quarter: int
    key_name: str
    gateway: str
    upstream: str
    transport: str
    model: str
    project: str
    billing: str
    fallback: str


class QuarterSums(NamedTuple):
    """The other columns of `schema.quarters`, and of `schema.key_quarters`."""

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
    """What some requests add to the tables. Sorted: two who write the same rows in the same order cannot deadlock."""

    quarters: list[tuple[QuarterKey, QuarterSums]]
    latencies: list[tuple[LatencyKey, int]]
    key_quarters: Sequence[tuple[KeyQuarterKey, QuarterSums]] = ()


def sums_of(records: Iterable[UsageRecord]) -> Sums:
    """Return what these requests add.

    Written out, with keys made once: the writer's thread does it for each row, and meanwhile no request is served.
    """
    quarters: dict[tuple[int, str, str, str, str, str, str, str], list[UsageRecord]] = defaultdict(list)
    keyed: dict[tuple[str, tuple[int, str, str, str, str, str, str, str]], list[UsageRecord]] = defaultdict(list)
    for record in records:
        if record.kind in KINDS:
            model = record.model_served or record.model_asked
            key = (
                int(record.started_at // QUARTER), record.gateway, record.upstream, record.transport, model,
                record.project, record.billing, record.fallback,
            )  # fmt: skip
            quarters[key].append(record)
            if record.key_name:
                keyed[record.key_name, key].append(record)
    durations: dict[tuple[int, str, str, str], list[float]] = defaultdict(list)
    for (quarter, gateway, upstream, *_), alike in quarters.items():
        hour = quarter - quarter % QUARTERS_OF_AN_HOUR
        durations[hour, gateway, upstream, "duration"] += [record.duration_ms for record in alike]
        if first_events := [record.first_event_ms for record in alike if record.first_event_ms is not None]:
            durations[hour, gateway, upstream, "first_event"] += first_events
    latencies = [
        (LatencyKey(*key, number), count)
        for key, times in durations.items()
        for number, count in bins_of(times).items()
    ]
    return Sums(
        sorted((QuarterKey(*key), _sum(alike)) for key, alike in quarters.items()),
        sorted(latencies),
        sorted((KeyQuarterKey(key[0], name, *key[1:]), _sum(alike)) for (name, key), alike in keyed.items()),
    )


def _sum(records: list[UsageRecord]) -> QuarterSums:
    failures = aborted = unpriced = sent = output = read = write_5m = write_1h = 0
    total = 0.0
    for record in records:
        if record.is_aborted:
            aborted += 1
        elif record.status >= 400:
            failures += 1
        sent += record.input_tokens
        output += record.output_tokens
        read += record.cache_read_tokens
        write_5m += record.cache_write_5m_tokens
        write_1h += record.cache_write_1h_tokens
        if (cost := record.cost) is None:
            unpriced += 1
        else:
            total += cost
    return QuarterSums(len(records), failures, aborted, unpriced, sent, output, read, write_5m, write_1h, total)
