"""Which notices are due, given what has been sent: each once, and a flapping upstream is no storm. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from claude_gatewayd.aws.snapshot import Snapshot
from claude_gatewayd.worker.notices import notice as words
from claude_gatewayd.worker.notices.notice import DAY, Notice, NoticeRules
from claude_gatewayd.worker.serving import Serving

SETTLED = 10.0  # seconds for which nobody has needed Bedrock, before Anthropic is said to be back
QUIET = 900.0  # the same trouble, come again, is told no sooner
_SAME = 60.0  # two ends that differ by less are one


class Mark(NamedTuple):
    """Something was sent: of which end (0.0 where it has none), and when."""

    end: float
    at: float


@dataclass(frozen=True, slots=True)
class NoticeHistory:
    """What has been sent.

    *ends* has a mark for each step before an end, by its minutes, and for "registration". *login* is the mark of the
    last trouble with the credentials, by the end of the login's token; where that is not known, until it has passed.
    *serving* is who serves, as far as that was sent. *last* is when an event was last told that may come again.
    """

    ends: Mapping[str, Mark] = field(default_factory=dict)
    login: Mark | None = None
    serving: Serving = field(default_factory=lambda: Serving("anthropic"))
    last: Mapping[str, float] = field(default_factory=dict)


class Due(NamedTuple):
    """The notices that are due, and what has been told once they are. The same *told* means there is nothing to do."""

    notices: list[Notice]
    history: NoticeHistory


def due(snapshot: Snapshot, serving: Serving, history: NoticeHistory, now: float, rules: NoticeRules) -> Due:
    """Decide what to tell. Where several steps before an end were missed, only the nearest is sent."""
    notices: list[Notice] = []
    for decide in (_credentials, _steps, _registration):
        found, history = decide(snapshot, history, now, rules)
        notices += found
    found, history = _serving(serving, history, now)
    return Due(notices + found, history)


def known(serving: Serving, history: NoticeHistory) -> Serving:
    """Return who serves, and since when: an earlier generation may have seen it begin."""
    return replace(serving, since=history.serving.since) if serving.by == history.serving.by != "anthropic" else serving


def _credentials(snapshot: Snapshot, history: NoticeHistory, now: float, rules: NoticeRules) -> Due:
    """Tell of the transition to a state that needs a person. To be offline is none: it passes by itself.

    One token comes to its end once: a generation that has not tried it yet says that all is well, and means nothing.
    """
    if snapshot.state in ("ok", "expiring", "unconfigured"):
        passed = history.login is not None and not history.login.end
        return Due([], replace(history, login=None) if passed else history)
    if snapshot.state == "down" and not snapshot.hint:
        return Due([], history)
    end = snapshot.token_ends or 0.0
    found = words.trouble(snapshot, now)
    last = history.last.get(found.event)
    if history.login is not None and _is_same(end, history.login.end):
        # That Bedrock has stopped is no news after the word that it would. The other way round it is.
        if found.event == "bedrock-unusable" or (last is not None and last >= history.login.at):
            return Due([], history)
    elif not end and _is_recent(last, now, QUIET):
        return Due([], history)
    history = replace(history, login=Mark(end, now), last={**history.last, found.event: now})
    until = snapshot.works_until
    if until is not None:  # what the steps before it would say has just been said
        history = _marked(history, _passed(snapshot, until, now, rules), until, now)
    return Due([found], history)


def _steps(snapshot: Snapshot, history: NoticeHistory, now: float, rules: NoticeRules) -> Due:
    end = words.end_of(snapshot)
    passed = _passed(snapshot, end, now, rules) if end is not None else []
    if end is None or not passed:
        return Due([], history)
    nearest = min(passed)
    if _is_told(history.ends.get(str(nearest)), end, now, 60.0 * nearest):
        return Due([], history)
    return Due([words.credentials_end(snapshot, end, now)], _marked(history, passed, end, now))


def _passed(snapshot: Snapshot, end: float, now: float, rules: NoticeRules) -> list[int]:
    """Return the steps before an end that are behind us.

    That a login which renews itself did not takes the place of the first.
    """
    steps = rules.warn_before[1:] if snapshot.refreshable else rules.warn_before
    return [step for step in steps if 0 < end - now <= 60.0 * step]


def _registration(snapshot: Snapshot, history: NoticeHistory, now: float, _rules: NoticeRules) -> Due:
    end = snapshot.registration_ends
    if end is None or not words.registration_is_near(snapshot, now):
        return Due([], history)
    if _is_told(history.ends.get("registration"), end, now, DAY):
        return Due([], history)
    marked = replace(history, ends={**history.ends, "registration": Mark(end, now)})
    return Due([words.registration_ends(snapshot, now)], marked)


def _serving(serving: Serving, history: NoticeHistory, now: float) -> Due:
    before = history.serving
    if serving.by in ("", before.by):
        return Due([], history)
    if serving.by == "anthropic":
        if _is_recent(serving.since, now, SETTLED):
            return Due([], history)
        return Due([words.anthropic_back(before, serving.since)], replace(history, serving=serving))
    found = words.nobody_serves(serving) if serving.by == "nobody" else words.bedrock_serves(serving, now)
    if _is_recent(history.last.get(found.event), now, QUIET):
        return Due([], history)
    return Due([found], replace(history, serving=serving, last={**history.last, found.event: now}))


def _marked(history: NoticeHistory, steps: list[int], end: float, now: float) -> NoticeHistory:
    return replace(history, ends={**history.ends, **{str(step): Mark(end, now) for step in steps}})


def _is_told(mark: Mark | None, end: float, now: float, pause: float) -> bool:
    """Say whether a step was told of this end; or of another so lately that keys which live shortly were a storm."""
    return mark is not None and (_is_same(mark.end, end) or _is_recent(mark.at, now, pause))


def _is_same(one: float, other: float) -> bool:
    return abs(one - other) < _SAME


def _is_recent(at: float | None, now: float, within: float) -> bool:
    """Say whether a time was just now. One that is to come was written by a clock that has been set back since."""
    return at is not None and 0 <= now - at < within
