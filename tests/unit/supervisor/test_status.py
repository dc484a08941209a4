"""What the supervisor says of the whole, and whether one may rely on it: a table."""

import time
from typing import Any

import pytest

from claude_gatewayd.supervisor import status

HOUR = 3600.0
NOW = time.mktime((2026, 11, 29, 12, 0, 0, 0, 0, -1))


def credentials(state: str, works_until: float | None = None, why: str = "", hint: str = "") -> dict[str, Any]:
    return {"state": state, "works_until": works_until, "why": why, "hint": hint}


def whole(**more: Any) -> dict[str, Any]:
    """Return a status in which all is well."""
    return {
        "state": "serving",
        "problems": [],
        "streams": 3,
        "anthropic": {"state": "ok", "failure": ""},
        "bedrock": {"enabled": True, "failure": "", "last_success": None, "last_failure": None},
        "litellm": {"state": "ready", "why": ""},
        "credentials": credentials("ok"),
        "usage": {"month": {"budget": 0.0, "bedrock_cost": 7.0}},
        "shared": {"state": "off"},
        "notices": [],
        **more,
    }


@pytest.mark.parametrize(
    ("how", "says", "healthy"),
    [
        (credentials("ok"), "Bedrock ok", True),
        (credentials("ok", NOW + HOUR), "Bedrock ok until 13:00", True),
        (credentials("expiring", NOW + HOUR), "Bedrock ok until 13:00", True),
        (credentials("login-needed", NOW + HOUR), "Bedrock ok until 13:00", True),
        (credentials("login-needed", NOW - 1, "it is over", "log in"), "Bedrock down", False),
        (credentials("down", None, "offline"), "Bedrock down", False),
        (credentials("unconfigured", None, "no profile"), "Bedrock down", False),
        (None, "Bedrock ok", True),  # a worker that has not said yet
    ],
)
def test_credentials(how: dict[str, Any] | None, says: str, healthy: bool) -> None:
    report = whole(credentials=how)
    assert status.one_line(report, NOW) == f"Anthropic ok, {says}, 3 streams"
    assert status.health(report, NOW)["healthy"] is healthy


def test_another_day() -> None:
    report = whole(credentials=credentials("ok", NOW + 3 * 86400))
    assert "Bedrock ok until Wed 02 Dec 12:00, " in status.one_line(report, NOW)


def test_why_bedrock_cannot_step_in() -> None:
    report = whole(
        credentials=credentials("down", None, "the login of profile x has ended", "claude-gatewayctl sso-login")
    )
    why = "Bedrock cannot step in: the login of profile x has ended (run: claude-gatewayctl sso-login)"
    assert status.health(report, NOW) == {"healthy": False, "why": why}
    over = whole(credentials=credentials("expiring", NOW - 1))
    assert status.health(over, NOW)["why"] == "Bedrock cannot step in: the AWS credentials have ended"


def test_credentials_that_nobody_wants() -> None:
    off = {"enabled": False, "failure": "", "last_success": None, "last_failure": None}
    report = whole(bedrock=off, credentials=None)
    assert status.one_line(report, NOW) == "Anthropic ok, 3 streams"
    assert status.health(report, NOW)["healthy"]


def test_a_failure_goes_before_the_time() -> None:
    failing = {"enabled": True, "failure": "x", "last_success": 1.0, "last_failure": 2.0}
    assert "Bedrock failing" in status.one_line(whole(bedrock=failing, credentials=credentials("ok", NOW + HOUR)), NOW)
    loading = {"state": "loading", "why": ""}
    assert "Bedrock ok, 3" in status.one_line(whole(litellm=loading), NOW), "it is asked directly meanwhile"
    assert status.health(whole(litellm=loading), NOW)["healthy"]
    broken = whole(litellm={"state": "failed", "why": "it cannot be loaded"})
    assert "Bedrock ok (asked directly: LiteLLM has failed), 3" in status.one_line(broken, NOW)
    both = whole(bedrock=failing, anthropic={"state": "failing", "failure": "answered 529"})
    assert status.health(both, NOW)["why"] == "Anthropic: answered 529; x"


SPENT = {"month": {"budget": 50.0, "bedrock_cost": 50.5}}


def test_a_spent_budget_matters_when_anthropic_fails() -> None:
    why = "Bedrock does not step in: [bedrock] monthly_budget is spent"
    assert status.health(whole(usage=SPENT), NOW) == {"healthy": True, "why": why}
    failing = {"state": "failing", "failure": "answered 529"}
    assert status.health(whole(anthropic=failing), NOW)["healthy"]
    found = status.health(whole(anthropic=failing, usage=SPENT), NOW)
    assert found == {"healthy": False, "why": f"Anthropic: answered 529; {why}"}
