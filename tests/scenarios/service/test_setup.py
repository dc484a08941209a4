"""`setup` as a newcomer types it, under a real systemd user manager: from nothing to two lanes, and back to nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.aws import FakeAws
from tests.fakes.bedrock import FakeBedrock
from tests.fakes.shapes import OAUTH_TOKEN
from tests.scenarios.service.inside import ROOT, Inside
from tests.support.daemon import free_port
from tests.support.scripts import browser

pytestmark = pytest.mark.slow

CONFIG = """
[sso-session corp]
sso_start_url = {url}
sso_region = {region}
[profile Dev.Admin]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = AdministratorAccess
region = {region}
"""


@pytest.fixture
def inside() -> Iterator[Inside]:
    """Return a person's machine that reaches an Anthropic, an AWS and a Bedrock of our own."""
    with FakeAnthropic() as anthropic, FakeAws() as aws, FakeBedrock(issued=aws.keys, region=aws.region) as bedrock:
        environ = {
            **aws.environ,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.url,
            "CLAUDE_GATEWAY_ANTHROPIC_BASE_URL": anthropic.url,
            "CLAUDE_GATEWAY_NOTIFY_ENABLED": "false",
            "BROWSER": browser(),
            "PYTHONPATH": str(ROOT),
        }
        with Inside("--share-net", environ=environ) as inside:
            inside.put(f"{Inside.home}/.aws/config", CONFIG.format(url=aws.start_url, region=aws.region))
            login = {"claudeAiOauth": {"accessToken": OAUTH_TOKEN, "expiresAt": 4102444800000}}
            inside.put(f"{Inside.home}/.claude/.credentials.json", json.dumps(login) + "\n")
            yield inside


def files(inside: Inside) -> list[str]:
    return sorted(inside.good(f"find {Inside.home} -type f -o -type l").split())


def test_from_nothing_to_two_lanes_and_back(inside: Inside) -> None:
    before = files(inside)
    port = free_port()
    output = inside.good(f"claude-gatewayctl setup --yes --port {port}", 120)
    assert f"   3. install   the service of systemd, on http://127.0.0.1:{port}" in output
    for line in ("wrote     ", "Logged in: profile Dev.Admin", "enabled   ", "started   in ", "Claude Code now uses "):
        assert f"\n{line}" in output
    assert output.count("\ntested    ") == 2, output
    assert "To undo: claude-gatewayctl uninstall" in output

    again = inside.good("claude-gatewayctl setup --yes", 60)
    assert "Nothing to do: everything is set up\n" in again
    assert again.count("   ok ") == 4
    assert again.count("\ntested    ") == 2
    # what is changed is taken up, without a restart of the service
    pid = json.loads(inside.good("claude-gatewayctl status --json"))["pid"]
    output = inside.good("claude-gatewayctl setup --yes --region eu-west-1 --no-test")
    assert "Reloaded in " in output
    status = json.loads(inside.good("claude-gatewayctl status --json"))
    assert (status["pid"], status["bedrock"]["region"]) == (pid, "eu-west-1")

    for command, check, state, mend in (
        ("true", "service", "ok", ""),
        ("true", "environment", "ok", ""),
        ("export AWS_PROFILE=another", "environment", "note", "claude-gatewayctl install"),
        ("claude-gatewayctl disable", "service", "fail", "claude-gatewayctl enable"),
        ("touch ~/.config/systemd/user/claude-gatewayd.service", "service", "note", "claude-gatewayctl install"),
        ("claude-gatewayctl enable && claude-gatewayctl stop", "daemon", "fail", "claude-gatewayctl start"),
    ):
        found = json.loads(inside.run(f"{{ {command}; }} >&2; claude-gatewayctl doctor --json").stdout)
        mends = [one["mend"] for one in found["findings"] if (one["check"], one["state"]) == (check, state)]
        assert [one for one in mends if one.startswith(mend)], (command, found)
    inside.good("claude-gatewayctl sso-logout")
    # as `make install` links them
    current = f"{Inside.home}/.local/share/claude-gateway/current/bin"
    inside.good(f"mkdir -p ~/.local/bin; ln -s {current}/claude-gatewayctl {current}/claude-gatewayd ~/.local/bin")
    output = inside.good("claude-gatewayctl uninstall", 60)
    assert "(claude-gatewayctl uninstall --purge removes that too)" in output
    assert "not running\n  claude-gatewayd" in inside.bad("~/.local/bin/claude-gatewayctl status", 3)
    inside.good("~/.local/bin/claude-gatewayctl uninstall --purge", 60)
    left = [file for file in files(inside) if file not in before]
    assert [Path(file).name for file in left] == ["page.html"], "the browser's own"


def test_a_daemon_by_hand_and_variables_of_the_shell_make_way(inside: Inside) -> None:
    """The answers count, though this shell and the service would have gone by another profile."""
    port = free_port()
    inside.good(f"CLAUDE_GATEWAY_LISTEN_PORT={port} claude-gatewayctl setup --yes --no-service --no-aws --no-test")
    output = inside.good(
        f"CLAUDE_GATEWAY_LISTEN_PORT={port} AWS_PROFILE=another claude-gatewayctl setup --yes --no-test --no-login "
        "--profile Dev.Admin"
    )
    assert "the daemon that was started by hand, pid " in output
    assert "\nended     the daemon that was started by hand" in output
    status = json.loads(inside.good("claude-gatewayctl status --json"))
    assert status["inherited"] is True
    assert status["bedrock"]["source"] == "profile Dev.Admin"
    inside.good("claude-gatewayctl uninstall --purge", 60)
