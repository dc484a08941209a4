"""The state of the credentials, and when to renew what. Pure: facts and a time in, a snapshot out."""

from typing import Final

from claude_gatewayd.aws.facts import CredentialFacts, Failure, LoginFacts, Validity
from claude_gatewayd.aws.snapshot import CredentialSnapshot, CredentialState

EXPIRING_WITHIN: Final = 3600.0  # before an end that only a person can put off
TOKEN_RENEWAL_WINDOW: Final = 900.0  # seconds left of an access token when it is renewed; half of a shorter life
_EXPIRING_WHEN_FAILING: Final = 600.0  # seconds left of the keys while renewal fails; a quarter of a short life
_MAX_RETRY_DELAY: Final = 60.0
_MIN_RETRY_DELAY: Final = 0.5
_LOGIN_RETRY_DELAY: Final = 300.0  # a new login is seen in its file; this is in case AWS was wrong


def assess(facts: CredentialFacts, now: float) -> CredentialSnapshot:
    """Return the state of the credentials at *now*."""
    state, works_until, why, hint = _state_of(facts, now)
    login, keys = facts.login, facts.keys
    next_check = due(facts, now)
    return CredentialSnapshot(
        state=state,
        kind=facts.kind,
        source=facts.source,
        profile=facts.profile,
        refreshable=login.refreshable if login is not None else facts.renewable,
        token_ends=login.ends if login is not None else None,
        registration_ends=login.registration_ends if login is not None else None,
        keys_end=keys.ends if keys is not None else None,
        works_until=works_until,
        next_check=None if next_check is None else max(now, next_check),
        why=why,
        hint=hint,
        account=facts.account,
        role=facts.role,
    )


def _state_of(facts: CredentialFacts, now: float) -> tuple[CredentialState, float | None, str, str]:
    """Return the state, when Bedrock stops unless somebody acts, the reason, and the command that helps."""
    failure, keys, login = facts.failure, facts.keys, facts.login
    why, hint = (failure.why, failure.hint) if failure is not None else ("", "")
    if facts.kind == "none":
        return "down" if facts.profile else "unconfigured", None, why, hint
    ends = keys.ends if keys is not None else None
    if failure is not None and (keys is None or facts.refused or failure.cause == "clock"):
        return "down", None, why, hint
    if keys is None:
        return "ok", None, "", ""  # no request has needed any yet
    if ends is not None and ends <= now:
        if failure is None and facts.renewable:
            return "ok", None, "", ""  # renewed as soon as a request needs them
        if failure is not None:
            return "down", ends, why, hint  # a login would not help who is offline
        again = ": get new ones by the program that wrote them" if facts.kind == "temporary" else ""
        return "down", ends, f"the keys have ended{again}", facts.login_command
    if failure is not None and failure.cause == "login":
        return "login-needed", ends, why, hint
    if not facts.renewable:
        state = _ok_or_expiring(ends, now)
        return state, ends, why, hint or (facts.login_command if state == "expiring" else "")
    if login is not None and not login.refreshable:
        if login.ends <= now:
            return "login-needed", ends, why or "the login has ended", hint or facts.login_command
        state = _ok_or_expiring(login.ends, now)
        return state, max(login.ends, ends or 0.0), why, hint or (facts.login_command if state == "expiring" else "")
    if failure is not None and ends is not None and keys is not None:
        few = min(_EXPIRING_WHEN_FAILING, (ends - keys.since) / 4)
        return ("expiring" if ends - now <= few else "ok"), ends, why, hint
    return "ok", None, why, hint


def _ok_or_expiring(ends: float | None, now: float) -> CredentialState:
    return "expiring" if ends is not None and ends - now <= EXPIRING_WITHIN else "ok"


def due(facts: CredentialFacts, now: float) -> float | None:
    """Return when the next renewal is due, which may be in the past; None for never, unless a file changes."""
    if facts.kind == "none":
        return None
    if not facts.renewable:
        return 0.0 if facts.keys is None and facts.failure is None else None
    times = [keys_due(facts.keys), login_due(facts.login)]
    wanted = min((time for time in times if time is not None), default=None)
    if facts.failure is None:
        return wanted
    again = facts.failure.at + retry_delay(facts.failure, facts.keys, now)
    # If AWS rejects the keys, or the login has ended, there is no renewal of theirs to wait for.
    lost = facts.failure.cause == "login" or (facts.refused and facts.failure.cause != "refused")
    return again if wanted is None or lost else max(wanted, again)


def keys_due(keys: Validity | None) -> float | None:
    """Return when keys are due for renewal: at half their life, so that keys of 20 minutes have 10 left."""
    if keys is None:
        return 0.0
    return (keys.since + keys.ends) / 2 if keys.ends is not None else None


def login_due(login: LoginFacts | None) -> float | None:
    """Return when an access token is due for renewal: 15 minutes before its end, or at half of a shorter life."""
    if login is None or not login.refreshable:
        return None
    return login.ends - min(TOKEN_RENEWAL_WINDOW, max(0.0, login.ends - login.since) / 2)


def retry_delay(failure: Failure, keys: Validity | None, now: float) -> float:
    """Return how long to wait before the next attempt: twice as long each time, but less as the keys near their end."""
    if failure.cause == "login":
        return _LOGIN_RETRY_DELAY
    wait = min(_MAX_RETRY_DELAY, 2.0 ** min(failure.times - 1, 10))
    if keys is not None and keys.ends is not None and keys.ends > now:
        wait = min(wait, (keys.ends - now) / 4)
    return max(_MIN_RETRY_DELAY, wait)
