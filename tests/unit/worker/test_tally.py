"""What a generation has seen."""

import json
import time

import pytest

from claude_gatewayd.worker.tally import CLIENT_GONE, Tally


class Changes:
    """Count how often there was news."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
def tally(changes: Changes) -> Tally:
    return Tally(changes)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def test_nothing_yet(tally: Tally) -> None:
    assert tally.snapshot() == {
        "requests": {},
        "retries": 0,
        "fallbacks": 0,
        "streams": 0,
        "under_way": 0,
        "anthropic": {"state": "unknown", "last_success": None, "last_failure": None, "failure": ""},
        "bedrock": {"last_success": None, "last_failure": None, "failure": ""},
    }


def test_an_answer_of_bedrocks_in_anthropics_place_is_counted_and_known(tally: Tally) -> None:
    tally.fell_back(("digest", "claude-opus-4-8"), "529")
    assert tally.snapshot()["fallbacks"] == 1
    assert (tally.serving.current().by, tally.serving.current().why) == ("bedrock", "529")


def test_counts(tally: Tally) -> None:
    for status in (200, 529, 200, CLIENT_GONE):
        tally.answered(status)
    tally.retried()
    tally.stream_began()
    tally.stream_began()
    tally.stream_ended()
    tally.under_way += 1
    snapshot = json.loads(json.dumps(tally.snapshot()))
    assert snapshot["requests"] == {"200": 2, "499": 1, "529": 1}
    assert (snapshot["retries"], snapshot["streams"], snapshot["under_way"]) == (1, 1, 1)


def test_news_is_told(tally: Tally, changes: Changes) -> None:
    tally.answered(200)
    assert changes.times == 1
    tally.stream_began()
    assert changes.times == 2
    tally.stream_ended()
    assert changes.times == 3


def test_how_anthropic_is(tally: Tally, clock: list[float]) -> None:
    """Only the first failure after a success, and the first success after a failure, are news."""
    assert not tally.anthropic_ok()
    assert tally.snapshot()["anthropic"]["state"] == "ok"
    clock[0] = 1001.0
    assert tally.anthropic_failed("answered 529")
    assert not tally.anthropic_failed("answered 503")
    assert tally.snapshot()["anthropic"] == {
        "state": "failing",
        "last_success": 1000.0,
        "last_failure": 1001.0,
        "failure": "answered 503",
    }
    clock[0] = 1002.0
    assert tally.anthropic_ok()
    assert not tally.anthropic_ok()
    assert tally.snapshot()["anthropic"]["state"] == "ok"
    assert tally.snapshot()["anthropic"]["last_failure"] == 1001.0


def test_a_refused_request_is_an_answer(tally: Tally, clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    tally.bedrock_failed("Bedrock cannot be reached")
    clock[0] = 1001.0
    with caplog.at_level("INFO"):
        for _ in range(2):
            tally.bedrock_refused("Bedrock answered ValidationException: no")
    assert caplog.messages.count("Bedrock refuses a request: Bedrock answered ValidationException: no") == 1
    found = {"last_success": 1001.0, "last_failure": 1001.0, "failure": "Bedrock answered ValidationException: no"}
    assert tally.snapshot()["bedrock"] == found
    assert "Bedrock answers again" in caplog.messages


def test_a_failure_before_any_success_is_news(tally: Tally) -> None:
    assert tally.anthropic_failed("connection refused")
    assert not tally.anthropic_failed("connection refused")
    assert tally.snapshot()["anthropic"]["state"] == "failing"


def test_a_clock_that_is_set_back_hides_no_change(tally: Tally, clock: list[float]) -> None:
    """The wall clock is shown, but does not decide what came last."""
    tally.anthropic_ok()
    clock[0] = 900.0
    assert tally.anthropic_failed("connection refused")
    assert tally.snapshot()["anthropic"]["state"] == "failing"
    clock[0] = 800.0
    assert tally.anthropic_ok()
    assert tally.snapshot()["anthropic"]["state"] == "ok"


def test_within_one_tick_of_the_clock(tally: Tally, clock: list[float]) -> None:
    assert tally.anthropic_failed("connection refused")
    assert tally.anthropic_ok()
    assert tally.snapshot()["anthropic"]["state"] == "ok"
    assert tally.anthropic_failed("connection refused")
    assert tally.snapshot()["anthropic"]["state"] == "failing"
