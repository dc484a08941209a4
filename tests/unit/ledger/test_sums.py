"""ledger/sums.py: what requests add to the sums by quarter hour, held against the tables."""

from claude_gatewayd.ledger import schema
from claude_gatewayd.ledger.latency import bin_of
from claude_gatewayd.ledger.sums import KeyQuarterKey, LatencyKey, QuarterKey, QuarterSums, Sums, sums_of
from claude_gatewayd.ledger.usage_record import UsageRecord

AT = 900.0 * 1_980_000
PLAIN = UsageRecord(
    id="a", started_at=AT + 1, gateway="me@here", kind="messages", status=200, model_asked="claude-opus-5",
    model_served="claude-opus-5", upstream="anthropic", billing="api", input_tokens=3, output_tokens=5, cost=0.25,
    first_event_ms=40.0, duration_ms=900.0,
)  # fmt: skip


def like(**changes: object) -> UsageRecord:
    """Return the plain request with some changes."""
    return UsageRecord(**{name: getattr(PLAIN, name) for name in PLAIN.__struct_fields__} | changes)


def test_the_rows_are_those_of_the_tables() -> None:
    assert [column.name for column in schema.quarters.columns] == [*QuarterKey._fields, *QuarterSums._fields]
    assert [column.name for column in schema.quarters.primary_key] == list(QuarterKey._fields)
    keyed = schema.key_quarters
    assert [column.name for column in keyed.columns] == [*KeyQuarterKey._fields, *QuarterSums._fields]
    assert [column.name for column in keyed.primary_key] == list(KeyQuarterKey._fields)
    assert [column.name for column in schema.latencies.columns] == [*LatencyKey._fields, "requests"]
    assert [column.name for column in schema.latencies.primary_key] == list(LatencyKey._fields)


def test_requests_of_a_quarter_are_one_row() -> None:
    key = QuarterKey(1_980_000, "me@here", "anthropic", "", "claude-opus-5", "", "api", "")
    sums = sums_of([PLAIN, like(started_at=AT + 899.9, cost=None), like(status=529, is_aborted=True), like(status=529)])
    assert sums.quarters == [(key, QuarterSums(4, 1, 1, 1, 12, 20, 0, 0, 0, 0.75))]
    where = (1_980_000, "me@here", "anthropic")
    assert sums.latencies == [
        (LatencyKey(*where, "duration", bin_of(900)), 4),
        (LatencyKey(*where, "first_event", bin_of(40)), 4),
    ]


def test_durations_are_counted_by_hour() -> None:
    sums = sums_of([PLAIN, like(started_at=AT + 3599), like(started_at=AT + 3600)])
    assert [key.quarter for key, _ in sums.quarters] == [1_980_000, 1_980_003, 1_980_004]
    assert [(key.quarter, number) for key, number in sums.latencies if key.measure == "duration"] == [
        (1_980_000, 2),
        (1_980_004, 1),
    ]


def test_what_is_not_alike_has_rows_of_its_own_in_order() -> None:
    others = {
        "started_at": AT + 900, "gateway": "z", "upstream": "bedrock", "transport": "direct", "model_served": "haiku",
        "project": "/p", "billing": "aws", "fallback": "limit",
    }  # fmt: skip
    sums = sums_of([PLAIN, *(like(**{name: value}) for name, value in others.items())])
    assert len(sums.quarters) == 1 + len(others)
    assert sums.quarters == sorted(sums.quarters)
    assert sums.latencies == sorted(sums.latencies)


def test_without_a_served_model_it_is_the_one_that_was_asked_for() -> None:
    [(key, _)] = sums_of([like(model_served="", model_asked="claude-next")]).quarters
    assert key.model == "claude-next"


def test_requests_that_use_no_tokens_are_in_no_sum() -> None:
    assert sums_of([like(kind=kind) for kind in ("count_tokens", "models", "other")]) == Sums([], [], [])
    assert len(sums_of([like(kind=kind) for kind in ("messages", "invoke", "openai")]).quarters) == 1


def test_without_a_stream_there_is_no_first_event() -> None:
    [(key, count)] = sums_of([like(first_event_ms=None)]).latencies
    assert (key.measure, count) == ("duration", 1)


def test_those_of_a_named_key_are_also_summed_by_its_name() -> None:
    sums = sums_of([PLAIN, like(key_name="alice"), like(key_name="bob"), like(key_name="alice", started_at=AT + 2)])
    [(key, whole)] = sums.quarters
    assert whole.requests == 4
    assert [(one.key_name, of.requests, of.cost) for one, of in sums.key_quarters] == [
        ("alice", 2, 0.5),
        ("bob", 1, 0.25),
    ]
    assert [one._replace(key_name="") for one, _ in sums.key_quarters] == [KeyQuarterKey(key.quarter, "", *key[1:])] * 2
