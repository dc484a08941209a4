"""The notices that a person can get: their texts, and which of them are true now. Pure."""

from typing import Any, Literal, NamedTuple

from claude_gatewayd.aws.snapshot import CredentialSnapshot
from claude_gatewayd.printable import one_line
from claude_gatewayd.system.clock_time import clock_time
from claude_gatewayd.worker.serving import Serving
from claude_gatewayd.worker.usage.budget import NO_BUDGET, BudgetState

Event = Literal[
    "login-needed", "bedrock-unusable", "credentials-end", "registration-ends",
    "bedrock-serves", "nobody-serves", "anthropic-back", "budget-near", "budget-reached",
]  # fmt: skip

DAY = 86400.0
STATUS = "claude-gatewayctl status"
LOGIN = "claude-gatewayctl sso-login"
_MAX_TEXT = 300  # of a text that quotes others
_BY_SSO = ("sso", "sso-legacy", "role-chain")
_KINDS = dict.fromkeys((*_BY_SSO, "login"), ("AWS login", "ends", "it does not renew itself")) | {
    "bearer": ("Bedrock API key", "ends", "it does not renew itself")
}
_CAUSES = {
    "limit reached": "a limit of your subscription is reached",
    "400 limit": "a usage limit of your account is reached",
    "400 billing": "your credit at Anthropic is used up, or your organization disabled",
    "402 billing": "Anthropic asks for payment",
    "connection": "Anthropic cannot be reached",
    "timeout": "Anthropic does not answer in time",
}


class NoticeRules(NamedTuple):
    """When notices are due: *warn_before* an end, in minutes, the longest first."""

    warn_before: tuple[int, ...] = (60, 15, 5)


class Notice(NamedTuple):
    """One notice. *event* is for programs; *hint* is the command that helps, "" if nothing has to be done.

    *since* and *until* are seconds since the epoch. *is_urgent*: a person should act.
    """

    event: Event
    title: str
    message: str
    hint: str = ""
    since: float | None = None
    until: float | None = None
    is_urgent: bool = True

    @property
    def line(self) -> str:
        """All of it on one line, for the log."""
        return f"{self.title}: run {self.hint} ({self.message})" if self.hint else f"{self.title}: {self.message}"

    def as_dict(self) -> dict[str, Any]:
        """Return the form it has in the status."""
        return self._asdict()


def active(
    snapshot: CredentialSnapshot, serving: Serving, now: float, rules: NoticeRules, spent: BudgetState = NO_BUDGET
) -> list[Notice]:
    """Return the notices that are true now, sent or not, the most urgent first."""
    found = []
    if serving.by == "nobody":
        found.append(nobody_serves(serving))
    if snapshot.state in ("login-needed", "down"):
        found.append(credentials_failure(snapshot, now))
    elif (end := manual_renewal_due(snapshot)) is not None and 0 < end - now <= 60.0 * max(
        rules.warn_before, default=0
    ):
        found.append(credentials_end(snapshot, end, now))
    if serving.by == "bedrock":
        found.append(bedrock_serves(serving, now))
    if registration_is_near(snapshot, now):
        found.append(registration_ends(snapshot, now))
    if spent.reached:
        found.append(budget(spent, now))
    return found


def manual_renewal_due(snapshot: CredentialSnapshot) -> float | None:
    """Return the end of what a person has to renew; None if it renews itself, or has ended."""
    if snapshot.state == "login-needed":
        return snapshot.works_until
    if snapshot.state not in ("ok", "expiring") or snapshot.refreshable:
        return None
    if snapshot.token_ends is not None or snapshot.works_until is not None:
        return snapshot.token_ends if snapshot.token_ends is not None else snapshot.works_until
    # The keys of a role, a process or a machine end as well, but new ones come by themselves.
    return snapshot.keys_end if snapshot.kind in ("temporary", "bearer") else None


def registration_is_near(snapshot: CredentialSnapshot, now: float) -> bool:
    """Whether a login soon stops renewing itself, because our registration as a client ends."""
    if not snapshot.refreshable or snapshot.registration_ends is None or snapshot.state not in ("ok", "expiring"):
        return False
    return 0 < snapshot.registration_ends - now < DAY


def credentials_failure(snapshot: CredentialSnapshot, now: float) -> Notice:
    """Bedrock stops, or has stopped, for lack of credentials."""
    until = snapshot.works_until if snapshot.works_until is not None and snapshot.works_until > now else None
    usual = ("the AWS login has ended", LOGIN) if snapshot.state == "login-needed" else ("no AWS credentials work", "")
    why, hint = _shortened(snapshot.why or usual[0]), snapshot.hint or usual[1]
    if until is None:
        return Notice("bedrock-unusable", "Bedrock cannot be used", why, hint)
    return Notice("login-needed", f"Bedrock works until {clock_time(until, now)}", why, hint, until=until)


def credentials_end(snapshot: CredentialSnapshot, end: float, now: float) -> Notice:
    """Credentials end that do not renew themselves."""
    if snapshot.state == "login-needed":
        return credentials_failure(snapshot, now)
    after = "Bedrock stops when the last keys of it end" if snapshot.token_ends else "Bedrock cannot step in after that"
    what, ends, renews = _KINDS.get(snapshot.kind, ("AWS keys", "end", "they do not renew themselves"))
    whose = f" of {snapshot.source}" if snapshot.source else ""
    return Notice(
        "credentials-end",
        f"The {what}{whose} {ends} at {clock_time(end, now)}",
        f"{renews}, and {after}",
        snapshot.hint or (LOGIN if snapshot.kind in _BY_SSO else "claude-gatewayctl credentials"),
        until=end,
    )


def registration_ends(snapshot: CredentialSnapshot, now: float) -> Notice:
    """The login soon stops renewing itself."""
    end = snapshot.registration_ends or now
    return Notice(
        "registration-ends",
        f"The AWS login stops renewing itself at {clock_time(end, now)}",
        "its registration as a client ends, and a new login makes a new one",
        LOGIN,
        until=end,
        is_urgent=False,
    )


def bedrock_serves(serving: Serving, now: float) -> Notice:
    """Bedrock answers in Anthropic's place."""
    title = f"Claude Code is served by Bedrock since {clock_time(serving.since, now)}"
    return Notice("bedrock-serves", title, describe_cause(serving.why), since=serving.since, is_urgent=False)


def nobody_serves(serving: Serving) -> Notice:
    """Bedrock was needed, and could not answer either."""
    message = _shortened(
        f"{describe_cause(serving.why)}; {serving.trouble}" if serving.trouble else describe_cause(serving.why)
    )
    title = "Neither Anthropic nor Bedrock answers"
    return Notice("nobody-serves", title, message, serving.hint or STATUS, since=serving.since)


def anthropic_back(before: Serving, since: float) -> Notice:
    """The outage that *before* was about is over: Anthropic answers again *since* then."""
    took = f" after {duration(since - before.since)}" if since > before.since > 0 else ""
    message = "Bedrock is no longer needed" if before.by == "bedrock" else "it answers as before"
    return Notice("anthropic-back", f"Anthropic is back{took}", message, is_urgent=False)


def budget(spent: BudgetState, now: float) -> Notice:
    """Much of the month's budget for Bedrock is spent, or all of it."""
    so_far = f"${spent.spent:,.2f} of [bedrock] monthly_budget, ${spent.limit:,.2f}"
    if spent.unpriced:
        so_far += f", and {spent.unpriced} request{'' if spent.unpriced == 1 else 's'} without a known price"
    if spent.reached == 100:
        message = f"{so_far}; names that end with -bedrock are still answered"
        title = f"This month's budget for Bedrock is spent: no fallback until {clock_time(spent.ends, now)}"
        more = f"claude-gatewayctl config set bedrock.monthly_budget {2 * spent.limit:g} --reload"
        return Notice("budget-reached", title, message, more)
    title = f"{spent.spent / spent.limit:.0%} of this month's budget for Bedrock is spent"
    return Notice("budget-near", title, so_far, is_urgent=False)


def describe_cause(why: str) -> str:
    """Return a reason of `policy` or of the circuit as a person reads it."""
    if why in _CAUSES:
        return _CAUSES[why]
    return f"Anthropic answers {why.removeprefix('first event ')}" if why else "Anthropic cannot"


def duration(seconds: float) -> str:
    """Return a duration to the minute, or to the hour."""
    whole = round(seconds / 60)
    if whole < 1:
        return "less than a minute"
    return f"{whole} min" if whole < 120 else f"{round(whole / 60)} h"


def _shortened(text: str) -> str:
    flat = one_line(" ".join(text.split()))
    return flat if len(flat) <= _MAX_TEXT else f"{flat[: _MAX_TEXT - 1]}…"
