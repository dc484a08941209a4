"""The table of what an outcome means, row by row and then whole."""

import itertools
import math
from typing import Any

import pytest

from claude_gatewayd import policy
from claude_gatewayd.policy import FALL_BACK, PASS_ON, REFRESH, Answered, Attempt, Decision, Failed, Rules, decide

RULES = Rules(num_retries=3, timeout=120.0, retry_after=5.0)
MESSAGE = {"replayable": True, "repeatable": True}


def retry(after: float) -> Decision:
    return Decision("retry", after)


@pytest.mark.parametrize(
    ("outcome", "attempt", "decision"),
    [
        (Answered(200), MESSAGE, PASS_ON),
        (Answered(400), MESSAGE, PASS_ON),
        (Answered(401), MESSAGE, PASS_ON),
        (Answered(404), MESSAGE, PASS_ON),
        (Answered(413), MESSAGE, PASS_ON),
        (Answered(429), MESSAGE, PASS_ON),
        (Answered(429, retry_after=1.0, should_retry=True), MESSAGE, PASS_ON),
        (Answered(500), MESSAGE, retry(5)),
        (Answered(502), MESSAGE, retry(5)),
        (Answered(503), MESSAGE, retry(5)),
        (Answered(504), MESSAGE, retry(5)),
        (Answered(529), MESSAGE, retry(5)),
        (Answered(501), MESSAGE, PASS_ON),
        (Answered(529, should_retry=True), MESSAGE, retry(5)),
        (Answered(529, should_retry=False), MESSAGE, PASS_ON),
        (Answered(529, retry_after=1.0), MESSAGE, retry(1)),
        (Answered(529, retry_after=0.0), MESSAGE, retry(0)),
        (Answered(529, retry_after=119.0), MESSAGE, retry(119)),
        (Answered(529, retry_after=120.0), MESSAGE, PASS_ON),
        (Answered(529, retry_after=math.inf), MESSAGE, PASS_ON),
        (Answered(529), MESSAGE | {"retries": 2}, retry(5)),
        (Answered(529), MESSAGE | {"retries": 3}, PASS_ON),
        (Answered(529), MESSAGE | {"elapsed": 114.9}, retry(5)),
        (Answered(529), MESSAGE | {"elapsed": 115.0}, PASS_ON),
        (Answered(529), MESSAGE | {"replayable": False}, PASS_ON),
        (Answered(529), MESSAGE | {"repeatable": False}, PASS_ON),
        (Failed(), MESSAGE, retry(5)),
        (Failed(), MESSAGE | {"retries": 3}, PASS_ON),
        (Failed(), MESSAGE | {"repeatable": False}, PASS_ON),
        (Failed(), MESSAGE | {"elapsed": 115.0}, PASS_ON),
        (Failed(lasting=True), MESSAGE, PASS_ON),
        (Failed(stale=True, lasting=True), MESSAGE, REFRESH),
        (Failed(stale=True), MESSAGE, REFRESH),
        (Failed(stale=True), MESSAGE | {"retries": 3, "elapsed": 500.0}, REFRESH),
        (Failed(stale=True), MESSAGE | {"repeatable": False}, REFRESH),
        (Failed(stale=True), MESSAGE | {"replayable": False}, PASS_ON),
        (Failed(stale=True), MESSAGE | {"refreshed": True}, retry(5)),
        (Failed(stale=True), MESSAGE | {"refreshed": True, "repeatable": False}, PASS_ON),
    ],
)
def test_rows(outcome: Answered | Failed, attempt: dict[str, Any], decision: Decision) -> None:
    assert decide(outcome, Attempt(**attempt), RULES) == decision


def reasons_to_stop(outcome: Answered | Failed, attempt: Attempt, rules: Rules) -> set[str]:
    """Why it must not be tried again, each reason on its own."""
    wait = rules.retry_after
    found = set()
    if isinstance(outcome, Answered):
        if outcome.status not in (500, 502, 503, 504, 529):
            found.add("not a passing trouble of Anthropic's")
        if outcome.should_retry is False:
            found.add("Anthropic says no")
        if outcome.retry_after is not None:
            wait = outcome.retry_after
    if not attempt.replayable:
        found.add("the body has gone")
    if not attempt.repeatable:
        found.add("doing it twice does harm")
    if attempt.retries >= rules.num_retries:
        found.add("tried often enough")
    if attempt.elapsed + wait >= rules.timeout:
        found.add("no time left")
    return found


def test_the_whole_table() -> None:
    """Every status with every state of a request: one reason to stop is enough, and without one it is retried."""
    booleans = (False, True)
    outcomes: list[Answered | Failed] = [Failed(stale) for stale in booleans]
    outcomes += [
        Answered(status, retry_after, should_retry)
        for status in range(200, 600)
        for retry_after in (None, 0.0, 30.0, 120.0, math.inf)
        for should_retry in (None, False, True)
    ]
    attempts = [
        Attempt(replayable, repeatable, retries, elapsed, refreshed)
        for replayable, repeatable, refreshed in itertools.product(booleans, repeat=3)
        for retries in (0, 2, 3, 4)
        for elapsed in (0.0, 100.0, 115.0, 120.0)
    ]
    for outcome, attempt in itertools.product(outcomes, attempts):
        decision = decide(outcome, attempt, RULES)
        if isinstance(outcome, Failed) and outcome.stale and attempt.replayable and not attempt.refreshed:
            assert decision == REFRESH
        elif reasons_to_stop(outcome, attempt, RULES):
            assert decision == PASS_ON
        else:
            wait = outcome.retry_after if isinstance(outcome, Answered) else None
            assert decision == retry(5.0 if wait is None else wait)


def test_no_retries_at_all() -> None:
    rules = Rules(num_retries=0, timeout=120.0, retry_after=5.0)
    assert decide(Answered(529), Attempt(**MESSAGE), rules) == PASS_ON
    assert decide(Failed(), Attempt(**MESSAGE), rules) == PASS_ON
    assert decide(Failed(stale=True), Attempt(**MESSAGE), rules) == REFRESH


# fallback

STATUSES = (200, 201, 204, 301, 400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 501, 502, 503, 504, 520, 529)
FALLS = frozenset((429, 500, 502, 503, 504, 529))
FIRST_ERRORS = {
    None: None,
    "overloaded_error": 529,
    "api_error": 500,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "invalid_request_error": 400,
    "authentication_error": 400,
    "permission_error": 400,
    "not_found_error": 400,
    "request_too_large": 400,
    "an error\r\nof theirs": 400,
    "": 400,
}


def outcomes_and_words() -> list[tuple[Answered | Failed, str | None]]:
    """Return every outcome, and the word of fallback_on that it is; None: it is none."""
    found: list[tuple[Answered | Failed, str | None]] = [
        (Answered(status, retry_after, should_retry), str(status) if status in FALLS else None)
        for status in STATUSES
        for retry_after in (None, 1.0, math.inf)
        for should_retry in (None, False, True)
    ]
    found += [
        (Answered(200, first_error=kind), str(status) if status in FALLS else None)
        for kind, status in FIRST_ERRORS.items()
    ]
    found += [
        (Failed(stale, lasting, timeout), "timeout" if timeout else "connection")
        for stale, lasting, timeout in itertools.product((False, True), repeat=3)
    ]
    return found


@pytest.mark.parametrize("without", [None, *sorted(policy.FALLBACK_ON)])
def test_the_whole_table_of_fallback(without: str | None) -> None:
    """Every outcome, with every word left out once: with somewhere to fall to, it falls, or it is as without."""
    rules = Rules(3, 120.0, 5.0, policy.FALLBACK_ON - {without})
    for (outcome, word), retries, refreshed, repeatable in itertools.product(
        outcomes_and_words(), (0, 3), (False, True), (False, True)
    ):
        attempt = Attempt(True, repeatable, retries, refreshed=refreshed, fallback=True)
        if isinstance(outcome, Failed) and outcome.stale and not refreshed:
            expected = REFRESH
        elif word is not None and word != without:
            expected = FALL_BACK
        else:
            expected = decide(outcome, attempt._replace(fallback=False), rules)
            assert expected != FALL_BACK
        assert decide(outcome, attempt, rules) == expected
        assert policy.opens_circuit(outcome, rules) is (word is not None and word != without)
        assert policy.is_trouble(outcome) is (word is not None)


@pytest.mark.parametrize("outcome", [outcome for outcome, _ in outcomes_and_words()])
def test_without_the_body_there_is_no_fallback(outcome: Answered | Failed) -> None:
    assert decide(outcome, Attempt(False, True, fallback=True), RULES) == PASS_ON


@pytest.mark.parametrize("kind", [kind for kind in FIRST_ERRORS if kind is not None])
def test_a_stream_that_begins_with_an_error_is_not_retried(kind: str) -> None:
    assert decide(Answered(200, first_error=kind), Attempt(**MESSAGE), RULES) == PASS_ON
    assert policy.status_of_error(kind) == FIRST_ERRORS[kind]


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Answered(200), "none"),
        (Answered(400), "none"),
        (Answered(501), "none"),
        (Answered(429), "429"),
        (Answered(529, 7.0, False), "529"),
        (Answered(200, first_error="overloaded_error"), "first event overloaded_error"),
        (Answered(200, first_error="invalid_request_error"), "none"),
        (Answered(200, first_error="bad\r\nx-evil: 1"), "none"),
        (Failed(), "connection"),
        (Failed(lasting=True), "connection"),
        (Failed(stale=True), "connection"),
        (Failed(timeout=True), "timeout"),
    ],
)
def test_reason(outcome: Answered | Failed, text: str) -> None:
    assert policy.reason(outcome) == text


@pytest.mark.parametrize(
    ("heals", "answered", "whose"),
    [(True, True, "bedrock"), (True, False, "bedrock"), (False, True, "anthropic"), (False, False, "own")],
)
def test_after_both_failed(heals: bool, answered: bool, whose: str) -> None:
    assert policy.after_both_failed(heals=heals, answered=answered) == whose


# headers


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (b"5", 5.0),
        (b" 5 ", 5.0),
        (b"0.25", 0.25),
        (b"0", 0.0),
        (b"-3", 0.0),
        (b"nan", 0.0),
        (b"", None),
        (b"soon", math.inf),
        (b"Fri, 31 Dec 1999 23:59:59 GMT", math.inf),
        (b"\xff", math.inf),
    ],
)
def test_retry_after(value: bytes | None, seconds: float | None) -> None:
    assert policy.retry_after(value) == seconds


@pytest.mark.parametrize(
    ("value", "says"),
    [(None, None), (b"true", True), (b"false", False), (b" False ", False), (b"TRUE", True), (b"", None), (b"1", None)],
)
def test_should_retry(value: bytes | None, says: bool | None) -> None:
    assert policy.should_retry(value) is says


def test_idempotent_methods() -> None:
    assert {b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"} == policy.IDEMPOTENT_METHODS
