"""dashboard/history/document.py: what a page is sent adds up to the requests themselves."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from claude_gatewayd.dashboard.history import past
from claude_gatewayd.dashboard.history.document import NOTHING, WindowUse, document
from claude_gatewayd.dashboard.history.frame import Frame
from claude_gatewayd.ledger import schema
from claude_gatewayd.ledger.reports import slices
from claude_gatewayd.ledger.reports.window import Window
from claude_gatewayd.ledger.sums import KINDS
from claude_gatewayd.ledger.usage_record import UsageRecord
from tests.support import ledger_rows
from tests.support.usage_records import usage_record

NOW = datetime(2026, 10, 27, 14, 7, tzinfo=UTC).timestamp()  # the clocks of Berlin have changed on the 25th
ZONES = ("Europe/Berlin", "Asia/Kathmandu", "America/New_York", "Pacific/Chatham")
NAMES = st.sampled_from(["opus", "haiku", "<b>x</b>", "", "ü"])

_records = st.builds(
    usage_record,
    started_at=st.floats(NOW - 100 * 86400, NOW),
    kind=st.sampled_from(["messages", "messages", "openai", "count_tokens", "other"]),
    status=st.sampled_from([200, 200, 429, 529]),
    model_served=NAMES,
    project=NAMES,
    upstream=st.sampled_from(["anthropic", "bedrock", "litellm", "none"]),
    billing=st.sampled_from(["subscription", "api", "aws", "other", ""]),
    fallback=st.sampled_from(["", "", "limit", "overloaded"]),
    input_tokens=st.integers(0, 10**9),
    cache_read_tokens=st.integers(0, 10**9),
    cache_write_1h_tokens=st.integers(0, 10**9),
    cost=st.none() | st.floats(0, 100),
    first_event_ms=st.none() | st.floats(0, 10**6),
    is_aborted=st.booleans(),
)


def shown(records: Sequence[UsageRecord], days: int, zone: str = "Europe/Berlin", now: float = NOW) -> dict[str, Any]:
    """Return what a page is sent of these."""
    frame = Frame.of({"days": str(days), "zone": zone}, now)
    engine = create_engine("sqlite://", poolclass=StaticPool)
    schema.metadata.create_all(engine)
    ledger_rows.write(engine, records)
    with engine.connect() as connection:
        found = document(frame, _read(connection, frame))
    engine.dispose()
    return found


def _read(connection: Connection, frame: Frame) -> WindowUse:
    steps = frame.steps()
    days = past.past_use().days(connection, frame, frame.days_since(frame.first_day), None)
    if frame.is_by_hour:
        window = Window(steps[0].begin, steps[-1].end)
        grid = frame.hour_grid()
        return WindowUse(
            past.read_use(connection, grid, window, None), days, slices.bins(connection, grid, window, None), None, None
        )
    return WindowUse(days, days, past.past_bins().days(connection, frame, steps, None), None, None)


@pytest.mark.parametrize("days", [1, 7, 30, 90])
@settings(max_examples=20)
@given(records=st.lists(_records, max_size=40), zone=st.sampled_from(ZONES))
def test_every_sum_is_that_of_the_requests(days: int, records: list[UsageRecord], zone: str) -> None:
    found = shown(records, days, zone)
    begin, end = found["steps"][0]["begin"], found["steps"][-1]["end"]
    of = [one for one in records if begin <= one.started_at // 900 * 900 < end and one.kind in KINDS]
    total = found["total"]
    assert total["requests"] == len(of)
    assert total["failures"] == sum(one.status >= 400 and not one.is_aborted for one in of)
    assert total["unpriced"] == sum(one.cost is None for one in of)
    assert total["cache_write_tokens"] == sum(one.cache_write_1h_tokens for one in of)
    cost = sum(one.cost or 0 for one in of)
    assert total["billed"] + total["subscription"] == pytest.approx(cost)
    assert total["fallback_cost"] == pytest.approx(sum(one.cost or 0 for one in of if one.fallback))
    for step in found["steps"]:
        its = [one for one in of if step["begin"] <= one.started_at // 900 * 900 < step["end"]]
        assert step["requests"] == len(its)
        assert step["api"] == pytest.approx(sum(one.cost or 0 for one in its if one.billing == "api"))
    for by, name in (("model", "model_served"), ("project", "project"), ("upstream", "upstream")):
        wanted: dict[str, int] = defaultdict(int)
        for one in of:
            wanted[getattr(one, name)] += 1
        assert {row["key"]: row["requests"] for row in found[f"{by}s"]} == wanted
        assert sum(map(sum, found["stacks"][by]["cost"])) == pytest.approx(cost)
        assert sum(map(sum, found["stacks"][by]["tokens"])) == sum(
            total[f"{kind}_tokens"] for kind in ("input", "output", "cache_read", "cache_write")
        )
    fallbacks = found["fallbacks"]
    assert sum(one["requests"] for one in fallbacks["reasons"]) == total["fallbacks"]
    assert sum(one["requests"] for one in fallbacks["line"]) == total["fallbacks"]
    assert all(begin <= one["begin"] < one["end"] <= end for one in fallbacks["line"])
    assert found["unpriced_models"] == sorted({one.model_served for one in of if one.cost is None})
    assert msgspec.json.decode(msgspec.json.encode(found)) == found


def rows(by: str, count: int) -> Iterator[UsageRecord]:
    for number in range(count):
        yield usage_record(NOW - 60, **{by: f"name {number:03}"}, cost=float(number), billing="api")


@pytest.mark.parametrize(
    ("count", "keys"),
    [
        (0, []),
        (1, ["name 000"]),
        (7, [f"name 00{number}" for number in (6, 5, 4, 3, 2, 1, 0)]),
        (8, [*(f"name 00{number}" for number in (7, 6, 5, 4, 3, 2)), "other"]),
    ],
)
def test_a_stack_has_seven_colours(count: int, keys: list[str]) -> None:
    stack = shown(list(rows("model_served", count)), 7)["stacks"]["model"]
    assert stack["keys"] == keys
    assert {len(of) for of in stack["cost"]} == {len(keys)}
    assert stack["cost"][-1] == [float(key[5:]) if key != "other" else 1.0 for key in keys]


def test_a_long_list_is_cut_and_the_total_is_whole() -> None:
    found = shown(list(rows("project", 130)), 7)
    assert (len(found["projects"]), found["more_projects"], found["more_models"]) == (100, 30, 0)
    assert found["projects"][0]["key"] == "name 129"
    assert found["total"]["requests"] == 130


def test_the_fallbacks_and_their_reasons() -> None:
    of = [
        usage_record(NOW - 600, fallback="limit", billing="aws", cost=1.0),
        usage_record(NOW - 86400, fallback="limit", billing="aws", cost=2.0),
        usage_record(NOW - 86400, fallback="timeout", billing="aws", cost=0.25),
    ]
    found = shown(of, 30)["fallbacks"]
    assert found["reasons"] == [
        {"reason": "limit", "requests": 2, "cost": 3.0},
        {"reason": "timeout", "requests": 1, "cost": 0.25},
    ]
    assert [(one["reason"], one["requests"], one["end"] - one["begin"]) for one in found["line"]] == [
        ("limit", 1, 900), ("timeout", 1, 900), ("limit", 1, 900)
    ]  # fmt: skip


def test_latencies_of_the_window_and_of_its_steps() -> None:
    of = [usage_record(NOW - day * 86400, first_event_ms=100.0 * (day + 1), duration_ms=5000.0) for day in range(3)]
    of.append(usage_record(NOW, upstream="litellm", first_event_ms=None, duration_ms=20.0))
    found = shown(of, 7)
    anthropic, litellm = found["latencies"]
    assert (anthropic["upstream"], anthropic["first_event"]["requests"]) == ("anthropic", 3)
    assert anthropic["first_event"]["p50"] == pytest.approx(200, rel=0.03)
    assert (litellm["first_event"], litellm["duration"]["requests"]) == (None, 1)
    assert list(found["latency_steps"]) == ["anthropic"]
    assert [of[1] for of in found["latency_steps"]["anthropic"]] == pytest.approx([300, 200, 100], rel=0.03)
    assert [of[0] for of in found["latency_steps"]["anthropic"]] == [step["begin"] for step in found["steps"][-3:]]


def test_an_empty_ledger_has_every_step_too() -> None:
    for days, steps in ((1, 24), (7, 7), (30, 30), (90, 90)):
        found = document(Frame.of({"days": str(days)}, NOW), NOTHING)
        assert len(found["steps"]) == steps
        assert (found["total"]["requests"], found["models"], found["first_at"]) == (0, [], None)
        assert found["month"]["billed_estimate"] is None
        assert found["stacks"]["model"]["keys"] == []
