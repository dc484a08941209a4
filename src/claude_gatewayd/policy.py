"""What an upstream's outcome means: pass it on, try again, or fall back. Pure: no clock, no socket, no log.

This is the only place that decides it, for every lane. (Its types are tuples: some are made for each request.)
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

# Anthropic's trouble, not the request's: the same request may succeed a moment later.
RETRIED_STATUSES = frozenset((500, 502, 503, 504, 529))

# All that can be Anthropic's trouble, in the words of `[router] fallback_on`. A 429 is: the account's limit, not the
# request's fault.
FALLBACK_ON = frozenset(("429", "500", "502", "503", "504", "529", "connection", "timeout"))

# docs.anthropic.com, "Errors": the types that Anthropic's trouble has. The others are the request's own fault.
_STATUS_OF_ERRORS = {"rate_limit_error": 429, "api_error": 500, "timeout_error": 504, "overloaded_error": 529}

IDEMPOTENT_METHODS = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))  # RFC 9110 9.2.2, less TRACE


class Answered(NamedTuple):
    """The upstream answered. *retry_after* is in seconds, *should_retry* its x-should-retry; None: it says nothing.

    *first_error* is the type of an error that is the first event of its stream, where that was looked at.
    """

    status: int
    retry_after: float | None = None
    should_retry: bool | None = None
    first_error: str | None = None


class Failed(NamedTuple):
    """The upstream did not answer.

    *stale* means that a connection which had been idle died before any byte; *lasting*, that only a person can mend
    it, a certificate that is not trusted, say; *timeout*, that no byte came in time.
    """

    stale: bool = False
    lasting: bool = False
    timeout: bool = False


Outcome = Answered | Failed


class Attempt(NamedTuple):
    """How far a request has come.

    *replayable*: its whole body is at hand. *repeatable*: doing it twice does no harm. *retries* have been made,
    *elapsed* seconds have gone by since the first try, *refreshed* says that the one fresh try has been used up.
    *fallback*: there is something to fall back to.
    """

    replayable: bool
    repeatable: bool
    retries: int = 0
    elapsed: float = 0.0
    refreshed: bool = False
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """The `[router]` part of the configuration that this goes by. Times in seconds."""

    num_retries: int
    timeout: float
    retry_after: float
    fallback_on: frozenset[str] = FALLBACK_ON


class Decision(NamedTuple):
    """What to do: "pass" it on, "refresh" (once more at once, on a new connection), "fallback", or "retry" *after*."""

    act: Literal["pass", "refresh", "fallback", "retry"]
    after: float = 0.0


PASS_ON = Decision("pass")
REFRESH = Decision("refresh")
FALL_BACK = Decision("fallback")


def status_of_error(kind: str) -> int:
    """Return the status that an error has which comes as the first event of a stream, behind a 200."""
    return _STATUS_OF_ERRORS.get(kind, 400)


def status_of(outcome: Answered) -> int:
    """Return the status that counts: of a stream that begins with an error, the error's."""
    return outcome.status if outcome.first_error is None else status_of_error(outcome.first_error)


def cause(outcome: Outcome) -> str:
    """Name an outcome in the words of `[router] fallback_on`; what is no trouble has its status for a name."""
    if isinstance(outcome, Failed):
        return "timeout" if outcome.timeout else "connection"
    return str(status_of(outcome))


def is_trouble(outcome: Outcome) -> bool:
    """Say whether it is Anthropic's trouble, not the request's."""
    return cause(outcome) in FALLBACK_ON


def opens_circuit(outcome: Outcome, rules: Rules) -> bool:
    """Say whether it counts against the circuit: only what is fallen back on may lead to Bedrock that way too."""
    return cause(outcome) in rules.fallback_on


def reason(outcome: Outcome) -> str:
    """Name an outcome for a person: what x-gateway-fallback says. ASCII, none of it the upstream's own choice."""
    if not is_trouble(outcome):
        return "none"
    if isinstance(outcome, Answered) and outcome.first_error is not None:
        return f"first event {outcome.first_error}"  # one of the types that we know, else it were no trouble
    return cause(outcome)


def decide(outcome: Outcome, attempt: Attempt, rules: Rules) -> Decision:
    """Decide what an outcome means.

    A retry is for when there is nowhere to fall to. It never outlasts `timeout`; a longer Retry-After is passed on.
    """
    if not attempt.replayable:
        return PASS_ON
    if isinstance(outcome, Failed) and outcome.stale and not attempt.refreshed:
        return REFRESH
    if attempt.fallback and cause(outcome) in rules.fallback_on:
        return FALL_BACK
    if not attempt.repeatable or attempt.retries >= rules.num_retries:
        return PASS_ON
    if isinstance(outcome, Failed) and outcome.lasting:
        return PASS_ON
    wait = rules.retry_after
    if isinstance(outcome, Answered):
        if outcome.status not in RETRIED_STATUSES or outcome.should_retry is False:
            return PASS_ON
        if outcome.retry_after is not None:
            wait = outcome.retry_after
    if attempt.elapsed + wait >= rules.timeout:
        return PASS_ON
    return Decision("retry", wait)


def after_both_failed(*, heals: bool, answered: bool) -> Literal["bedrock", "anthropic", "own"]:
    """Decide whose words the client gets when Bedrock failed as well: Bedrock's, Anthropic's, or a 502 of our own.

    *heals*: the client mends its request by what Bedrock said. *answered*: there is an answer of Anthropic's.
    """
    if heals:
        return "bedrock"
    return "anthropic" if answered else "own"


def retry_after(value: bytes | None) -> float | None:
    """Read a Retry-After header: seconds. A date, which Anthropic does not send, is read as "a long time"."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return float("inf")
    return seconds if seconds >= 0 else 0.0


def should_retry(value: bytes | None) -> bool | None:
    """Read an x-should-retry header."""
    return {b"true": True, b"false": False}.get(value.strip().lower()) if value is not None else None
