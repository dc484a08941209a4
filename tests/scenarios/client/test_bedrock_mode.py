"""The real Claude Code in its own Bedrock mode, with the gateway in Bedrock's place."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import STREAM, FakeBedrock, model_of, operation_of
from tests.scenarios.client.claude import Claude, Credential
from tests.scenarios.client.scene import Scene
from tests.support.control_plane import ControlPlane
from tests.support.daemon import Daemon
from tests.support.stage import keys_of

pytestmark = [pytest.mark.client, pytest.mark.slow, pytest.mark.timeout(120)]

NOBODY: Final = Credential("nobody")  # Bedrock mode has no use for a login
ECHO: Final = {"command": "echo number-$((40 + 2))", "description": "Print a number"}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Scene]:
    """A gateway that never loads LiteLLM."""
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock, ControlPlane() as control:
        environ = keys_of(bedrock) | {
            "AWS_ENDPOINT_URL_BEDROCK": control.url,
            "CLAUDE_GATEWAY_BEDROCK_THROUGH": "direct",
        }
        with Daemon(upstream=anthropic.url, environ=environ) as daemon:
            yield Scene(anthropic, bedrock, daemon)
        assert "Traceback" not in daemon.log


def in_bedrock_mode(scene: Scene, version: str, home: Path) -> Claude:
    """Return a client with what `configure-claude --bedrock` writes."""
    key = scene.daemon.ctl("key").stdout.strip()
    env = {
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "ANTHROPIC_BEDROCK_BASE_URL": f"{scene.daemon.url}/bedrock",
        "CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1",
        "ANTHROPIC_CUSTOM_HEADERS": f"x-gateway-key: {key}",
    }
    return Claude(version, "", home, NOBODY, env)


def test_a_turn_with_a_tool(scene: Scene, newest: str, home: Path) -> None:
    result = in_bedrock_mode(scene, newest, home).ask(f"[[think]] [[tool Bash {json.dumps(ECHO)}]]")
    assert result.succeeded, result
    assert result.of("system", "api_retry") == []
    assert result.text == "Hello from the fake. The tool said: number-42", result
    asked = scene.only("bedrock")
    assert [operation_of(request) for request in asked] == [STREAM, STREAM]
    assert {model_of(request).partition(".")[0] for request in asked} == {"us"}
    assert "claude-code-20250219" in (asked[0].header("anthropic-beta") or "")
    assert scene.anthropic.requests == []
