"""From what is there to what was answered."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.ctl.setup.facts import Claude, Profile, ServiceFacts, SetupFacts
from claude_gatewayd.ctl.setup.plan import ENABLED, PORT, PROFILE, REGION, Answers, overrides, plan, rendered, values
from claude_gatewayd.errors import GatewayError

FILE = Path("/home/ada/.config/claude-gateway/config.toml")
SETTINGS = Path("/home/ada/.claude/settings.json")
DEFAULTS = {PROFILE: "Sandbox.AdministratorAccess", REGION: "us-west-2", PORT: 47000, ENABLED: "auto"}
DEV = Profile("Dev", "sso", login="needed")
NEW = SetupFacts(
    FILE,
    defaults=DEFAULTS,
    profiles=(DEV, Profile("keys", "static")),
    service=ServiceFacts("systemd"),
    claude=Claude(SETTINGS, changes=2),
)
SETTLED = replace(
    NEW,
    written={PROFILE: "Dev"},
    profiles=(replace(DEV, login="there"),),
    service=ServiceFacts("systemd", settled=True, running=True),
    claude=Claude(SETTINGS),
)
ANSWERS = Answers("Dev", "us-west-2", 47000)
ALONE = ServiceFacts(why="cannot reach a service manager: there is no systemd here")


def described(facts: SetupFacts, answers: Answers) -> str:
    """Return the acts, those that are done already in brackets."""
    return " ".join(f"({step.act})" if step.is_done else step.act for step in plan(facts, answers))


@pytest.mark.parametrize(
    ("facts", "answers", "steps"),
    [
        (NEW, ANSWERS, "config login service claude test"),
        (SETTLED, ANSWERS, "(config) (login) (service) (claude) test"),
        (SETTLED, replace(ANSWERS, test=False), "(config) (login) (service) (claude)"),
        (replace(NEW, service=ServiceFacts("launchd")), ANSWERS, "config login service claude notify test"),
        (
            replace(SETTLED, service=ServiceFacts("launchd", settled=True, running=True)),
            replace(ANSWERS, test=False),
            "(config) (login) (service) (claude)",
        ),
        # what was not wanted is not done
        (NEW, replace(ANSWERS, login=False), "config service claude test"),
        (NEW, replace(ANSWERS, claude=False, test=False), "config login service"),
        (NEW, replace(ANSWERS, profile="keys"), "config service claude test"),
        (NEW, replace(ANSWERS, profile=None), "config service claude test"),
        (NEW, replace(ANSWERS, linger=True), "config login service linger claude test"),
        (replace(NEW, service=ServiceFacts("systemd", lingers=True)), replace(ANSWERS, linger=True),
         "config login service claude test"),
        (SETTLED, replace(ANSWERS, linger=True), "(config) (login) (service) linger (claude) test"),
        # a running daemon takes a change up; a port is the service manager's
        (SETTLED, replace(ANSWERS, region="eu-central-1"), "config (login) reload (claude) test"),
        (SETTLED, replace(ANSWERS, port=47001), "config (login) service (claude) test"),
        (replace(SETTLED, service=ServiceFacts("systemd", running=True)), ANSWERS,
         "(config) (login) service (claude) test"),
        # without a service
        (replace(NEW, service=ALONE), ANSWERS, "config login background claude test"),
        (NEW, replace(ANSWERS, service=False), "config login background claude test"),
        (replace(SETTLED, service=replace(ALONE, running=True)), ANSWERS,
         "(config) (login) (background) (claude) test"),
        (replace(SETTLED, service=replace(ALONE, running=True)), replace(ANSWERS, profile=None),
         "config reload (claude) test"),
        # nobody is to serve: Claude Code would ask in vain
        (NEW, replace(ANSWERS, service=False, background=False), "config login"),
        (NEW, replace(ANSWERS, proxy_config=Path("/proxy/config.yaml")), "import config login service claude test"),
        (SETTLED, replace(ANSWERS, proxy_config=Path("/proxy/config.yaml")),
         "import (config) (login) reload (claude) test"),
        # what is wrong with settings.json is said when it is its turn
        (replace(SETTLED, claude=Claude(SETTINGS, trouble="cannot change it")), ANSWERS,
         "(config) (login) (service) claude test"),
    ],
)  # fmt: skip
def test_steps(facts: SetupFacts, answers: Answers, steps: str) -> None:
    assert described(facts, answers) == steps


def test_a_daemon_that_was_started_by_hand_makes_way() -> None:
    by_hand = replace(SETTLED, service=ServiceFacts("systemd", running=True, by_hand=77))
    step = next(step for step in plan(by_hand, ANSWERS) if step.act == "service")
    assert step.details == ("stops the daemon that was started by hand, pid 77",)


def test_a_port_cannot_change_under_a_daemon_that_nobody_would_start_again() -> None:
    with pytest.raises(GatewayError, match="cannot change the port while claude-gatewayd is running") as raised:
        plan(replace(SETTLED, service=replace(ALONE, running=True)), replace(ANSWERS, port=47001))
    assert raised.value.hint == "claude-gatewayctl stop"


@pytest.mark.parametrize(
    ("facts", "answers", "wanted"),
    [
        (NEW, ANSWERS, {PROFILE: "Dev"}),
        (NEW, replace(ANSWERS, profile="Sandbox.AdministratorAccess"), {}),
        (NEW, replace(ANSWERS, region="eu-west-1", port=47001), {PROFILE: "Dev", REGION: "eu-west-1", PORT: 47001}),
        (replace(NEW, written={PORT: 47001}), ANSWERS, {PROFILE: "Dev", PORT: 47000}),
        (replace(NEW, written={ENABLED: False, PROFILE: "Dev"}), ANSWERS, {ENABLED: "auto"}),
        (replace(NEW, written={ENABLED: True, PROFILE: "Dev"}), ANSWERS, {}),
        (NEW, replace(ANSWERS, profile=None), {ENABLED: False}),
        (replace(NEW, written={ENABLED: False}), replace(ANSWERS, profile=None), {}),
        (replace(NEW, profiles=()), replace(ANSWERS, profile=None), {}),
        (replace(NEW, profiles=(), keys="keys of the environment"), replace(ANSWERS, profile=None), {ENABLED: False}),
        (replace(NEW, keys="keys of the environment"), replace(ANSWERS, profile=""), {}),
    ],
)  # fmt: skip
def test_the_configuration_says_no_more_than_it_must(
    facts: SetupFacts, answers: Answers, wanted: dict[Any, Any]
) -> None:
    assert values(facts, answers) == wanted


def test_how_the_configuration_is_shown() -> None:
    assert rendered({PROFILE: "Dev", ENABLED: False, PORT: 1}) == (
        "[bedrock]", "enabled = false", 'profile = "Dev"', "[listen]", "port = 1"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, {}),
        ({"AWS_PROFILE": "Dev", "AWS_REGION": "us-west-2", "LITELLM_PORT": "47000"}, {}),
        ({"AWS_PROFILE": "Other", "AWS_DEFAULT_REGION": "eu-north-1"},
         {"AWS_PROFILE": "Dev", "AWS_DEFAULT_REGION": "us-west-2"}),
        ({"CLAUDE_GATEWAY_LISTEN_PORT": "1", "LITELLM_PORT": ""}, {"CLAUDE_GATEWAY_LISTEN_PORT": "47000"}),
    ],
)  # fmt: skip
def test_variables_that_would_go_before_the_answers(environ: dict[str, str], found: dict[str, str]) -> None:
    assert overrides(ANSWERS, environ) == found
    if "AWS_PROFILE" in found:
        assert "AWS_PROFILE" not in overrides(replace(ANSWERS, profile=None), environ)
