"""The next useful commands, by how things are."""

from typing import Any

import pytest

from claude_gatewayd.ctl.main import VERBS
from claude_gatewayd.ctl.overview import Situation, next_steps

CTL = "claude-gatewayctl"
LOGIN = f"{CTL} sso-login"


def status(**more: Any) -> dict[str, Any]:
    well = {"anthropic": {"state": "ok"}, "litellm": {"state": "off"}}
    return {"state": "serving", "problems": [], "notices": [], **well, **more}


def notice(hint: str) -> dict[str, Any]:
    return {"title": "Bedrock cannot be used", "hint": hint}


DOWN = Situation(None, is_installed=False, claude_points_here=False)
SET_UP = Situation(status(), is_installed=True, claude_points_here=True)

TABLE = [
    (DOWN, ["setup", "run"]),
    (DOWN._replace(claude_is_there=False), ["setup"]),
    (DOWN._replace(is_installed=True), ["start", "logs", "doctor"]),
    (DOWN._replace(is_installed=True, claude_points_here=True), ["start", "logs", "doctor", "run --direct"]),
    (SET_UP, ["status --watch"]),
    (SET_UP._replace(claude_points_here=False), ["configure-claude", "run", "status --watch"]),
    (DOWN._replace(remote="https://gateway.example"), ["doctor", "remove-claude"]),
    (DOWN._replace(remote="https://gateway.example", is_installed=True), ["doctor", "remove-claude"]),
    (SET_UP._replace(claude_points_here=False, remote="https://h"), ["configure-claude", "status --watch"]),
    (SET_UP._replace(is_installed=False), ["install --now", "status --watch"]),
    (SET_UP._replace(is_installed=False, can_be_installed=False), ["status --watch"]),
    (SET_UP._replace(status=status(notices=[notice(LOGIN), notice(LOGIN), notice("")])), ["sso-login", "doctor"]),
    (SET_UP._replace(status=status(notices=[notice(f"{CTL} status")])), ["doctor"]),
    (SET_UP._replace(status=status(anthropic={"state": "failing"})), ["doctor", "status --watch"]),
    (SET_UP._replace(status=status(litellm={"state": "failed"})), ["doctor", "status --watch"]),
    (SET_UP._replace(status=status(state="refusing", problems=[{"where": "x"}])), ["config check", "reload", "doctor"]),
    (SET_UP._replace(status=status(state="starting")), []),
]


@pytest.mark.parametrize(("situation", "commands"), TABLE)
def test_next_steps(situation: Situation, commands: list[str]) -> None:
    assert [step.command.removeprefix(f"{CTL} ") for step in next_steps(situation)] == [*commands, "--help"]


def test_each_is_a_verb_that_there_is() -> None:
    verbs = {verb for rows in VERBS.values() for verb, *_ in rows} | {"--help"}
    for situation, _ in TABLE:
        for command, why in next_steps(situation):
            assert command.split()[1] in verbs
            assert why
