"""What an upstream's outcome means: pass it on, or try again. Pure: no clock, no socket, no log.

This is the only place that decides it, for every lane. (Its types are tuples: some are made for each request.)
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

# Anthropic's trouble, not the request's: the same request may succeed a moment later.
RETRIED_STATUSES = frozenset((500, 502, 503, 504, 529))

IDEMPOTENT_METHODS = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))  # RFC 9110 9.2.2, less TRACE


class Answered(NamedTuple):
    """The upstream answered. *retry_after* is in seconds, *should_retry* its x-should-retry; None: it says nothing."""

    status: int
    retry_after: float | None = None
    should_retry: bool | None = None


class Failed(NamedTuple):
    """The upstream did not answer.

    *stale* means that a connection which had been idle died before any byte; *lasting*, that only a person can mend
    it, a certificate that is not trusted, say.
    """

    stale: bool = False
    lasting: bool = False


class Attempt(NamedTuple):
    """How far a request has come.

    *replayable*: its whole body is at hand. *repeatable*: doing it twice does no harm. *retries* have been made,
    *elapsed* seconds have gone by since the first try, *refreshed* says that the one fresh try has been used up.
    """

    replayable: bool
    repeatable: bool
    retries: int = 0
    elapsed: float = 0.0
    refreshed: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """The `[router]` part of the configuration that retries go by. Times in seconds."""

    num_retries: int
    timeout: float
    retry_after: float


class Decision(NamedTuple):
    """What to do: "pass" it on, "refresh" (once more at once, on a new connection, uncounted), or "retry" *after*."""

    act: Literal["pass", "refresh", "retry"]
    after: float = 0.0


PASS_ON = Decision("pass")
REFRESH = Decision("refresh")


def decide(outcome: Answered | Failed, attempt: Attempt, rules: Rules) -> Decision:
    """Decide what an outcome means. A retry never outlasts `timeout`; a longer Retry-After is passed on instead."""
    if not attempt.replayable:
        return PASS_ON
    if isinstance(outcome, Failed) and outcome.stale and not attempt.refreshed:
        return REFRESH
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
