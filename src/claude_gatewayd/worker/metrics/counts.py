"""Plain counters of requests that ended. On the path of every request: no locks, no objects of a library."""

from bisect import bisect_left
from collections.abc import Callable
from typing import Final, NamedTuple

from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.metrics.model_labels import OTHER

# In milliseconds, as usage records have them; the last bin of each is for what takes longer.
DURATIONS: Final = (50, 100, 250, 500, 1000, 2500, 5000, 10_000, 20_000, 40_000, 60_000, 120_000, 300_000, 600_000)
FIRST_EVENTS: Final = (100, 250, 500, 1000, 1500, 2000, 3000, 5000, 7500, 10_000, 20_000, 30_000, 60_000, 120_000)
_MOST_KEYS: Final = 500
_MOST_FOUND: Final = 1000  # a caller may make up names


class Key(NamedTuple):
    """What requests are told apart by."""

    kind: str
    upstream: str
    model: str
    status: int
    billing: str
    reason: str


class RequestSums:
    """The sums of the requests of a key."""

    __slots__ = (
        "aborted", "answer_bytes", "cache_read", "cache_write_1h", "cache_write_5m", "cost", "duration", "durations",
        "first_event", "first_events", "input", "output", "request_bytes", "requests", "retries", "unpriced",
    )  # fmt: skip

    def __init__(self) -> None:
        self.requests = self.aborted = self.unpriced = self.retries = 0
        self.input = self.output = self.cache_read = self.cache_write_5m = self.cache_write_1h = 0
        self.request_bytes = self.answer_bytes = 0
        self.cost = self.duration = self.first_event = 0.0
        self.durations = [0] * (len(DURATIONS) + 1)
        self.first_events = [0] * (len(FIRST_EVENTS) + 1)


class RequestCounts:
    """Sums of all requests since the generation began; *label* returns the label of a model at an upstream."""

    def __init__(self, label: Callable[[str, str], str]) -> None:
        self._label = label
        self.by_key: dict[Key, RequestSums] = {}
        self._found: dict[tuple[object, ...], RequestSums] = {}  # by what a record has, before a label is looked up

    def note(self, record: UsageRecord) -> None:
        """Count a request that ended."""
        model = record.model_served or record.model_asked
        has = (record.kind, record.upstream, model, record.status, record.billing, record.fallback)
        sums = self._found.get(has)
        if sums is None:
            sums = self._find(has, record, model)
        sums.requests += 1
        duration = record.duration_ms
        sums.duration += duration
        sums.durations[bisect_left(DURATIONS, duration)] += 1
        sums.request_bytes += record.request_bytes
        sums.answer_bytes += record.answer_bytes
        if record.retries:
            sums.retries += record.retries
        if record.is_aborted:
            sums.aborted += 1
        if (first_event := record.first_event_ms) is not None:
            sums.first_event += first_event
            sums.first_events[bisect_left(FIRST_EVENTS, first_event)] += 1
        if (cost := record.cost) is None:
            sums.unpriced += 1
        elif cost:
            sums.cost += cost
        if record.output_tokens or record.input_tokens:
            sums.input += record.input_tokens
            sums.output += record.output_tokens
            sums.cache_read += record.cache_read_tokens
            sums.cache_write_5m += record.cache_write_5m_tokens
            sums.cache_write_1h += record.cache_write_1h_tokens

    def _find(self, has: tuple[object, ...], record: UsageRecord, model: str) -> RequestSums:
        """Find the sums of a record's key; above a limit, those of one that stands for many."""
        label = self._label(model, record.upstream)
        key = Key(record.kind, record.upstream, label, record.status, record.billing, record.fallback)
        if key not in self.by_key and len(self.by_key) >= _MOST_KEYS:
            key = Key(key.kind, key.upstream, OTHER, key.status // 100 * 100, "", key.reason and OTHER)
        if len(self._found) >= _MOST_FOUND:
            self._found.clear()
        sums = self._found[has] = self.by_key.setdefault(key, RequestSums())
        return sums
