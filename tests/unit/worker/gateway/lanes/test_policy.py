"""The table of what an outcome means, row by row and then whole."""

import itertools
import math
from typing import Any

import pytest

from claude_gatewayd.anthropic.headers import betas_with_own_limits, client_timeout, reset_of, retry_after, should_retry
from claude_gatewayd.anthropic.refusals import Refusal, read_refusal
from claude_gatewayd.http1.head import IDEMPOTENT_METHODS
from claude_gatewayd.worker.gateway.lanes import policy
from claude_gatewayd.worker.gateway.lanes.policy import (
    FALL_BACK,
    PASS_ON,
    REFRESH,
    Answered,
    Decision,
    Failed,
    RequestProgress,
    RouterRules,
    decide,
)

RULES = RouterRules(num_retries=3, timeout=120.0, retry_after=5.0)
MESSAGE = {"replayable": True, "repeatable": True}


def retry(after: float) -> Decision:
    return Decision("retry", after)


@pytest.mark.parametrize(
    ("outcome", "progress", "decision"),
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
        (Answered(408), MESSAGE, retry(5)),
        (Answered(522, retry_after=1.0), MESSAGE, retry(1)),
        (Answered(530), MESSAGE, retry(5)),
        (Answered(528), MESSAGE, PASS_ON),
        (Answered(529), MESSAGE | {"only_anthropic": True}, PASS_ON),
        (Failed(), MESSAGE | {"only_anthropic": True}, PASS_ON),
        (Failed(stale=True), MESSAGE | {"only_anthropic": True}, REFRESH),
        (Failed(timeout=True), MESSAGE, retry(5)),
        (Failed(timeout=True, waited=True), MESSAGE, PASS_ON),
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
def test_rows(outcome: Answered | Failed, progress: dict[str, Any], decision: Decision) -> None:
    assert decide(outcome, RequestProgress(**progress), RULES) == decision


def reasons_to_stop(outcome: Answered | Failed, progress: RequestProgress, rules: RouterRules) -> set[str]:
    """Why it must not be tried again, each reason on its own."""
    wait = rules.retry_after
    found = set()
    if isinstance(outcome, Answered):
        if outcome.status not in (408, 500, 502, 503, 504, *range(520, 528), 529, 530):
            found.add("not a passing trouble of Anthropic's")
        if outcome.should_retry is False:
            found.add("Anthropic says no")
        if outcome.retry_after is not None:
            wait = outcome.retry_after
    if not progress.replayable:
        found.add("the body has gone")
    if not progress.repeatable:
        found.add("doing it twice does harm")
    if progress.retries >= rules.num_retries:
        found.add("tried often enough")
    if progress.elapsed + wait >= rules.timeout:
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
    progresses = [
        RequestProgress(replayable, repeatable, retries, elapsed, refreshed)
        for replayable, repeatable, refreshed in itertools.product(booleans, repeat=3)
        for retries in (0, 2, 3, 4)
        for elapsed in (0.0, 100.0, 115.0, 120.0)
    ]
    for outcome, progress in itertools.product(outcomes, progresses):
        decision = decide(outcome, progress, RULES)
        if isinstance(outcome, Failed) and outcome.stale and progress.replayable and not progress.refreshed:
            assert decision == REFRESH
        elif reasons_to_stop(outcome, progress, RULES):
            assert decision == PASS_ON
        else:
            wait = outcome.retry_after if isinstance(outcome, Answered) else None
            assert decision == retry(5.0 if wait is None else wait)


def test_no_retries_at_all() -> None:
    rules = RouterRules(num_retries=0, timeout=120.0, retry_after=5.0)
    assert decide(Answered(529), RequestProgress(**MESSAGE), rules) == PASS_ON
    assert decide(Failed(), RequestProgress(**MESSAGE), rules) == PASS_ON
    assert decide(Failed(stale=True), RequestProgress(**MESSAGE), rules) == REFRESH


# fallback

STATUSES = (
    200,
    201,
    204,
    301,
    400,
    401,
    402,
    403,
    404,
    408,
    409,
    413,
    422,
    429,
    *range(499, 505),
    *range(519, 532),
    599,
)
WORDS = {status: str(status) for status in (429, 500, 502, 503, 504, 529)} | {
    402: "billing", 408: "504", 520: "502", 521: "502", 522: "504", 523: "502", 524: "504", 525: "502", 526: "502",
    527: "502", 530: "502",
}  # fmt: skip
FIRST_ERRORS = {
    None: None,
    "overloaded_error": 529,
    "api_error": 500,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "billing_error": 402,
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "an error\r\nof theirs": 400,
    "": 400,
}
ACCOUNT = Refusal(frozenset(("429", "limit")), "account", 1.8e9)
SUCH = Refusal(frozenset(("429",)), "request")
SPENT = Refusal(frozenset(("limit",)), "account")
BROKE = Refusal(frozenset(("billing",)), "account")
EXTRA = Refusal(frozenset(("limit",)), "request")


def outcomes_and_words() -> list[tuple[Answered | Failed, frozenset[str]]]:
    """Return every outcome, and the words of fallback_on that it is."""
    found: list[tuple[Answered | Failed, set[str]]] = [
        (Answered(status, retry_after, should_retry), {WORDS[status]} if status in WORDS else set())
        for status in STATUSES
        for retry_after in (None, 1.0, math.inf)
        for should_retry in (None, False, True)
    ]
    found += [
        (Answered(200, first_error=kind), {WORDS[status]} if status in WORDS else set())
        for kind, status in FIRST_ERRORS.items()
    ]
    found += [
        (Failed(stale, lasting, timeout, waited), {"timeout" if timeout else "connection"})
        for stale, lasting, timeout, waited in itertools.product((False, True), repeat=4)
    ]
    found += [
        (Answered(429, refusal=ACCOUNT), {"429", "limit"}),
        (Answered(429, refusal=SUCH), {"429"}),
        (Answered(400, refusal=SPENT), {"limit"}),
        (Answered(400, refusal=BROKE), {"billing"}),
        (Answered(402, refusal=BROKE), {"billing"}),
        (Answered(400, refusal=EXTRA), {"limit"}),
        (Answered(200, first_error="invalid_request_error", refusal=BROKE), {"billing"}),
    ]
    return [(outcome, frozenset(words)) for outcome, words in found]


@pytest.mark.parametrize("without", [None, *sorted(policy.FALLBACK_ON)])
def test_the_whole_table_of_fallback(without: str | None) -> None:
    """Every outcome, with every word left out once: with somewhere to fall to, it falls, or it is as without."""
    rules = RouterRules(3, 120.0, 5.0, policy.FALLBACK_ON - {without})
    for (outcome, words), retries, refreshed, repeatable in itertools.product(
        outcomes_and_words(), (0, 3), (False, True), (False, True)
    ):
        progress = RequestProgress(True, repeatable, retries, refreshed=refreshed, fallback=True)
        falls = bool(words & rules.fallback_on)
        decision = decide(outcome, progress, rules)
        if isinstance(outcome, Failed) and outcome.stale and not refreshed:
            assert decision == REFRESH
        elif decision.act == "retry first":
            assert falls
            assert retries == 0
            assert words == {"429"}
        elif falls:
            assert decision == FALL_BACK
        else:
            assert decision == decide(outcome, progress._replace(fallback=False), rules) != FALL_BACK
        assert policy.causes(outcome) == words
        assert policy.is_failure(outcome) is bool(words)
        assert not (policy.is_success(outcome) and (words or decide(outcome, progress, rules) != PASS_ON))
        for own in (False, True):
            verdict = policy.verdict(outcome, rules, own_circuit=own)
            assert verdict in (("failed", "limit", "") if falls else ("good", ""))


LATER = RequestProgress(True, True, fallback=True, retries=1)
ONCE = RequestProgress(True, True, fallback=True)


@pytest.mark.parametrize(
    ("outcome", "progress", "decision"),
    [
        # about one request, and over in a moment: no money before a second try
        (Answered(429), ONCE, Decision("retry first", 1.0)),
        (Answered(429, refusal=SUCH), ONCE, Decision("retry first", 1.0)),
        (Answered(429, should_retry=True), ONCE, Decision("retry first", 1.0)),
        (Answered(429, retry_after=0.0), ONCE, Decision("retry first", 0.0)),
        (Answered(429, retry_after=3.0), ONCE, Decision("retry first", 3.0)),
        (Answered(200, first_error="rate_limit_error"), ONCE, Decision("retry first", 1.0)),
        # one second try, and none where Anthropic says that it is no use
        (Answered(429), LATER, FALL_BACK),
        (Answered(429), ONCE._replace(repeatable=False), FALL_BACK),
        (Answered(429, should_retry=False), ONCE, FALL_BACK),
        # it would take longer: at once, but not twice in a minute
        (Answered(429, retry_after=7.0), ONCE, FALL_BACK),
        (Answered(429, retry_after=7.0), ONCE._replace(bought=True), Decision("retry first", 1.0)),
        (Answered(429, retry_after=61.0), ONCE._replace(bought=True), FALL_BACK),
        (Answered(429, retry_after=7.0, should_retry=False), ONCE._replace(bought=True), FALL_BACK),
        # the account's
        (Answered(429, refusal=ACCOUNT), ONCE, FALL_BACK),
        (Answered(429, refusal=ACCOUNT), ONCE._replace(bought=True), FALL_BACK),
        (Answered(400, refusal=SPENT), ONCE, FALL_BACK),
        (Answered(402, refusal=BROKE), ONCE, FALL_BACK),
        (Answered(400, refusal=EXTRA), ONCE, FALL_BACK),
        # nowhere to fall to: the client tries again by itself
        (Answered(429), RequestProgress(True, True), PASS_ON),
        (Answered(400, refusal=SPENT), RequestProgress(True, True), PASS_ON),
        (Answered(529), RequestProgress(True, True, fallback=True, elapsed=119.5), FALL_BACK),
        (Answered(429), RequestProgress(True, True, fallback=True, elapsed=119.5), FALL_BACK),
    ],
)
def test_before_money_is_spent(outcome: Answered, progress: RequestProgress, decision: Decision) -> None:
    assert decide(outcome, progress, RULES) == decision


def test_who_wants_no_retries_gets_none_before_money_either() -> None:
    assert decide(Answered(429), ONCE, RouterRules(0, 120.0, 5.0)) == FALL_BACK


@pytest.mark.parametrize(
    ("outcome", "verdict", "of_its_own"),
    [
        (Answered(200), "good", "good"),
        (Answered(404), "", ""),
        (Answered(529), "failed", "failed"),
        (Answered(522), "failed", "failed"),
        (Answered(200, first_error="overloaded_error"), "failed", "failed"),
        (Failed(timeout=True), "failed", "failed"),
        (Answered(429, refusal=ACCOUNT), "limit", "limit"),
        (Answered(429), "", "failed"),
        (Answered(429, refusal=SUCH), "", "failed"),
        (Answered(200, first_error="rate_limit_error"), "", "failed"),
        (Answered(400, refusal=SPENT), "limit", "limit"),
        (Answered(402, refusal=BROKE), "limit", "limit"),
        (Answered(402), "failed", "failed"),
        (Answered(400, refusal=EXTRA), "", "failed"),
        (Answered(400), "", ""),
    ],
)
def test_what_a_circuit_learns(outcome: Answered | Failed, verdict: str, of_its_own: str) -> None:
    assert policy.verdict(outcome, RULES, own_circuit=False) == verdict
    assert policy.verdict(outcome, RULES, own_circuit=True) == of_its_own


REJECTED = {b"anthropic-ratelimit-unified-status": b"rejected", b"anthropic-ratelimit-unified-reset": b"1800000000"}
NO_REQUESTS = {
    b"anthropic-ratelimit-requests-remaining": b"0",
    b"anthropic-ratelimit-requests-reset": b"2027-01-15T08:00:00Z",
}
LOW = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase."
REACHED = "You have reached your specified API usage limits. You will regain access on 2027-01-15 at 08:00 UTC."
LONG = "Extra usage is required for long context requests."
FAST = "This request would exceed your rate limit of 0 fast mode input tokens per minute (org: x, model: y)."
STEEP = "This request would exceed your organization's maximum usage increase rate."
MONEY, QUOTA, BOTH = frozenset(("billing",)), frozenset(("limit",)), frozenset(("429", "limit"))


@pytest.mark.parametrize(
    ("status", "fields", "kind", "message", "refusal"),
    [
        (429, REJECTED, "rate_limit_error", "This request would exceed your account's rate limit.", ACCOUNT),
        (429, {b"anthropic-ratelimit-unified-status": b"rejected"}, "", "", Refusal(BOTH, "account")),
        (429, {b"anthropic-ratelimit-unified-status": b"allowed"}, "rate_limit_error", "Rate limited", None),
        (429, NO_REQUESTS, "rate_limit_error", "Number of requests has exceeded your rate limit.", ACCOUNT),
        (429, NO_REQUESTS | {b"anthropic-ratelimit-requests-remaining": b"3"}, "", "", None),
        (429, {b"anthropic-ratelimit-requests-remaining": b"0"}, "", "", None),
        (429, {}, "rate_limit_error", "Rate limited", None),
        (429, REJECTED, "rate_limit_error", LONG, SUCH),
        (429, {}, "rate_limit_error", FAST, SUCH),
        (429, NO_REQUESTS, "rate_limit_error", STEEP, SUCH),
        (429, {}, "rate_limit_error", "You're out of extra usage. Add more", Refusal(BOTH, "request")),
        (429, {}, "billing_error", "the cap is reached", Refusal(frozenset(("429", "billing")), "account")),
        (400, {}, "invalid_request_error", LOW, BROKE),
        (400, {}, "invalid_request_error", "This organization has been disabled.", BROKE),
        (400, {}, "invalid_request_error", REACHED, Refusal(QUOTA, "account", 1.8e9)),
        (400, {}, "invalid_request_error", REACHED.replace("API", "workspace API").partition(" You ")[0], SPENT),
        (400, {}, "invalid_request_error", "You're out of extra usage. Add more at claude.ai/settings/usage", EXTRA),
        (400, {}, "invalid_request_error", "Third-party apps now draw from your extra usage, not your plan", EXTRA),
        (400, {}, "billing_error", "", BROKE),
        (402, {}, "billing_error", "Payment details?", BROKE),
        (402, {}, "", "", BROKE),
        (400, {}, "invalid_request_error", "messages: fast mode is no role", None),
        (400, {}, "invalid_request_error", LONG, None),
        (400, REJECTED, "invalid_request_error", "max_tokens: too large", None),
        (403, {}, "permission_error", LOW, None),
        (529, REJECTED, "overloaded_error", LOW, None),
    ],
)
def test_what_a_refusal_says(
    status: int, fields: dict[bytes, bytes], kind: str, message: str, refusal: Refusal | None
) -> None:
    assert read_refusal(status, fields, kind, message, reset_of(fields)) == refusal


@pytest.mark.parametrize("words", ["", "on 2027-13-01 at 00:00 UTC", "on 2027-01-01 at 99:00 UTC", "soon"])
def test_a_moment_that_is_none(words: str) -> None:
    found = read_refusal(
        400, {}, "", f"You have reached your specified API usage limits. You will regain access {words}"
    )
    assert found == SPENT


@pytest.mark.parametrize(
    ("betas", "own"),
    [
        (b"", ""),
        (b"claude-code-20250219,oauth-2025-04-20", ""),
        (b"oauth-2025-04-20,context-1m-2025-08-07", "1M context"),
        (b"fast-mode-2026-02-01", "fast mode"),
        (b"fast-mode-2026-02-01, context-1m-2025-08-07", "1M context, fast mode"),
    ],
)
def test_betas_that_have_limits_of_their_own(betas: bytes, own: str) -> None:
    assert betas_with_own_limits(betas) == own


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"", 600), (b"600", 600), (b"3000", 3000), (b"60", 600), (b"999999999", 3600), (b"0", 600), (b"-1", 600),
     (b"1e9", 600), (b"nan", 600), (b"soon", 600), (b"9" * 400, 600)],
)  # fmt: skip
def test_how_long_a_client_waits(value: bytes, seconds: float) -> None:
    assert client_timeout(value, 600.0) == seconds


@pytest.mark.parametrize("outcome", [outcome for outcome, _ in outcomes_and_words()])
def test_without_the_body_there_is_no_fallback(outcome: Answered | Failed) -> None:
    assert decide(outcome, RequestProgress(False, True, fallback=True), RULES) == PASS_ON


@pytest.mark.parametrize("kind", [kind for kind in FIRST_ERRORS if kind is not None])
def test_a_stream_that_begins_with_an_error_is_not_retried(kind: str) -> None:
    assert decide(Answered(200, first_error=kind), RequestProgress(**MESSAGE), RULES) == PASS_ON
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
        (Answered(200, first_error="invalid_request_error", refusal=BROKE), "400 billing"),
        (Answered(400, refusal=SPENT), "400 limit"),
        (Answered(402, refusal=BROKE), "402 billing"),
        (Answered(429, refusal=ACCOUNT), "429"),
        (Answered(522), "522"),
        (Failed(), "connection"),
        (Failed(lasting=True), "connection"),
        (Failed(stale=True), "connection"),
        (Failed(timeout=True), "timeout"),
    ],
)
def test_reason(outcome: Answered | Failed, text: str) -> None:
    assert policy.reason(outcome) == text


@pytest.mark.parametrize(
    ("is_client_fixable", "answered", "whose"),
    [(True, True, "bedrock"), (True, False, "bedrock"), (False, True, "anthropic"), (False, False, "own")],
)
def test_after_both_failed(is_client_fixable: bool, answered: bool, whose: str) -> None:
    assert policy.after_both_failed(is_client_fixable=is_client_fixable, answered=answered) == whose


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
    assert retry_after(value) == seconds


@pytest.mark.parametrize(
    ("value", "says"),
    [(None, None), (b"true", True), (b"false", False), (b" False ", False), (b"TRUE", True), (b"", None), (b"1", None)],
)
def test_should_retry(value: bytes | None, says: bool | None) -> None:
    assert should_retry(value) is says


def test_idempotent_methods() -> None:
    assert {b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"} == IDEMPOTENT_METHODS


ACCOUNT = Refusal(frozenset(("429", "limit")), "account", 5.0)
NO_MONEY = Refusal(frozenset(("billing",)), "account")
ONE_REQUEST = Refusal(frozenset(("429",)), "request")


@pytest.mark.parametrize(
    ("outcome", "lessons"),
    [
        # failure, alarm, is_account, is_served, circuit, reason
        (Answered(201), ("", False, False, True, "good", "none")),
        (Answered(400), ("", False, False, False, "", "none")),
        (Answered(404), ("", False, False, False, "", "none")),
        (Answered(501), ("answered 501", False, False, False, "", "none")),
        (Answered(408), ("answered 408", True, False, False, "failed", "408")),
        (Answered(529), ("answered 529", True, False, False, "failed", "529")),
        (Answered(429), ("", True, False, False, "", "429")),
        (Answered(429, refusal=ONE_REQUEST), ("", True, False, False, "", "429")),
        (Answered(429, refusal=ACCOUNT), ("", True, False, False, "limit", "limit reached")),
        (Answered(400, refusal=NO_MONEY), ("", True, True, False, "limit", "400 billing")),
        (Answered(402, refusal=NO_MONEY), ("", True, True, False, "limit", "402 billing")),
        (Answered(200, first_error="overloaded_error"),
         ("first event overloaded_error", True, False, False, "failed", "first event overloaded_error")),
        (Answered(200, first_error="rate_limit_error"), ("", True, False, False, "", "first event rate_limit_error")),
        (Answered(200, first_error="invalid_request_error", refusal=NO_MONEY),
         ("", True, True, False, "limit", "400 billing")),
        (Answered(200, first_error="invalid_request_error"), ("", False, False, True, "good", "none")),
        (Failed(), ("connection", True, False, False, "failed", "connection")),
        (Failed(timeout=True), ("timeout", True, False, False, "failed", "timeout")),
    ],
)  # fmt: skip
def test_lessons(outcome: Answered | Failed, lessons: tuple[object, ...]) -> None:
    assert policy.lessons(outcome, RULES, warned=False, own_circuit=False) == lessons


def test_a_limit_that_is_near_is_an_alarm() -> None:
    assert policy.lessons(Answered(404), RULES, warned=True, own_circuit=False).alarm


def test_a_request_with_limits_of_its_own_has_a_circuit_of_its_own() -> None:
    lessons = policy.lessons(Answered(429, refusal=ONE_REQUEST), RULES, warned=False, own_circuit=True)
    assert (lessons.circuit, lessons.reason) == ("failed", "429")
