"""What the supervisor says of the whole, and whether one may rely on it: a table."""

import time
from typing import Any

import pytest

from claude_gatewayd.supervisor import status

HOUR = 3600.0
NOW = time.time()
_WHEN, _TODAY = time.localtime(NOW + HOUR), time.localtime(NOW)
AT = time.strftime("%H:%M" if _WHEN[:3] == _TODAY[:3] else "%a %H:%M", _WHEN)


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
        "notices": [],
        **more,
    }


@pytest.mark.parametrize(
    ("how", "says", "healthy"),
    [
        (credentials("ok"), "Bedrock ok", True),
        (credentials("ok", NOW + HOUR), f"Bedrock ok until {AT}", True),
        (credentials("expiring", NOW + HOUR), f"Bedrock ok until {AT}", True),
        (credentials("login-needed", NOW + HOUR), f"Bedrock ok until {AT}", True),
        (credentials("login-needed", NOW - 1, "it is over", "log in"), "Bedrock down", False),
        (credentials("down", None, "offline"), "Bedrock down", False),
        (credentials("unconfigured", None, "no profile"), "Bedrock down", False),
        (None, "Bedrock ok", True),  # a worker that has not said yet
    ],
)
def test_credentials(how: dict[str, Any] | None, says: str, healthy: bool) -> None:
    said = whole(credentials=how)
    assert status.one_line(said) == f"Anthropic ok, {says}, 3 streams"
    assert status.health(said)["healthy"] is healthy


def test_another_day() -> None:
    at = NOW + 3 * 86400
    said = whole(credentials=credentials("ok", at))
    assert f"Bedrock ok until {time.strftime('%a %H:%M', time.localtime(at))}, " in status.one_line(said)


def test_why_bedrock_cannot_step_in() -> None:
    said = whole(
        credentials=credentials("down", None, "the login of profile x has ended", "claude-gatewayctl sso-login")
    )
    why = "Bedrock cannot step in: the login of profile x has ended (run: claude-gatewayctl sso-login)"
    assert status.health(said) == {"healthy": False, "why": why}
    over = whole(credentials=credentials("expiring", NOW - 1))
    assert status.health(over)["why"] == "Bedrock cannot step in: the AWS credentials have ended"


def test_credentials_that_nobody_wants() -> None:
    off = {"enabled": False, "failure": "", "last_success": None, "last_failure": None}
    said = whole(bedrock=off, credentials=None)
    assert status.one_line(said) == "Anthropic ok, 3 streams"
    assert status.health(said)["healthy"]


def test_a_failure_goes_before_the_time() -> None:
    failing = {"enabled": True, "failure": "x", "last_success": 1.0, "last_failure": 2.0}
    assert "Bedrock failing" in status.one_line(whole(bedrock=failing, credentials=credentials("ok", NOW + HOUR)))
    loading = {"state": "loading", "why": ""}
    assert "Bedrock loading" in status.one_line(whole(litellm=loading))
    assert "still loading" in status.health(whole(litellm=loading))["why"]
    both = whole(bedrock=failing, anthropic={"state": "failing", "failure": "answered 529"})
    assert status.health(both)["why"] == "Anthropic: answered 529; x"
