from claude_gatewayd.worker.metrics.counts import Key, RequestCounts
from tests.support.answered import record


def test_requests_are_summed_up() -> None:
    counts = RequestCounts(lambda model, upstream: model)
    for _ in range(3):
        counts.note(record())
    counts.note(record(status=529, retries=2, cost=None, first_event_ms=None, output_tokens=0, input_tokens=0))
    counts.note(record(upstream="bedrock", fallback="limit", billing="aws"))
    assert list(counts.by_key) == [
        Key("messages", "anthropic", "claude-opus-5-5", 200, "api", ""),
        Key("messages", "anthropic", "claude-opus-5-5", 529, "api", ""),
        Key("messages", "bedrock", "claude-opus-5-5", 200, "aws", "limit"),
    ]
    good, bad, _ = counts.by_key.values()
    assert (good.requests, good.cost, good.unpriced, good.retries) == (3, 1.5, 0, 0)
    assert (good.input, good.output, good.cache_read, good.cache_write_5m, good.cache_write_1h) == (
        30,
        60,
        90,
        120,
        150,
    )
    assert (good.request_bytes, good.answer_bytes) == (300, 600)
    assert (good.duration, sum(good.durations), good.durations[6]) == (7800.0, 3, 3)
    assert (good.first_event, sum(good.first_events), good.first_events[3]) == (2100.0, 3, 3)
    assert (bad.requests, bad.retries, bad.unpriced, sum(bad.first_events)) == (1, 2, 1, 0)


def test_a_model_that_nobody_served_is_the_one_that_was_asked() -> None:
    counts = RequestCounts(lambda model, upstream: f"{model} at {upstream}")
    counts.note(record(model_served="", model_asked="asked"))
    assert next(iter(counts.by_key)).model == "asked at anthropic"


def test_what_callers_make_up_fills_no_memory() -> None:
    counts = RequestCounts(lambda model, upstream: model)
    for number in range(20_000):
        counts.note(record(model_served=f"m{number}", status=100 + number % 500))
    assert len(counts.by_key) <= 510
    assert len(counts._found) <= 1000
    assert sum(sums.requests for sums in counts.by_key.values()) == 20_000
