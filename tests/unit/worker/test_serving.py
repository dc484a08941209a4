"""Who answers Claude Code's messages, since when, and why."""

import pytest

from claude_gatewayd.worker.serving import LAPSES, Serving, ServingTracker
from claude_gatewayd.worker.sharing.facts import ServedBy
from tests.support.clock import Clock

OPUS, HAIKU = ("digest", "claude-opus-4-8"), ("digest", "claude-haiku-4-5")


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def serving(clock: Clock) -> ServingTracker:
    return ServingTracker(clock)


def test_nobody_has_asked(serving: ServingTracker) -> None:
    assert serving.current() == Serving()


def test_anthropic_serves_since_its_first_answer(serving: ServingTracker, clock: Clock) -> None:
    serving.by_anthropic(OPUS)
    clock.now += 5
    serving.by_anthropic(HAIKU)
    assert serving.current() == Serving("anthropic", 1000.0)


def test_bedrock_serves_since_its_first_answer_for_the_latest_reason(serving: ServingTracker, clock: Clock) -> None:
    serving.by_bedrock(OPUS, "529")
    clock.now += 5
    serving.by_bedrock(OPUS, "limit reached")
    assert serving.current() == Serving("bedrock", 1000.0, "limit reached")


def test_another_model_that_anthropic_answers_changes_nothing(serving: ServingTracker, clock: Clock) -> None:
    serving.by_bedrock(OPUS, "limit reached")
    clock.now += 5
    serving.by_anthropic(HAIKU)
    assert serving.current().by == "bedrock"
    clock.now += 5
    serving.by_anthropic(OPUS)
    assert serving.current() == Serving("anthropic", 1010.0)


def test_the_worst_that_anybody_sees(serving: ServingTracker, clock: Clock) -> None:
    serving.by_nobody(HAIKU, "529", "Bedrock cannot be reached", "claude-gatewayctl status")
    clock.now += 5
    serving.by_bedrock(OPUS, "529")
    assert serving.current() == Serving(
        "nobody", 1000.0, "529", "Bedrock cannot be reached", "claude-gatewayctl status"
    )
    serving.by_bedrock(HAIKU, "connection")
    assert serving.current() == Serving("bedrock", 1005.0, "connection")


def test_who_asks_no_more_is_forgotten_when_anthropic_answers_others(serving: ServingTracker, clock: Clock) -> None:
    serving.by_bedrock(OPUS, "529")
    clock.now += LAPSES + 1
    assert serving.current().by == "bedrock"  # nobody has asked since: nothing has changed
    serving.by_anthropic(HAIKU)
    assert serving.current() == Serving("anthropic", 1000.0 + LAPSES + 1)


def test_a_clock_that_is_set_back(serving: ServingTracker, clock: Clock) -> None:
    clock.now = 9000.0
    serving.by_bedrock(OPUS, "529")
    clock.now = 1000.0
    serving.by_anthropic(OPUS)
    assert serving.current() == Serving("anthropic", 1000.0)


def test_what_is_kept_is_bounded(serving: ServingTracker) -> None:
    for number in range(1000):
        serving.by_bedrock((f"{number}", "x" * 10_000), "529")
    kept = serving._elsewhere
    assert len(kept) == 256
    assert max(len(model) for _, model in kept) == 100
    serving.by_anthropic(("999", "x" * 10_000))
    assert len(kept) == 255


def test_workers_see_the_same(clock: Clock) -> None:
    published = list[ServedBy]()
    one, other = ServingTracker(clock), ServingTracker(clock)
    one.publish_by(published.append)
    one.by_anthropic(HAIKU)
    one.by_bedrock(OPUS, "529")
    one.by_bedrock(OPUS, "529")
    assert len(published) == 1, "the same is not said again at once"
    clock.now += 100
    one.by_bedrock(OPUS, "529")  # it would lapse
    one.by_nobody(OPUS, "529", "no keys", "log in")
    one.by_anthropic(OPUS)
    one.by_anthropic(OPUS)
    assert [fact.by for fact in published] == ["bedrock", "bedrock", "nobody", "anthropic"]
    for fact, by in zip(published, ("bedrock", "bedrock", "nobody", "anthropic"), strict=True):
        other.take(fact)
        assert other.current().by == by
    other.take(ServedBy("a", "b", "of tomorrow"))
    assert other.current().by == "anthropic"


def test_one_that_begins_is_told_who_is_served_elsewhere(serving: ServingTracker) -> None:
    serving.by_bedrock(OPUS, "529")
    published = list[ServedBy]()
    serving.publish_by(published.append)
    serving.publish_all()
    assert [fact.by for fact in published] == ["bedrock"]
