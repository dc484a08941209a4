"""Whether one may rely on the gateway: Anthropic's lane serves, and where Bedrock is enabled, it could be asked."""

from typing import Any

import pytest

from claude_gatewayd.supervisor.status import health

FAILED = {"last_success": 1.0, "last_failure": 2.0, "failure": "Bedrock answered ThrottlingException"}


def status(
    *,
    state: str = "serving",
    anthropic: str = "ok",
    litellm: str = "ready",
    enabled: bool = True,
    failed: bool = False,
    unreachable: str = "",
    spent: float = 0.0,
    shared: str = "off",
    problems: tuple[dict[str, str], ...] = (),
) -> dict[str, Any]:
    bedrock = FAILED if failed else {"last_success": 2.0, "last_failure": 1.0, "failure": "of old"}
    return {
        "problems": problems,
        "state": state,
        "anthropic": {"state": anthropic, "failure": "answered 529"},
        "litellm": {"state": litellm, "why": "it has been ended"},
        "bedrock": {"enabled": enabled, "unreachable": unreachable, "unreachable_hint": "this"} | bedrock,
        "credentials": None,
        "shared": {"state": shared, "why": "its secret is another", "hint": "do this"},
        "usage": {"month": {"budget": 10.0, "bedrock_cost": spent}},
    }


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (status(), ""),
        (status(anthropic="unknown"), ""),
        (status(litellm="off"), ""),  # without LiteLLM, Bedrock is asked directly
        (status(litellm="loading"), ""),
        (status(litellm="failed"), ""),
        (status(litellm="failed", anthropic="failing"), ""),
        (status(litellm="failed", enabled=False), ""),
        (status(failed=True), ""),
        (status(anthropic="failing"), ""),  # Bedrock answers
        (status(anthropic="failing", enabled=False, litellm="off"), "Anthropic: answered 529"),
        (status(anthropic="failing", failed=True),
         "Anthropic: answered 529; Bedrock answered ThrottlingException"),
        (status(unreachable="the certificate of x is not trusted"),
         "Bedrock cannot step in: the certificate of x is not trusted. Run: this"),
        (status(unreachable="x", enabled=False), ""),
        (status(state="starting"), "the daemon is starting"),
        (status(problems=({"where": "config.toml:3", "message": "is wrong"},)), "config.toml:3: is wrong"),
    ],
)  # fmt: skip
def test_health(given: dict[str, Any], why: str) -> None:
    assert health(given, 3.0) == {"healthy": not why, "why": why}


@pytest.mark.parametrize("state", ["away", "refused"])
def test_a_gateway_that_does_not_share_serves_all_the_same(state: str) -> None:
    why = "nothing is shared with other gateways: its secret is another (run: do this)"
    assert health(status(shared=state), 3.0) == {"healthy": True, "why": why}
    assert health(status(shared="connected"), 3.0) == {"healthy": True, "why": ""}
