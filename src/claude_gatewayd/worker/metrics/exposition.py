"""The numbers as text. It imports prometheus_client, 30 ms and megabytes, so it is imported when somebody asks."""

import platform
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import exposition as text_exposition
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.registry import Collector

from claude_gatewayd.worker.metrics import families, loop_lag
from claude_gatewayd.worker.metrics.counts import DURATIONS, FIRST_EVENTS, Key, RequestSums
from claude_gatewayd.worker.metrics.families import MetricFamily
from claude_gatewayd.worker.metrics.numbers import Numbers

_END: Final = b"# EOF\n"
_SAMPLES_AT_ONCE: Final = 50
_TYPES: Final = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
_ENDS: Final = {"keys": "keys_end", "token": "token_ends", "access": "works_until"}

Status = Mapping[str, Any]  # of `numbers.essence`
Labels = tuple[str, ...]
Counts = Mapping[Key, RequestSums]
Bins = tuple[list[int], float]  # and the sum


class _One(Collector):
    """A single metric, as the library's encoders want it."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)


def text(
    numbers: Numbers, generation: int, now: float, *, is_openmetrics: bool, workers: int = 1, missing: int = 0
) -> Iterator[bytes]:
    """Yield the answer in pieces, each of which takes less than a millisecond to make.

    The *numbers* are of so many *workers*, and *missing* is how many have not answered.
    """
    for metric in _metrics(numbers, generation, now):
        yield from _encoded(metric, is_openmetrics=is_openmetrics)
    for family, count in ((families.WORKERS, workers), (families.MISSING, missing)):
        yield from _encoded(_gauge(family, {(): count}), is_openmetrics=is_openmetrics)
    if is_openmetrics:
        yield _END


def _encoded(metric: Metric, *, is_openmetrics: bool) -> Iterator[bytes]:
    generate: Any = openmetrics_exposition.generate_latest if is_openmetrics else text_exposition.generate_latest
    samples = metric.samples
    for begin in range(0, max(1, len(samples)), _SAMPLES_AT_ONCE):
        metric.samples = samples[begin : begin + _SAMPLES_AT_ONCE]
        piece: bytes = generate(_One(metric)).removesuffix(_END)
        yield piece if not begin else b"".join(line for line in piece.splitlines(True) if not line.startswith(b"# "))


def _metrics(numbers: Numbers, generation: int, now: float) -> Iterator[Metric]:
    """Yield each metric, made when it is asked for."""
    yield from _of_requests(numbers.counts)
    yield _histogram(families.LOOP_LAG, loop_lag.BOUNDS, {(): (numbers.lag.bins, numbers.lag.sum)})
    yield from _of_status(numbers.status, generation, now)


def _of_requests(counts: Counts) -> Iterator[Metric]:
    """Yield what is counted as requests end."""
    yield _counter(families.REQUESTS, counts, lambda key: (*_which(key), str(key.status)), lambda sums: sums.requests)
    failed = {key: sums for key, sums in counts.items() if key.status >= 400}
    yield _counter(families.FAILED, failed, _which, lambda sums: sums.requests - sums.aborted)
    yield _counter(families.ABORTED, counts, _which, lambda sums: sums.aborted)
    fallbacks = {key: sums for key, sums in counts.items() if key.reason}
    yield _counter(families.FALLBACKS, fallbacks, lambda key: (key.reason, key.model), lambda sums: sums.requests)
    yield _counter(families.RETRIES, counts, _upstream, lambda sums: sums.retries)
    tokens: dict[Labels, float] = defaultdict(float)
    for key, sums in counts.items():
        if sums.input or sums.output:
            for kind in _TYPES:
                tokens[key.upstream, key.model, key.billing, kind] += getattr(sums, kind)
    yield _counter_of(families.TOKENS, tokens)
    used = {key: sums for key, sums in counts.items() if sums.cost}
    yield _counter(families.COST, used, lambda key: (key.upstream, key.model, key.billing), lambda sums: sums.cost)
    unpriced = {key: sums for key, sums in counts.items() if sums.unpriced}
    yield _counter(families.UNPRICED, unpriced, lambda key: (key.upstream, key.model), lambda sums: sums.unpriced)
    yield _counter(families.REQUEST_BYTES, counts, _upstream, lambda sums: sums.request_bytes)
    yield _counter(families.ANSWER_BYTES, counts, _upstream, lambda sums: sums.answer_bytes)
    durations = _binned(counts, lambda key: (key.kind, key.upstream), lambda sums: (sums.durations, sums.duration))
    yield _histogram(families.DURATION, _seconds(DURATIONS), durations)
    first_events = _binned(counts, _upstream, lambda sums: (sums.first_events, sums.first_event))
    yield _histogram(families.FIRST_EVENT, _seconds(FIRST_EVENTS), first_events)


def _of_status(status: Status, generation: int, now: float) -> Iterator[Metric]:
    """Yield what `status` shows too."""
    yield _gauge(families.STREAMS, {(): status["streams"]})
    yield _gauge(families.UNDER_WAY, {(): status["under_way"]})
    yield _gauge(families.CONNECTIONS, {(): status["connections"]})
    yield _gauge(families.CIRCUITS, {(): status["circuits"]})
    yield _gauge(families.UPSTREAM_UP, dict(_up(status)))
    credentials = status["credentials"] or {}
    ends = {(name,): credentials.get(field) for name, field in _ENDS.items()}
    yield _gauge(families.CREDENTIALS, {labels: max(0.0, at - now) for labels, at in ends.items() if at is not None})
    ledger = status["ledger"]
    yield _gauge(families.LEDGER_QUEUE, {(): ledger["waiting"]})
    yield _gauge(families.LEDGER_SPILLED, {(): ledger["spilled"]})
    yield _counter_of(families.LEDGER_DROPPED, {(): ledger["dropped"]})
    yield _counter_of(families.LEDGER_WRITTEN, {(): ledger["written"]})
    if (shared := status["shared"])["state"] != "off":
        yield _gauge(families.SHARED, {(): shared["state"] == "connected"})
        yield _gauge(families.GATEWAYS, {(): shared["others"]})
    yield _gauge(families.LITELLM_READY, {(): status["litellm"]["state"] == "ready"})
    yield _gauge(families.MEMORY, {(): status["memory"] or 0})
    yield _gauge(families.STARTED, {(): status["config_loaded_at"]})
    yield _gauge(families.GENERATION, {(): generation})
    versions = (status["version"], platform.python_version(), status["litellm"]["version"])
    build = InfoMetricFamily(families.BUILD.family_name, families.BUILD.help)
    build.add_metric([], dict(zip(families.BUILD.labels, versions, strict=True)))
    yield build


def _up(status: Status) -> Iterator[tuple[Labels, float]]:
    if (state := status["anthropic"]["state"]) != "unknown":
        yield ("anthropic",), float(state == "ok")
    succeeded, failed = status["bedrock"]["last_success"], status["bedrock"]["last_failure"]
    if (succeeded, failed) != (None, None):
        yield ("bedrock",), float((succeeded or 0) >= (failed or 0))


def _which(key: Key) -> Labels:
    return key.kind, key.upstream, key.model


def _upstream(key: Key) -> Labels:
    return (key.upstream,)


def _seconds(milliseconds: Iterable[int]) -> tuple[float, ...]:
    return tuple(bound / 1000 for bound in milliseconds)


def _counter(
    family: MetricFamily, counts: Counts, labels_of: Callable[[Key], Labels], value_of: Callable[[RequestSums], float]
) -> Metric:
    """Sum up the counts that have the same labels."""
    values: dict[Labels, float] = defaultdict(float)
    for key, sums in counts.items():
        values[labels_of(key)] += value_of(sums)
    return _counter_of(family, values)


def _counter_of(family: MetricFamily, values: Mapping[Labels, float]) -> Metric:
    metric = CounterMetricFamily(family.family_name, family.help, labels=family.labels)
    for labels, value in values.items():
        metric.add_metric(labels, value)
    return metric


def _gauge(family: MetricFamily, values: Mapping[Labels, float]) -> Metric:
    metric = GaugeMetricFamily(family.family_name, family.help, labels=family.labels)
    for labels, value in values.items():
        metric.add_metric(labels, float(value))
    return metric


def _binned(
    counts: Counts, labels_of: Callable[[Key], Labels], bins_of: Callable[[RequestSums], Bins]
) -> dict[Labels, Bins]:
    """Sum up bins, and milliseconds as seconds."""
    found: dict[Labels, Bins] = {}
    for key, sums in counts.items():
        bins, milliseconds = bins_of(sums)
        if any(bins):
            before, seconds = found.get(labels_of(key), ([0] * len(bins), 0.0))
            total = [one + other for one, other in zip(before, bins, strict=True)]
            found[labels_of(key)] = total, seconds + milliseconds / 1000
    return found


def _histogram(family: MetricFamily, bounds: Iterable[float], values: Mapping[Labels, Bins]) -> Metric:
    names = [*(str(bound) for bound in bounds), "+Inf"]
    metric = HistogramMetricFamily(family.family_name, family.help, labels=family.labels)
    for labels, (bins, total) in values.items():
        below, buckets = 0, []
        for name, count in zip(names, bins, strict=True):
            below += count
            buckets.append((name, float(below)))
        metric.add_metric(labels, buckets, total)
    return metric
