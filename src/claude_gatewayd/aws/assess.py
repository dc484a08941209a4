"""How the credentials are, and when something is to be done about it. Pure: facts and a time in, a Snapshot out."""

from typing import Final

from claude_gatewayd.aws.facts import CredentialFacts, Failure, SsoLogin, Validity
from claude_gatewayd.aws.snapshot import CredentialSnapshot, CredentialState

EXPIRING_WITHIN: Final = 3600.0  # an end that nobody but a person can put off is in sight
TOKEN_RENEWAL_WINDOW: Final = 900.0  # an access token is renewed when it has this long left, or half of a short life
_EXPIRING_WHEN_FAILING: Final = 600.0  # renewal fails, and so little is left; a quarter of a short life
_MAX_RETRY_DELAY: Final = 60.0
_MIN_RETRY_DELAY: Final = 0.5
_LOGIN_RETRY_DELAY: Final = (
    300.0  # a login that is over comes back by a person, whose file is watched; AWS may err, though
)


def assess(facts: CredentialFacts, now: float) -> CredentialSnapshot:
    """Return how things are at *now*."""
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
    """Return the state, when Bedrock stops unless somebody acts, and why with what mends it."""
    failure, keys, login = facts.failure, facts.keys, facts.login
    why, hint = (failure.why, failure.hint) if failure is not None else ("", "")
    if facts.kind == "none":
        return "down" if facts.profile else "unconfigured", None, why, hint
    ends = keys.ends if keys is not None else None
    if failure is not None and (keys is None or facts.refused or failure.cause == "clock"):
        return "down", None, why, hint
    if keys is None:
        return "ok", None, "", ""  # nobody has asked yet
    if ends is not None and ends <= now:
        if failure is None and facts.renewable:
            return "ok", None, "", ""  # renewed as soon as anybody needs them
        if failure is not None:
            return "down", ends, why, hint  # who is offline is not to log in
        return "down", ends, "the keys have ended", facts.login_command
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
    """Return when something is to be renewed next, None: never, unless a file changes. It may be past already."""
    if facts.kind == "none":
        return None
    if not facts.renewable:
        return 0.0 if facts.keys is None and facts.failure is None else None
    times = [keys_due(facts.keys), login_due(facts.login)]
    wanted = min((time for time in times if time is not None), default=None)
    if facts.failure is None:
        return wanted
    again = facts.failure.at + retry_delay(facts.failure, facts.keys, now)
    # Of keys that AWS does not take it is no matter how long they live; of a login that is over, neither.
    lost = facts.failure.cause == "login" or (facts.refused and facts.failure.cause != "refused")
    return again if wanted is None or lost else max(wanted, again)


def keys_due(keys: Validity | None) -> float | None:
    """Return when keys are to be renewed: at half of their life. What lives over 20 minutes has 10 left then."""
    if keys is None:
        return 0.0
    return (keys.since + keys.ends) / 2 if keys.ends is not None else None


def login_due(login: SsoLogin | None) -> float | None:
    """Return when an access token is to be renewed: 15 minutes before its end, or at half of a shorter life."""
    if login is None or not login.refreshable:
        return None
    return login.ends - min(TOKEN_RENEWAL_WINDOW, max(0.0, login.ends - login.since) / 2)


def retry_delay(failure: Failure, keys: Validity | None, now: float) -> float:
    """Return how long not to try again: twice as long each time, but more often as the end comes near."""
    if failure.cause == "login":
        return _LOGIN_RETRY_DELAY
    wait = min(_MAX_RETRY_DELAY, 2.0 ** min(failure.times - 1, 10))
    if keys is not None and keys.ends is not None and keys.ends > now:
        wait = min(wait, (keys.ends - now) / 4)
    return max(_MIN_RETRY_DELAY, wait)
