"""How credentials are at a time, as a table: no clock, no file, no thread."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.aws.assess import assess, due, keys_due, login_due, retry_delay
from claude_gatewayd.aws.facts import CredentialFacts, Failure, LoginFacts, Validity
from claude_gatewayd.aws.snapshot import CredentialSnapshot

NOW = 1_000_000.0
MIN, HOUR = 60.0, 3600.0
LOGIN_COMMAND = "claude-gatewayctl sso-login"


def keys(left: float | None, life: float = HOUR) -> Validity:
    """Return the life of keys that have so long left."""
    return Validity(NOW, None) if left is None else Validity(NOW + left - life, NOW + left)


def login(left: float, life: float = HOUR, *, refreshable: bool = True) -> LoginFacts:
    return LoginFacts(NOW + left - life, NOW + left, refreshable, NOW + 90 * 86400)


def failure(cause: Any, *, ago: float = 0.0, times: int = 1) -> Failure:
    return Failure(cause, f"it is {cause}", f"mend {cause}", NOW - ago, times)


SSO = CredentialFacts("sso", "profile x", "x", login_command=LOGIN_COMMAND, keys=keys(50 * MIN), login=login(50 * MIN))
LEGACY = SSO._replace(kind="sso-legacy", login=login(7 * HOUR, 8 * HOUR, refreshable=False))
STATIC = CredentialFacts("static", "profile x", "x", renewable=False, keys=keys(None))
TEMPORARY = CredentialFacts("temporary", "profile x", "x", renewable=False, keys=keys(2 * HOUR))
PROCESS = CredentialFacts("process", "profile x", "x", keys=keys(50 * MIN))


@pytest.mark.parametrize(
    ("facts", "state", "works_for", "next_in", "why", "hint"),
    [
        pytest.param(
            CredentialFacts("none", failure=failure("setup")),
            "unconfigured", None, None, "setup", "mend",
            id="none",
        ),
        pytest.param(
            CredentialFacts("none", "profile x", "x", failure=failure("setup")),
            "down", None, None, "setup", "mend", id="a profile that is broken",
        ),
        pytest.param(CredentialFacts("sso"), "ok", None, 0, "", "", id="nobody has asked yet"),
        pytest.param(CredentialFacts("static", renewable=False), "ok", None, 0, "", "", id="static, not read yet"),
        # all is well
        pytest.param(SSO, "ok", None, 20 * MIN, "", "", id="half of the keys' life comes first"),
        pytest.param(SSO._replace(login=login(20 * MIN)), "ok", None, 5 * MIN, "", "", id="the token comes first"),
        pytest.param(SSO._replace(keys=keys(11 * HOUR, 12 * HOUR)), "ok", None, 35 * MIN, "", "", id="12 hours"),
        pytest.param(SSO._replace(keys=keys(5, 6), login=login(8, 9)), "ok", None, 2, "", "", id="lives of seconds"),
        pytest.param(SSO._replace(keys=keys(20 * MIN)), "ok", None, 0, "", "", id="overdue"),
        pytest.param(SSO._replace(keys=keys(-1)), "ok", None, 0, "", "", id="ended in a sleep, renewed on use"),
        pytest.param(SSO._replace(login=login(-1)), "ok", None, 0, "", "", id="a token that ended in a sleep"),
        pytest.param(PROCESS, "ok", None, 20 * MIN, "", "", id="a process"),
        pytest.param(PROCESS._replace(keys=keys(None)), "ok", None, None, "", "", id="a process without an end"),
        pytest.param(STATIC, "ok", None, None, "", "", id="static"),
        # an end in sight
        pytest.param(TEMPORARY, "ok", 2 * HOUR, None, "", "", id="temporary"),
        pytest.param(TEMPORARY._replace(keys=keys(HOUR)), "expiring", HOUR, None, "", "", id="temporary, an hour"),
        pytest.param(TEMPORARY._replace(keys=keys(0)), "down", 0, None, "ended", "", id="temporary, over"),
        pytest.param(LEGACY, "ok", 7 * HOUR, 20 * MIN, "", "", id="legacy"),
        pytest.param(
            LEGACY._replace(login=login(HOUR, 8 * HOUR, refreshable=False)),
            "expiring", HOUR, 20 * MIN, "", LOGIN_COMMAND, id="legacy, an hour",
        ),
        pytest.param(
            LEGACY._replace(login=login(10 * MIN, 8 * HOUR, refreshable=False)),
            "expiring", 50 * MIN, 20 * MIN, "", LOGIN_COMMAND, id="legacy, and keys that outlive it",
        ),
        pytest.param(
            LEGACY._replace(login=login(-1, 8 * HOUR, refreshable=False)),
            "login-needed", 50 * MIN, 20 * MIN, "login has ended", LOGIN_COMMAND, id="legacy, over",
        ),
        # a login that is over
        pytest.param(
            SSO._replace(failure=failure("login")), "login-needed", 50 * MIN, 5 * MIN, "login", "mend", id="over",
        ),
        pytest.param(
            SSO._replace(keys=keys(10 * MIN), failure=failure("login", ago=10)),
            "login-needed", 10 * MIN, 290, "login", "mend", id="over, asked again in five minutes",
        ),
        pytest.param(
            SSO._replace(keys=keys(-1), failure=failure("login")), "down", -1, 300, "login", "mend", id="over for long",
        ),
        pytest.param(
            SSO._replace(keys=None, login=None, failure=failure("login")),
            "down", None, 300, "login", "mend", id="never logged in",
        ),
        # renewal fails for other reasons
        pytest.param(
            SSO._replace(keys=keys(25 * MIN), failure=failure("offline")),
            "ok", 25 * MIN, 1, "offline", "mend", id="offline, keys live on",
        ),
        pytest.param(
            SSO._replace(keys=keys(25 * MIN), failure=failure("offline", times=5)),
            "ok", 25 * MIN, 16, "offline", "mend", id="offline for the fifth time",
        ),
        pytest.param(
            SSO._replace(keys=keys(25 * MIN), failure=failure("offline", times=50)),
            "ok", 25 * MIN, MIN, "offline", "mend", id="offline for long",
        ),
        pytest.param(
            SSO._replace(keys=keys(9 * MIN), failure=failure("offline", times=50)),
            "expiring", 9 * MIN, MIN, "offline", "mend", id="offline, the end comes near",
        ),
        pytest.param(
            SSO._replace(keys=keys(8), failure=failure("busy", times=50)),
            "expiring", 8, 2, "busy", "mend", id="tried more often near the end",
        ),
        pytest.param(
            SSO._replace(keys=keys(2, 6), failure=failure("offline")),
            "ok", 2, 0.5, "offline", "mend", id="lives of seconds, offline",
        ),
        pytest.param(
            SSO._replace(keys=keys(1, 6), failure=failure("offline", times=3)),
            "expiring", 1, 0.5, "offline", "mend", id="lives of seconds, the end comes near",
        ),
        pytest.param(
            SSO._replace(keys=keys(-5), failure=failure("offline", times=3)),
            "down", -5, 4, "offline", "mend", id="offline, and over",
        ),
        pytest.param(
            SSO._replace(keys=None, failure=failure("broken")), "down", None, 1, "broken", "mend", id="never any",
        ),
        pytest.param(
            PROCESS._replace(keys=None, failure=failure("setup")), "down", None, 1, "setup", "mend", id="a setup",
        ),
        pytest.param(
            STATIC._replace(keys=None, failure=failure("setup")), "down", None, None, "setup", "mend", id="half a key",
        ),
        # keys that live, but that AWS rejects
        pytest.param(
            STATIC._replace(refused=True, failure=failure("refused")),
            "down", None, None, "refused", "mend", id="static, refused",
        ),
        pytest.param(
            SSO._replace(refused=True, failure=failure("refused")),
            "down", None, 20 * MIN, "refused", "mend", id="refused",
        ),
        pytest.param(
            SSO._replace(refused=True, failure=failure("login")),
            "down", None, 5 * MIN, "login", "mend", id="refused, and nobody can get others",
        ),
        pytest.param(
            SSO._replace(refused=True, failure=failure("offline", times=4)),
            "down", None, 8, "offline", "mend", id="refused, and nobody can be asked",
        ),
        pytest.param(
            SSO._replace(failure=failure("refused")),
            "ok", 50 * MIN, 20 * MIN, "refused", "mend", id="keys below these were refused",
        ),
        pytest.param(SSO._replace(failure=failure("clock")), "down", None, 20 * MIN, "clock", "mend", id="clock"),
    ],
)  # fmt: skip
def test_states(
    facts: CredentialFacts, state: str, works_for: float | None, next_in: float | None, why: str, hint: str
) -> None:
    snapshot = assess(facts, NOW)
    assert snapshot.state == state
    assert (None if snapshot.works_until is None else snapshot.works_until - NOW) == works_for
    assert (None if snapshot.next_check is None else snapshot.next_check - NOW) == next_in
    assert why in snapshot.why
    assert bool(snapshot.why) == bool(why)
    assert hint in snapshot.hint
    assert bool(snapshot.hint) == bool(hint)


@pytest.mark.parametrize("cause", ["offline", "busy", "broken"])
@pytest.mark.parametrize("had", [keys(-5), keys(5), None])
def test_who_cannot_reach_aws_is_not_to_log_in(cause: Any, had: Validity | None) -> None:
    assert assess(SSO._replace(keys=had, failure=Failure(cause, "it passes")), NOW).hint == ""


def test_what_it_tells_besides() -> None:
    snapshot = assess(SSO._replace(account="111122223333", role="Admin"), NOW)
    assert snapshot == CredentialSnapshot(
        "ok", "sso", "profile x", "x", refreshable=True, token_ends=NOW + 50 * MIN, registration_ends=NOW + 90 * 86400,
        keys_end=NOW + 50 * MIN, next_check=NOW + 20 * MIN, account="111122223333", role="Admin",
    )  # fmt: skip
    assert not assess(LEGACY, NOW).refreshable
    assert not assess(STATIC, NOW).refreshable
    assert assess(PROCESS, NOW).refreshable


@given(st.floats(0, 43200), st.floats(0.001, 43200))
def test_keys_are_renewed_in_time(age: float, life: float) -> None:
    """At half of their life; and what lives over 20 minutes is renewed with 10 left, whatever the life."""
    ends = NOW - age + life
    at = keys_due(Validity(NOW - age, ends))
    assert at is not None
    assert abs((ends - at) - life / 2) < 0.001
    assert life <= 20 * MIN or ends - at >= 10 * MIN


@pytest.mark.parametrize(
    ("life", "left"), [(HOUR, 15 * MIN), (30 * MIN, 15 * MIN), (20 * MIN, 10 * MIN), (9, 4.5), (0, 0), (-5, 0)]
)
def test_a_token_is_renewed_in_time(life: float, left: float) -> None:
    at = login_due(LoginFacts(NOW, NOW + life, refreshable=True))
    assert at == NOW + life - left
    assert login_due(LoginFacts(NOW, NOW + life)) is None


@given(st.sampled_from(["login", "offline", "clock", "refused", "setup", "busy", "broken"]), st.integers(1, 10**6),
       st.none() | st.floats(-HOUR, 12 * HOUR))  # fmt: skip
def test_patience_has_bounds(cause: Any, times: int, left: float | None) -> None:
    wait = retry_delay(failure(cause, times=times), None if left is None else keys(left), NOW)
    assert 0.5 <= wait <= 300


@given(st.floats(0, 2 * HOUR))
def test_what_is_due_is_in_the_snapshot(later: float) -> None:
    """The next check is never in the past, and never later than what is due."""
    snapshot = assess(SSO, NOW + later)
    wanted = due(SSO, NOW + later)
    assert wanted is not None
    assert snapshot.next_check == max(wanted, NOW + later)


def test_a_failure_counts_what_is_alike() -> None:
    first = failure("offline").after(None, 1.0)
    second = failure("offline").after(first, 2.0)
    other = failure("busy").after(second, 3.0)
    assert [(one.at, one.times) for one in (first, second, other)] == [(1.0, 1), (2.0, 2), (3.0, 1)]
