"""Who answers Claude Code's messages, since when, and why."""

import pytest

from claude_gatewayd.worker.serving import LAPSES, Served, Serving

OPUS, HAIKU = ("digest", "claude-opus-4-8"), ("digest", "claude-haiku-4-5")


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def served(clock: Clock) -> Served:
    return Served(clock)


def test_nobody_has_asked(served: Served) -> None:
    assert served.serving() == Serving()


def test_anthropic_serves_since_its_first_answer(served: Served, clock: Clock) -> None:
    served.by_anthropic(OPUS)
    clock.now += 5
    served.by_anthropic(HAIKU)
    assert served.serving() == Serving("anthropic", 1000.0)


def test_bedrock_serves_since_its_first_answer_for_the_latest_reason(served: Served, clock: Clock) -> None:
    served.by_bedrock(OPUS, "529")
    clock.now += 5
    served.by_bedrock(OPUS, "limit reached")
    assert served.serving() == Serving("bedrock", 1000.0, "limit reached")


def test_another_model_that_anthropic_answers_changes_nothing(served: Served, clock: Clock) -> None:
    served.by_bedrock(OPUS, "limit reached")
    clock.now += 5
    served.by_anthropic(HAIKU)
    assert served.serving().by == "bedrock"
    clock.now += 5
    served.by_anthropic(OPUS)
    assert served.serving() == Serving("anthropic", 1010.0)


def test_the_worst_that_anybody_sees(served: Served, clock: Clock) -> None:
    served.by_nobody(HAIKU, "529", "Bedrock cannot be reached", "claude-gatewayctl status")
    clock.now += 5
    served.by_bedrock(OPUS, "529")
    assert served.serving() == Serving("nobody", 1000.0, "529", "Bedrock cannot be reached", "claude-gatewayctl status")
    served.by_bedrock(HAIKU, "connection")
    assert served.serving() == Serving("bedrock", 1005.0, "connection")


def test_who_asks_no_more_is_forgotten_when_anthropic_answers_others(served: Served, clock: Clock) -> None:
    served.by_bedrock(OPUS, "529")
    clock.now += LAPSES + 1
    assert served.serving().by == "bedrock"  # nobody has asked since: nothing has changed
    served.by_anthropic(HAIKU)
    assert served.serving() == Serving("anthropic", 1000.0 + LAPSES + 1)


def test_a_clock_that_is_set_back(served: Served, clock: Clock) -> None:
    clock.now = 9000.0
    served.by_bedrock(OPUS, "529")
    clock.now = 1000.0
    served.by_anthropic(OPUS)
    assert served.serving() == Serving("anthropic", 1000.0)


def test_what_is_kept_is_bounded(served: Served) -> None:
    for number in range(1000):
        served.by_bedrock((f"{number}", "x" * 10_000), "529")
    kept = served._elsewhere
    assert len(kept) == 256
    assert max(len(model) for _, model in kept) == 100
    served.by_anthropic(("999", "x" * 10_000))
    assert len(kept) == 255
