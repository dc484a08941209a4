"""What the status line says, as a table."""

import time
from typing import Any

import pytest

from claude_gatewayd.aws.snapshot import CredentialSnapshot
from claude_gatewayd.ctl.statusline import Part, line
from claude_gatewayd.system.clock_time import clock_time
from claude_gatewayd.worker.notices.notice import NoticeRules, active
from claude_gatewayd.worker.serving import Serving
from claude_gatewayd.worker.usage.budget import BudgetState

NOW = time.mktime((2026, 11, 25, 14, 30, 0, 0, 0, -1))
SINCE = NOW - 1680
URL = "http://127.0.0.1:47000"
LOGIN = "claude-gatewayctl sso-login"


def status(**more: Any) -> dict[str, Any]:
    """Return of a status what counts here."""
    anthropic = {"state": "ok", "failure": ""}
    return {"state": "serving", "problems": [], "address": URL, "notices": [], "anthropic": anthropic, **more}


def noticed(snapshot: CredentialSnapshot, serving: Serving, spent: float = 0.0) -> dict[str, Any]:
    """Return the status of a daemon that has these things to tell, in its own words."""
    budget = BudgetState(50.0, spent, 0, "2026-11", NOW + 86400)
    return status(notices=[one.as_dict() for one in active(snapshot, serving, NOW, NoticeRules(), budget)])


def sso(**more: Any) -> CredentialSnapshot:
    return CredentialSnapshot(**{"state": "ok", "kind": "sso", "source": "profile Sandbox", **more})


NO_USAGE = {"cost": 0.0, "billed": 0.0}
MONTH_ENDS = clock_time(NOW + 86400, NOW)
RAISE = "claude-gatewayctl config set bedrock.monthly_budget 100 --reload"
LIMIT = Serving("bedrock", SINCE, "limit reached")
NOBODY = Serving("nobody", SINCE, "529", "the AWS login has ended", LOGIN)
ANTHROPIC = Serving("anthropic", SINCE)


@pytest.mark.parametrize(
    ("status", "parts"),
    [
        (status(), [Part("Anthropic")]),
        (status(anthropic={"state": "unknown", "failure": ""}), [Part("Anthropic")]),
        (status(anthropic={"state": "failing", "failure": "answered 529"}),
         [Part("Anthropic answered 529", "warning")]),
        (status(usage=NO_USAGE), [Part("Anthropic")]),
        (status(usage=NO_USAGE | {"cost": 12.4}), [Part("Anthropic"), Part("$12.40 today, not billed")]),
        (status(usage=NO_USAGE | {"cost": 12.4, "billed": 12.4}), [Part("Anthropic"), Part("$12.40 today")]),
        (noticed(sso(), ANTHROPIC, spent=41.0),
         [Part("Anthropic"), Part("82% of this month's budget for Bedrock is spent", "warning")]),
        (noticed(sso(), ANTHROPIC, spent=50.0),
         [Part("Anthropic"),
          Part(f"This month's budget for Bedrock is spent: no fallback until {MONTH_ENDS}: {RAISE}", "trouble")]),
        (status(state="starting"), [Part("gateway starting", "warning")]),
        (status(state="recovering"), [Part("gateway recovering", "warning")]),
        (status(state="stopping"), [Part("gateway stopping", "warning")]),
        (status(state="refusing", problems=[{"where": "x"}]),
         [Part("gateway cannot serve, invalid configuration: claude-gatewayctl config check", "trouble")]),
        (noticed(sso(), LIMIT), [Part("Bedrock since 14:02: a limit of your subscription is reached", "warning")]),
        (noticed(sso(), NOBODY), [Part(f"neither Anthropic nor Bedrock since 14:02: {LOGIN}", "trouble")]),
        (noticed(sso(token_ends=NOW + 720), ANTHROPIC),
         [Part("Anthropic"), Part(f"AWS credentials end in 12 min: {LOGIN}", "warning")]),
        (noticed(sso(token_ends=NOW + 7200), ANTHROPIC), [Part("Anthropic")]),  # nothing to do yet
        (noticed(sso(state="login-needed", works_until=NOW + 2460), LIMIT),
         [Part("Bedrock since 14:02: a limit of your subscription is reached", "warning"),
          Part(f"Bedrock works for another 41 min: {LOGIN}", "warning")]),
        (noticed(sso(state="login-needed"), ANTHROPIC),
         [Part("Anthropic"), Part(f"Bedrock cannot be used: {LOGIN}", "trouble")]),
        (noticed(sso(refreshable=True, registration_ends=NOW + 7200), ANTHROPIC),
         [Part("Anthropic"), Part(f"AWS login renews for another 2 h: {LOGIN}", "warning")]),
    ],
)  # fmt: skip
def test_line(status: dict[str, Any], parts: list[Part]) -> None:
    assert line(status, NOW, {}) == parts


@pytest.mark.parametrize(
    ("environ", "goes_around"),
    [
        ({}, False),  # in a shell, or another bar
        ({"CLAUDECODE": "1", "ANTHROPIC_BASE_URL": URL}, False),
        ({"CLAUDECODE": "1", "ANTHROPIC_BASE_URL": "http://localhost:47000/"}, False),
        ({"CLAUDECODE": "1", "ANTHROPIC_BASE_URL": "http://127.0.0.1:4000"}, True),
        ({"CLAUDECODE": "1"}, True),
        ({"CLAUDECODE": "1", "ANTHROPIC_BASE_URL": URL, "CLAUDE_CODE_USE_VERTEX": "1"}, True),
        ({"CLAUDECODE": "1", "ANTHROPIC_BASE_URL": URL, "CLAUDE_CODE_USE_VERTEX": "0"}, False),
        ({"CLAUDECODE": "1", "ANTHROPIC_BASE_URL": URL, "CLAUDE_CODE_USE_POWERSHELL_TOOL": "1"}, False),
        ({"ANTHROPIC_BASE_URL": "http://127.0.0.1:4000"}, False),
    ],
)
def test_a_claude_code_that_goes_around_is_told(environ: dict[str, str], goes_around: bool) -> None:
    assert (line(status(), NOW, environ) == [Part("bypassing the gateway", "warning")]) is goes_around


IN_BEDROCK_MODE = {
    "CLAUDECODE": "1", "CLAUDE_CODE_USE_BEDROCK": "1", "ANTHROPIC_BEDROCK_BASE_URL": f"{URL}/bedrock",
}  # fmt: skip


@pytest.mark.parametrize(
    ("bedrock", "more", "parts"),
    [
        ({"last_success": None, "last_failure": None, "failure": ""}, {}, [Part("Bedrock")]),
        ({"last_success": 2.0, "last_failure": 1.0, "failure": "x"}, {}, [Part("Bedrock")]),
        ({"last_success": 1.0, "last_failure": 2.0, "failure": "x"}, {}, [Part("Bedrock: x", "warning")]),
        ({"last_success": 1.0, "last_failure": 2.0, "failure": "x"},
         {"ANTHROPIC_BEDROCK_BASE_URL": "http://127.0.0.1:1/bedrock"}, [Part("bypassing the gateway", "warning")]),
    ],
)  # fmt: skip
def test_in_bedrock_mode(bedrock: dict[str, Any], more: dict[str, str], parts: list[Part]) -> None:
    """Whatever Anthropic does: this Claude Code does not ask it."""
    now = status(bedrock=bedrock, anthropic={"state": "failing", "failure": "answered 529"})
    assert line(now, NOW, IN_BEDROCK_MODE | more) == parts
