"""What an upstream's outcome means: pass it on, try again, or fall back. Pure: no clock, no socket, no log.

This is the only place that decides it, for every lane. (Its types are tuples: some are made for each request.)

Sources of the tables: A = platform.claude.com/docs/en/api/errors; R = RFC 9110; CF = Cloudflare's documentation of its
5xx errors (it stands before Anthropic); CC = measured with Claude Code 2.1.330; "name#number" = an issue at GitHub.
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from claude_gatewayd.anthropic.errors import STATUS_OF_TYPE
from claude_gatewayd.anthropic.refusals import Refusal

# Whose trouble is it? These are Anthropic's, or of what stands before it, not the request's: the same request may
# succeed a moment later. Each with the word of `[router] fallback_on` that it goes by.
_TROUBLES: Final = {
    408: "504",  # R 15.5.9: whoever waited for us gave up; CC and both SDKs try again
    500: "500",  # A: api_error
    502: "502",  # R 15.6.3
    503: "503",  # R 15.6.4
    504: "504",  # A: timeout_error
    520: "502",  # CF: what came of the origin was no answer; claude-code#3197
    521: "502",  # CF: the origin refuses connections
    522: "504",  # CF: the connection to the origin timed out; claude-code#67341
    523: "502",  # CF: the origin cannot be reached
    524: "504",  # CF: the origin did not answer in time
    525: "502",  # CF: no TLS with the origin: not our certificates
    526: "502",  # CF: the origin's certificate is no good, for Cloudflare
    527: "502",  # CF: its own line to the origin is broken
    529: "529",  # A: overloaded_error
    530: "502",  # CF: the origin's name cannot be resolved, and other errors of its own
}
RETRIED_STATUSES: Final = frozenset(_TROUBLES)

# All that can be Anthropic's trouble, in the words of `[router] fallback_on`. A 429 is: a limit, not the request's
# fault. A limit of the account is "limit", too; money that is used up, or was not paid, "billing".
FALLBACK_ON: Final = frozenset(("429", "500", "502", "503", "504", "529", "connection", "timeout", "limit", "billing"))

_QUICK: Final = 3.0  # seconds that a person hardly notices beside a model's answer
_LONG: Final = 60.0  # of a Retry-After: beyond it Claude Code gives up, too (CC)


class Answered(NamedTuple):
    """The upstream answered. *retry_after* is in seconds, *should_retry* its x-should-retry; None: it says nothing.

    *first_error* is the type of an error that is the first event of its stream, where that was looked at. *refusal* is
    what it says of limits and money, where it says something.
    """

    status: int
    retry_after: float | None = None
    should_retry: bool | None = None
    first_error: str | None = None
    refusal: Refusal | None = None


class Failed(NamedTuple):
    """The upstream did not answer.

    *stale* means that a connection which had been idle died before any byte; *lasting*, that only a person can mend
    it, a certificate that is not trusted, say; *timeout*, that no connection or no byte came in time; *waited*, that it
    was asked, and given all the time that the client has.
    """

    stale: bool = False
    lasting: bool = False
    timeout: bool = False
    waited: bool = False


Outcome = Answered | Failed
Verdict = Literal["", "good", "failed", "limit"]  # on a circuit


class Progress(NamedTuple):
    """How far a request has come.

    *replayable*: its whole body is at hand. *repeatable*: doing it twice does no harm. *retries* have been made,
    *elapsed* seconds have gone by since the first try, *refreshed* says that the one fresh try has been used up.
    *fallback*: there is something to fall back to; *only_here*: there is not, for nobody else can do what is asked.
    *bought*: within a minute the same caller has had an answer for money where a second try was not made.
    """

    replayable: bool
    repeatable: bool
    retries: int = 0
    elapsed: float = 0.0
    refreshed: bool = False
    fallback: bool = False
    only_here: bool = False
    bought: bool = False


@dataclass(frozen=True, slots=True)
class RouterRules:
    """The `[router]` part of the configuration that this goes by. Times in seconds."""

    num_retries: int
    timeout: float
    retry_after: float
    fallback_on: frozenset[str] = FALLBACK_ON


class Decision(NamedTuple):
    """What to do.

    "pass" it on, "refresh" (once more at once, on a new connection), "fallback", "retry" *after*; or "retry first"
    *after*, and fall back if that fails, too.
    """

    act: Literal["pass", "refresh", "fallback", "retry", "retry first"]
    after: float = 0.0


PASS_ON = Decision("pass")
REFRESH = Decision("refresh")
FALL_BACK = Decision("fallback")
_NONE: Final[frozenset[str]] = frozenset()


def status_of_error(kind: str) -> int:
    """Return the status that an error has which comes as the first event of a stream, behind a 200."""
    return STATUS_OF_TYPE.get(kind, 400)


def status_of(outcome: Answered) -> int:
    """Return the status that counts: of a stream that begins with an error, the error's."""
    return outcome.status if outcome.first_error is None else status_of_error(outcome.first_error)


def words(outcome: Outcome) -> frozenset[str]:
    """Return what an outcome is in the words of `[router] fallback_on`; none of them: it is no trouble."""
    if isinstance(outcome, Failed):
        return frozenset(("timeout" if outcome.timeout else "connection",))
    if outcome.refusal is not None:
        return outcome.refusal.causes
    status = status_of(outcome)
    if status < 400:
        return _NONE
    word = "429" if status == 429 else "billing" if status == 402 else _TROUBLES.get(status)
    return _NONE if word is None else frozenset((word,))


def is_success(outcome: Outcome) -> bool:
    """Say whether it is a success: then nothing else has to be decided, and that costs nothing."""
    return isinstance(outcome, Answered) and outcome.status < 300 and outcome.first_error is None


def is_trouble(outcome: Outcome) -> bool:
    """Say whether it is Anthropic's trouble, not the request's."""
    return bool(words(outcome))


def falls_back_on_timeout(rules: RouterRules) -> bool:
    """Say whether a first byte that does not come is a reason to fall back."""
    return "timeout" in rules.fallback_on


def is_outage(outcome: Outcome) -> bool:
    """Say whether Anthropic itself is in trouble: a limit, or money, is the account's."""
    return isinstance(outcome, Failed) or (outcome.refusal is None and status_of(outcome) in _TROUBLES)


def verdict(outcome: Outcome, rules: RouterRules, *, own_circuit: bool) -> Verdict:
    """Say what an outcome is to a circuit: a success, a failure, a limit that is reached, or "", nothing.

    Only what is fallen back on counts against it. A 429 about one request says nothing of others, but for those that
    ask for the same beta: they have their *own_circuit*.
    """
    if not is_trouble(outcome):
        return "good" if isinstance(outcome, Answered) and outcome.status < 300 else ""
    if words(outcome).isdisjoint(rules.fallback_on):
        return ""
    if isinstance(outcome, Answered) and not is_outage(outcome):
        if outcome.refusal is not None and outcome.refusal.scope == "account":
            return "limit"
        if status_of(outcome) != 402:
            return "failed" if own_circuit else ""
    return "failed"


class Lessons(NamedTuple):
    """What an outcome shows beyond its own request.

    *failure*: how Anthropic fails, "" where it answers. *alarm*: it may soon not answer. *is_account*: the refusal
    speaks of the account's money. *is_served*: the client has an answer of Anthropic's. *circuit* is what `verdict`
    says, and *reason* why.
    """

    failure: str
    alarm: bool
    is_account: bool
    is_served: bool
    circuit: Verdict
    reason: str


def lessons(outcome: Outcome, rules: RouterRules, *, warned: bool, own_circuit: bool) -> Lessons:
    """Return what an outcome shows. *warned*: its headers say that a limit is near; for *own_circuit* see `verdict`."""
    circuit, why = verdict(outcome, rules, own_circuit=own_circuit), reason(outcome)
    if isinstance(outcome, Failed):
        return Lessons(why, True, False, False, circuit, why)
    status, troubled = outcome.status, is_trouble(outcome)
    failure = ""
    if status >= 500 or (status != 200 and is_outage(outcome)):
        failure = f"answered {status}"
    elif status == 200 and troubled:
        failure = why
    if circuit == "limit" and status_of(outcome) == 429:
        why = "limit reached"
    is_account = status != 429 and outcome.refusal is not None and outcome.refusal.scope == "account"
    return Lessons(failure, troubled or warned, is_account, status < 300 and not troubled, circuit, why)


def reason(outcome: Outcome) -> str:
    """Name an outcome for a person: what x-gateway-fallback says. ASCII, none of it the upstream's own choice."""
    if not is_trouble(outcome):
        return "none"
    if isinstance(outcome, Failed):
        return "timeout" if outcome.timeout else "connection"
    status = status_of(outcome)
    if outcome.first_error is not None and status != 400:  # so it is a type of the table, and no text of theirs
        return f"first event {outcome.first_error}"
    return " ".join([str(status), *sorted(words(outcome))]) if status in (400, 402) else str(status)


def decide(outcome: Outcome, progress: Progress, rules: RouterRules) -> Decision:
    """Decide what an outcome means.

    A retry is for when there is nowhere to fall to, or where it may save money. None begins after `timeout`, and none
    in the place of a try that waits; a longer Retry-After is passed on.
    """
    if not progress.replayable:
        return PASS_ON
    if isinstance(outcome, Failed) and outcome.stale and not progress.refreshed:
        return REFRESH
    if progress.fallback and not words(outcome).isdisjoint(rules.fallback_on):
        return _before_money(outcome, progress, rules)
    if progress.only_here or not progress.repeatable or progress.retries >= rules.num_retries:
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


def _before_money(outcome: Outcome, progress: Progress, rules: RouterRules) -> Decision:
    """Fall back; but try once more first where the limit is about one request, and that may be over in a moment.

    Where it would take longer, the first in a minute falls back at once, and only those after it are tried again.
    """
    if not isinstance(outcome, Answered) or status_of(outcome) != 429 or outcome.should_retry is False:
        return FALL_BACK
    if progress.retries or not rules.num_retries or (outcome.refusal and outcome.refusal.scope == "account"):
        return FALL_BACK
    named = min(rules.retry_after, 1.0) if outcome.retry_after is None else outcome.retry_after
    wait = named if named <= _QUICK else 1.0 if progress.bought and named <= _LONG else None
    return FALL_BACK if wait is None or progress.elapsed + wait >= rules.timeout else Decision("retry first", wait)


def after_both_failed(*, heals: bool, answered: bool) -> Literal["bedrock", "anthropic", "own"]:
    """Decide whose words the client gets when Bedrock failed as well: Bedrock's, Anthropic's, or a 502 of our own.

    *heals*: the client mends its request by what Bedrock said. *answered*: there is an answer of Anthropic's.
    """
    if heals:
        return "bedrock"
    return "anthropic" if answered else "own"
