"""Decide what an upstream's outcome means: pass it on, retry, or fall back. Pure: no clock, no socket, no log.

This is the only place that decides it, for every lane. Its types are tuples, since some are made for each request.

Sources of the tables: A = platform.claude.com/docs/en/api/errors; R = RFC 9110; CF = Cloudflare's documentation of its
5xx errors (it stands before Anthropic); CC = measured with Claude Code 2.1.330; "name#number" = an issue at GitHub.
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from claude_gatewayd.anthropic.errors import STATUS_OF_TYPE
from claude_gatewayd.anthropic.refusals import Refusal

# Failures of Anthropic, or of what stands before it, and not the request's fault: the same request may succeed a moment
# later. Each with its cause in the words of `[router] fallback_on`.
_FAILURES: Final = {
    408: "504",  # R 15.5.9: the server gave up waiting for the request; CC and both SDKs retry
    500: "500",  # A: api_error
    502: "502",  # R 15.6.3
    503: "503",  # R 15.6.4
    504: "504",  # A: timeout_error
    520: "502",  # CF: the origin's answer makes no sense; claude-code#3197
    521: "502",  # CF: the origin refuses connections
    522: "504",  # CF: the connection to the origin timed out; claude-code#67341
    523: "502",  # CF: the origin cannot be reached
    524: "504",  # CF: the origin did not answer in time
    525: "502",  # CF: no TLS with the origin; not about our certificates
    526: "502",  # CF: Cloudflare does not accept the origin's certificate
    527: "502",  # CF: its connection to the origin is broken
    529: "529",  # A: overloaded_error
    530: "502",  # CF: the origin's name cannot be resolved, and other errors of its own
}
RETRIED_STATUSES: Final = frozenset(_FAILURES)

# All causes that `[router] fallback_on` knows. A 429 is one: a limit is not the request's fault. A limit of the account
# is also "limit"; money that is used up, or was not paid, is "billing".
FALLBACK_ON: Final = frozenset(("429", "500", "502", "503", "504", "529", "connection", "timeout", "limit", "billing"))

_QUICK: Final = 3.0  # seconds: hardly noticed, compared with a model's answer
_LONG: Final = 60.0  # seconds of a Retry-After: beyond it Claude Code gives up, too (CC)


class Answered(NamedTuple):
    """The upstream answered. *retry_after* is in seconds, *should_retry* is x-should-retry; None without the header.

    *first_error* is the type of the error that its stream begins with, if that was inspected. *refusal* is what it says
    about limits and money.
    """

    status: int
    retry_after: float | None = None
    should_retry: bool | None = None
    first_error: str | None = None
    refusal: Refusal | None = None


class Failed(NamedTuple):
    """The upstream did not answer.

    *stale*: a connection that had been idle died before any byte. *lasting*: only a person can fix it, such as a
    certificate that is not trusted. *timeout*: no connection or no byte came in time. *waited*: the request was sent,
    and had all the time that the client waits.
    """

    stale: bool = False
    lasting: bool = False
    timeout: bool = False
    waited: bool = False


Outcome = Answered | Failed
FallbackWord = Literal["", "billing", "limit", "overloaded", "timeout", "unreachable", "error", "circuit"]

# The first that is among the causes of a failure.
_WORDS: Final[dict[str, FallbackWord]] = {
    "billing": "billing",
    "limit": "limit",
    "429": "limit",
    "529": "overloaded",
    "timeout": "timeout",
    "504": "timeout",
    "connection": "unreachable",
}
CircuitVerdict = Literal["", "good", "failed", "limit"]  # on a circuit


class RequestProgress(NamedTuple):
    """How far a request has come.

    *replayable*: all of its body is in memory. *repeatable*: sending it twice does no harm, and is worth the time: a
    count of tokens is not, since the client can estimate. *retries* is their number,
    *elapsed* the seconds since the first attempt; *refreshed*: the attempt on a new connection has been made.
    *fallback*: there is a fallback; *only_anthropic*: there is none, since nobody else can do what is asked for.
    *bought*: within the last minute, the caller got a paid answer without a second attempt.
    """

    replayable: bool
    repeatable: bool
    retries: int = 0
    elapsed: float = 0.0
    refreshed: bool = False
    fallback: bool = False
    only_anthropic: bool = False
    bought: bool = False


@dataclass(frozen=True, slots=True)
class RouterRules:
    """The settings of `[router]` that decide. Times in seconds."""

    num_retries: int
    timeout: float
    retry_after: float
    fallback_on: frozenset[str] = FALLBACK_ON


class Decision(NamedTuple):
    """What to do.

    "pass" it on, "refresh" (retry at once, on a new connection), "fallback", "retry" *after* so many seconds, or "retry
    first" *after*, and fall back if that fails, too.
    """

    act: Literal["pass", "refresh", "fallback", "retry", "retry first"]
    after: float = 0.0


PASS_ON = Decision("pass")
REFRESH = Decision("refresh")
FALL_BACK = Decision("fallback")
_NONE: Final[frozenset[str]] = frozenset()


def status_of_error(kind: str) -> int:
    """Return the status for an error that a stream begins with, after a 200."""
    return STATUS_OF_TYPE.get(kind, 400)


def status_of(outcome: Answered) -> int:
    """Return the status that counts: if a stream begins with an error, the error's."""
    return outcome.status if outcome.first_error is None else status_of_error(outcome.first_error)


def causes(outcome: Outcome) -> frozenset[str]:
    """Return the causes of a failure of Anthropic's, in the words of `[router] fallback_on`."""
    if isinstance(outcome, Failed):
        return frozenset(("timeout" if outcome.timeout else "connection",))
    if outcome.refusal is not None:
        return outcome.refusal.causes
    status = status_of(outcome)
    if status < 400:
        return _NONE
    word = "429" if status == 429 else "billing" if status == 402 else _FAILURES.get(status)
    return _NONE if word is None else frozenset((word,))


def is_success(outcome: Outcome) -> bool:
    """Whether it is a success: then there is nothing else to decide, and this costs nothing."""
    return isinstance(outcome, Answered) and outcome.status < 300 and outcome.first_error is None


def is_failure(outcome: Outcome) -> bool:
    """Whether Anthropic fails or has reached a limit; not if the request is at fault."""
    return bool(causes(outcome))


def falls_back_on_timeout(rules: RouterRules) -> bool:
    """Whether to fall back if no first byte comes in time."""
    return "timeout" in rules.fallback_on


def is_outage(outcome: Outcome) -> bool:
    """Whether Anthropic itself fails: a limit, or money, is about the account."""
    return isinstance(outcome, Failed) or (outcome.refusal is None and status_of(outcome) in _FAILURES)


def verdict(outcome: Outcome, rules: RouterRules, *, own_circuit: bool) -> CircuitVerdict:
    """Return what an outcome means to a circuit: a success, a failure, a limit that is reached, or "" for nothing.

    Only a cause in `fallback_on` counts against it. A 429 about one request says nothing about others, unless they ask
    for the same beta: those have their *own_circuit*.
    """
    if not is_failure(outcome):
        return "good" if isinstance(outcome, Answered) and outcome.status < 300 else ""
    if causes(outcome).isdisjoint(rules.fallback_on):
        return ""
    if isinstance(outcome, Answered) and not is_outage(outcome):
        if outcome.refusal is not None and outcome.refusal.scope == "account":
            return "limit"
        if status_of(outcome) != 402:
            return "failed" if own_circuit else ""
    return "failed"


class Lessons(NamedTuple):
    """What an outcome shows beyond its own request.

    *failure*: how Anthropic fails, "" if it answers. *alarm*: it may soon not answer. *is_account*: it refuses for want
    of the account's money. *is_served*: Anthropic serves the client. *circuit*: the verdict, and *reason* why.
    """

    failure: str
    alarm: bool
    is_account: bool
    is_served: bool
    circuit: CircuitVerdict
    reason: str


def lessons(outcome: Outcome, rules: RouterRules, *, warned: bool, own_circuit: bool) -> Lessons:
    """Return what an outcome shows. *warned*: a header says that a limit is near. For *own_circuit* see `verdict`."""
    circuit, why = verdict(outcome, rules, own_circuit=own_circuit), reason(outcome)
    if isinstance(outcome, Failed):
        return Lessons(why, True, False, False, circuit, why)
    status, failed = outcome.status, is_failure(outcome)
    failure = ""
    if status >= 500 or (status != 200 and is_outage(outcome)):
        failure = f"answered {status}"
    elif status == 200 and is_outage(outcome):
        failure = why
    if circuit == "limit" and status_of(outcome) == 429:
        why = "limit reached"
    is_account = status != 429 and outcome.refusal is not None and outcome.refusal.scope == "account"
    return Lessons(failure, failed or warned, is_account, status < 300 and not failed, circuit, why)


def reason(outcome: Outcome) -> str:
    """Describe an outcome for x-gateway-fallback. It is ASCII, and has no text of the upstream's."""
    if not is_failure(outcome):
        return "none"
    if isinstance(outcome, Failed):
        return "timeout" if outcome.timeout else "connection"
    status = status_of(outcome)
    if outcome.first_error is not None and status != 400:  # so it is a type that the table knows
        return f"first event {outcome.first_error}"
    return " ".join([str(status), *sorted(causes(outcome))]) if status in (400, 402) else str(status)


def word(outcome: Outcome) -> FallbackWord:
    """Return one word for a failure, for the ledger: few words make its sums few."""
    found = causes(outcome)
    return next((word for cause, word in _WORDS.items() if cause in found), "error")


def decide(outcome: Outcome, progress: RequestProgress, rules: RouterRules) -> Decision:
    """Decide what an outcome means.

    A retry is made if there is no fallback, or where it may save money. None begins after `timeout`, and none replaces
    an attempt that still waits. An answer with a longer Retry-After is passed on.
    """
    if not progress.replayable:
        return PASS_ON
    if isinstance(outcome, Failed) and outcome.stale and not progress.refreshed:
        return REFRESH
    if progress.fallback and not causes(outcome).isdisjoint(rules.fallback_on):
        return _fall_back_or_retry(outcome, progress, rules)
    if progress.only_anthropic or not progress.repeatable or progress.retries >= rules.num_retries:
        return PASS_ON
    if isinstance(outcome, Failed) and (outcome.lasting or outcome.waited):
        return PASS_ON
    wait = rules.retry_after
    if isinstance(outcome, Answered):
        if outcome.status not in RETRIED_STATUSES or outcome.should_retry is False:
            return PASS_ON
        if outcome.retry_after is not None:
            wait = outcome.retry_after
    if progress.elapsed + wait >= rules.timeout:
        return PASS_ON
    return Decision("retry", wait)


def _fall_back_or_retry(outcome: Outcome, progress: RequestProgress, rules: RouterRules) -> Decision:
    """Fall back, but retry once before if the limit is about one request: it may be over in a moment.

    If the wait is longer, the first such request in a minute falls back at once, and only the later ones are retried.
    """
    if not isinstance(outcome, Answered) or status_of(outcome) != 429 or outcome.should_retry is False:
        return FALL_BACK
    if progress.retries or not (progress.repeatable and rules.num_retries):
        return FALL_BACK
    if outcome.refusal and outcome.refusal.scope == "account":
        return FALL_BACK
    asked_for = min(rules.retry_after, 1.0) if outcome.retry_after is None else outcome.retry_after
    wait = asked_for if asked_for <= _QUICK else 1.0 if progress.bought and asked_for <= _LONG else None
    return FALL_BACK if wait is None or progress.elapsed + wait >= rules.timeout else Decision("retry first", wait)


def after_both_failed(*, is_client_fixable: bool, answered: bool) -> Literal["bedrock", "anthropic", "own"]:
    """Decide whose answer the client gets if Bedrock failed, too: Bedrock's, Anthropic's, or a 502 of our own.

    *is_client_fixable*: Bedrock's error lets the client correct its request. *answered*: Anthropic has answered.
    """
    if is_client_fixable:
        return "bedrock"
    return "anthropic" if answered else "own"
