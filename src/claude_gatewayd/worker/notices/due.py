"""Which notices are due, given what has been sent: each once, however often an upstream flaps. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from claude_gatewayd.aws.snapshot import CredentialSnapshot
from claude_gatewayd.worker.notices import notice as words
from claude_gatewayd.worker.notices.notice import DAY, Notice, NoticeRules
from claude_gatewayd.worker.serving import Serving
from claude_gatewayd.worker.usage.budget import NO_BUDGET, BudgetState

SETTLED = 10.0  # seconds without need of Bedrock before the notice that Anthropic is back
QUIET = 900.0  # seconds before a notice of the same event may be sent again
_SAME = 60.0  # seconds: two ends that differ by less count as one


class Sent(NamedTuple):
    """A notice that was sent: which end it was about (0.0 for none), and when."""

    end: float
    at: float


class NoticeHistory(NamedTuple):
    """What has been sent so far.

    *ends*: what was sent before an end, by the step in minutes, "registration", or a month's budget. *login*: the last
    notice about credentials that do not work, with the end of the login's token; without a known end it is dropped once
    they work. *serving*: who serves, as last reported. *last*: when each event that can recur was last sent.
    """

    ends: Mapping[str, Sent] = MappingProxyType({})
    login: Sent | None = None
    serving: Serving = Serving("anthropic")
    last: Mapping[str, float] = MappingProxyType({})


class Due(NamedTuple):
    """The notices that are due, and the history once they are sent. The same *history* object: nothing to do."""

    notices: list[Notice]
    history: NoticeHistory


def due(
    snapshot: CredentialSnapshot,
    serving: Serving,
    history: NoticeHistory,
    now: float,
    rules: NoticeRules,
    budget: BudgetState = NO_BUDGET,
) -> Due:
    """Decide what to send. Of several missed steps before an end only the nearest is sent."""
    notices: list[Notice] = []
    for decide in (_credentials, _steps, _registration):
        found, history = decide(snapshot, history, now, rules)
        notices += found
    found, history = _serving(serving, history, now)
    notices += found
    found, history = _budget(budget, history, now)
    return Due(notices + found, history)


def with_known_start(serving: Serving, history: NoticeHistory) -> Serving:
    """Return who serves, with the start that an earlier generation may have seen."""
    return serving._replace(since=history.serving.since) if serving.by == history.serving.by != "anthropic" else serving


def _credentials(snapshot: CredentialSnapshot, history: NoticeHistory, now: float, rules: NoticeRules) -> Due:
    """Report the transition to a state that needs a person. Being offline does not: it passes by itself.

    A token ends only once. A new generation that has not tried it yet takes it for good, which is no recovery.
    """
    if snapshot.state in ("ok", "expiring", "unconfigured"):
        passed = history.login is not None and not history.login.end
        return Due([], history._replace(login=None) if passed else history)
    if snapshot.state == "down" and not snapshot.hint:
        return Due([], history)
    end = snapshot.token_ends or 0.0
    found = words.credentials_failure(snapshot, now)
    last = history.last.get(found.event)
    if history.login is not None and _is_same(end, history.login.end):
        # After "Bedrock works until ..." the notice that it has stopped adds nothing. The other way round it does.
        if found.event == "bedrock-unusable" or (last is not None and last >= history.login.at):
            return Due([], history)
    elif not end and _is_recent(last, now, QUIET):
        return Due([], history)
    history = history._replace(login=Sent(end, now), last={**history.last, found.event: now})
    until = snapshot.works_until
    if until is not None:  # this notice covers the steps that have passed
        history = _with_sent(history, _passed(snapshot, until, now, rules), until, now)
    return Due([found], history)


def _steps(snapshot: CredentialSnapshot, history: NoticeHistory, now: float, rules: NoticeRules) -> Due:
    end = words.manual_renewal_due(snapshot)
    passed = _passed(snapshot, end, now, rules) if end is not None else []
    if end is None or not passed:
        return Due([], history)
    nearest = min(passed)
    if _was_sent(history.ends.get(str(nearest)), end, now, 60.0 * nearest):
        return Due([], history)
    return Due([words.credentials_end(snapshot, end, now)], _with_sent(history, passed, end, now))


def _passed(snapshot: CredentialSnapshot, end: float, now: float, rules: NoticeRules) -> list[int]:
    """Return the steps before an end that have been reached.

    For a login that renews itself, the notice that it no longer does replaces the first step.
    """
    steps = rules.warn_before[1:] if snapshot.refreshable else rules.warn_before
    return [step for step in steps if 0 < end - now <= 60.0 * step]


def _registration(snapshot: CredentialSnapshot, history: NoticeHistory, now: float, _rules: NoticeRules) -> Due:
    end = snapshot.registration_ends
    if end is None or not words.registration_is_near(snapshot, now):
        return Due([], history)
    if _was_sent(history.ends.get("registration"), end, now, DAY):
        return Due([], history)
    history = history._replace(ends={**history.ends, "registration": Sent(end, now)})
    return Due([words.registration_ends(snapshot, now)], history)


def _serving(serving: Serving, history: NoticeHistory, now: float) -> Due:
    before = history.serving
    if serving.by in ("", before.by):
        return Due([], history)
    if serving.by == "anthropic":
        if _is_recent(serving.since, now, SETTLED):
            return Due([], history)
        return Due([words.anthropic_back(before, serving.since)], history._replace(serving=serving))
    found = words.nobody_serves(serving) if serving.by == "nobody" else words.bedrock_serves(serving, now)
    if _is_recent(history.last.get(found.event), now, QUIET):
        return Due([], history)
    return Due([found], history._replace(serving=serving, last={**history.last, found.event: now}))


def _budget(budget: BudgetState, history: NoticeHistory, now: float) -> Due:
    """Report that much of a month's budget is spent, or all of it: once each, as long as it is the same budget."""
    if not budget.reached:
        return Due([], history)
    names = [f"budget {budget.month} {budget.limit:g} {step}" for step in (80, 100) if step <= budget.reached]
    if names[-1] in history.ends:
        return Due([], history)
    sent = {name: Sent(budget.ends, now) for name in names}
    return Due([words.budget(budget, now)], history._replace(ends={**history.ends, **sent}))


def _with_sent(history: NoticeHistory, steps: list[int], end: float, now: float) -> NoticeHistory:
    return history._replace(ends={**history.ends, **{str(step): Sent(end, now) for step in steps}})


def _was_sent(sent: Sent | None, end: float, now: float, pause: float) -> bool:
    """Whether this step was sent for this end, or for another so lately that short-lived keys would flood a person."""
    return sent is not None and (_is_same(sent.end, end) or _is_recent(sent.at, now, pause))


def _is_same(one: float, other: float) -> bool:
    return abs(one - other) < _SAME


def _is_recent(at: float | None, now: float, within: float) -> bool:
    """Whether a time was just now. One in the future was written before the clock was set back: it does not count."""
    return at is not None and 0 <= now - at < within
