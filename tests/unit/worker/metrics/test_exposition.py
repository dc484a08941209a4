"""The text against the parsers of prometheus_client, and Prometheus' own linter where it is installed."""

import math
import shutil
import subprocess
import time
from collections.abc import Iterable
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from claude_gatewayd.worker.metrics import exposition, families
from claude_gatewayd.worker.metrics.counts import RequestCounts
from claude_gatewayd.worker.metrics.loop_lag import LoopLag
from claude_gatewayd.worker.metrics.numbers import Numbers, essence
from tests.support.answered import record
from tests.support.worker_status import NOW, STATUS

EMPTY = STATUS | {
    "circuits": [],
    "shared": {"state": "off", "others": []},
    "credentials": None,
    "memory": None,
    "anthropic": {"state": "unknown"},
    "bedrock": {"last_success": None, "last_failure": None},
}


def counted() -> RequestCounts:
    counts = RequestCounts(lambda model, upstream: model)
    for _ in range(2):
        counts.note(record())
    counts.note(record(status=529, retries=2, cost=None, first_event_ms=None, output_tokens=0, input_tokens=0))
    counts.note(record(status=499, is_aborted=True))
    counts.note(record(upstream="bedrock", fallback="limit", billing="aws", duration_ms=1e9))
    counts.note(record(kind="other", upstream="none", model_served='odd "name"\\\n', status=404, cost=0.0))
    return counts


def text(*, is_openmetrics: bool, counts: RequestCounts | None = None, status: Any = STATUS) -> str:
    lag = LoopLag()
    lag.note(0.0007)
    lag.note(3.0)
    numbers = Numbers((counts or counted()).by_key, lag, essence(status))
    pieces = exposition.text(numbers, 3, NOW, is_openmetrics=is_openmetrics)
    return b"".join(pieces).decode()


def parsed(found: str, *, is_openmetrics: bool) -> list[Metric]:
    parse: Any = parse_openmetrics if is_openmetrics else parse_text
    return list(parse(found))


def value(metrics: Iterable[Metric], name: str, **labels: str) -> float | None:
    samples = [sample for metric in metrics for sample in metric.samples]
    found = [sample.value for sample in samples if sample.name == f"claude_gateway_{name}" and sample.labels == labels]
    assert len(found) <= 1
    return found[0] if found else None


both = pytest.mark.parametrize("is_openmetrics", [True, False])


@both
def test_numbers(is_openmetrics: bool) -> None:
    found = parsed(text(is_openmetrics=is_openmetrics), is_openmetrics=is_openmetrics)
    which = {"kind": "messages", "upstream": "anthropic", "model": "claude-opus-5-5"}
    opus = {"upstream": "anthropic", "model": "claude-opus-5-5"}
    assert value(found, "requests_total", **which, status="200") == 2
    assert value(found, "requests_total", **which, status="529") == 1
    assert value(found, "failed_requests_total", **which) == 1
    assert value(found, "aborted_requests_total", **which) == 1
    assert value(found, "fallbacks_total", reason="limit", model="claude-opus-5-5") == 1
    assert value(found, "retries_total", upstream="anthropic") == 2
    assert value(found, "tokens_total", **opus, billing="api", type="cache_write_1h") == 150
    assert value(found, "cost_usd_total", **opus, billing="api") == 1.5
    assert value(found, "cost_usd_total", upstream="bedrock", model="claude-opus-5-5", billing="aws") == 0.5
    assert value(found, "unpriced_requests_total", **opus) == 1
    assert value(found, "answer_bytes_total", upstream="anthropic") == 800
    timed = {"kind": "messages", "upstream": "anthropic"}
    assert value(found, "request_duration_seconds_bucket", **timed, le="2.5") == 0
    assert value(found, "request_duration_seconds_bucket", **timed, le="5.0") == 4
    assert value(found, "request_duration_seconds_count", **timed) == 4
    assert value(found, "request_duration_seconds_sum", **timed) == pytest.approx(10.4)
    assert value(found, "request_duration_seconds_bucket", kind="messages", upstream="bedrock", le="600.0") == 0
    assert value(found, "request_duration_seconds_bucket", kind="messages", upstream="bedrock", le="+Inf") == 1
    assert value(found, "time_to_first_event_seconds_count", upstream="anthropic") == 3
    assert value(found, "event_loop_lag_seconds_bucket", le="0.001") == 1
    assert value(found, "event_loop_lag_seconds_count") == 2
    assert value(found, "open_streams") == 2
    assert value(found, "upstream_up", upstream="anthropic") == 1
    assert value(found, "upstream_up", upstream="bedrock") == 0
    assert value(found, "credentials_remaining_seconds", of="keys") == 600
    assert value(found, "credentials_remaining_seconds", of="token") == 0
    assert value(found, "credentials_remaining_seconds", of="access") is None
    assert value(found, "ledger_dropped_rows_total") == 7
    assert value(found, "litellm_ready") == 1
    assert value(found, "generation") == 3
    odd = {"kind": "other", "upstream": "none", "model": 'odd "name"\\\n', "status": "404"}
    assert value(found, "requests_total", **odd) == 1


@both
def test_the_table_of_metrics_is_what_there_is(is_openmetrics: bool) -> None:
    found = parsed(text(is_openmetrics=is_openmetrics), is_openmetrics=is_openmetrics)
    of_kind = {"info": "gauge"} if not is_openmetrics else {}
    suffix = {"info": "_info"} if not is_openmetrics else {}
    expected = [
        (family.family_name + suffix.get(family.kind, ""), of_kind.get(family.kind, family.kind), family.help)
        for family in families.ALL
    ]
    assert [(metric.name, metric.type, metric.documentation) for metric in found] == expected
    for metric, family in zip(found, families.ALL, strict=True):
        labels = {name for sample in metric.samples for name in sample.labels} - {"le"}
        assert labels == set(family.labels), family.name
        if family.kind == "histogram":
            _check_buckets(metric)


def _check_buckets(metric: Metric) -> None:
    before, bound = 0.0, -math.inf
    for sample in metric.samples:
        if sample.name.endswith("_bucket"):
            at = float(sample.labels["le"])
            assert at <= bound or sample.value >= before
            before, bound = sample.value, at


@both
def test_a_daemon_that_has_done_nothing_has_numbers_too(is_openmetrics: bool) -> None:
    nothing = RequestCounts(lambda model, upstream: model)
    found = parsed(text(is_openmetrics=is_openmetrics, counts=nothing, status=EMPTY), is_openmetrics=is_openmetrics)
    assert value(found, "open_streams") == 2
    assert value(found, "requests_total") is None


def test_a_request_that_bedrock_has_refused_leaves_it_up() -> None:
    refused = EMPTY | {"bedrock": {"last_success": 5.0, "last_failure": 5.0}}
    found = parsed(text(is_openmetrics=False, status=refused), is_openmetrics=False)
    assert value(found, "upstream_up", upstream="bedrock") == 1


@both
def test_many_series_come_in_pieces_and_each_has_one_head(is_openmetrics: bool) -> None:
    counts = RequestCounts(lambda model, upstream: model)
    for number in range(400):
        counts.note(record(model_served=f"m{number}"))
    pieces, longest = [], 0.0
    numbers = Numbers(counts.by_key, LoopLag(), essence(STATUS))
    texts = exposition.text(numbers, 1, NOW, is_openmetrics=is_openmetrics)
    while True:
        began = time.thread_time()
        piece = next(texts, None)
        longest = max(longest, time.thread_time() - began)
        if piece is None:
            break
        pieces.append(piece)
    whole = b"".join(pieces)
    assert whole.count(b"# TYPE claude_gateway_tokens") == 1
    assert whole.count(b"\nclaude_gateway_tokens_total{") == 2000
    assert max(piece.count(b"\n") for piece in pieces) <= 53
    assert len(parsed(whole.decode(), is_openmetrics=is_openmetrics)) == len(families.ALL)
    print(f"{len(whole)} bytes in {len(pieces)} pieces, the longest of {longest * 1000:.1f} ms")


def test_prometheus_linter_finds_nothing() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: Debian has it in the package prometheus")
    run = subprocess.run(
        [promtool, "check", "metrics"], input=text(is_openmetrics=False), capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
