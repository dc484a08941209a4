"""What somebody at the real Claude Code reads when Bedrock refuses, and how soon. The end of a login is in test_sso."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.bedrock import FakeBedrock
from tests.fakes.bedrock_model import PRIVATE
from tests.scenarios.client import routes
from tests.scenarios.client.claude import Result
from tests.scenarios.client.scene import Scene

pytestmark = [pytest.mark.client, pytest.mark.slow, pytest.mark.timeout(120)]

RETRIES: Final = 1


def ask(scene: Scene, version: str, home: Path, refuse: Callable[[FakeBedrock], object]) -> Result:
    """Ask while Bedrock refuses, which is what the test is about."""
    scene.is_down()
    models = dict(scene.bedrock.models)
    refuse(scene.bedrock)
    try:
        return scene.claude(version, home, env={"CLAUDE_CODE_MAX_RETRIES": str(RETRIES)}).ask("good morning")
    finally:
        scene.bedrock.clear_faults()
        scene.bedrock.revive_key()
        scene.bedrock.models = models
        scene.bedrock.refusals.clear()


def no_access(bedrock: FakeBedrock) -> None:
    for name in bedrock.models:
        bedrock.set_model(name, "no-access")


@routes.by(*routes.ALL, oldest=False)
def test_a_role_that_may_not(scene: Scene, version: str, home: Path) -> None:
    result = ask(scene, version, home, FakeBedrock.deny_key)
    assert result.final["is_error"], result
    assert "is not authorized to perform: bedrock:InvokeModel" in result.text
    if scene.route == "bedrock-mode":  # AWS's own words; by itself the client would repeat them for three minutes
        assert len(scene.bedrock.requests) == 1
        assert result.of("system", "api_retry") == []
    else:
        assert "Bedrock could not step in" in result.text
        assert "in the AWS console: IAM > Roles, with bedrock:InvokeModel" in result.text
        assert not [private for private in PRIVATE if private in result.stdout]


@routes.by(*routes.ALL, oldest=False)
def test_a_model_to_which_there_is_no_access(scene: Scene, version: str, home: Path) -> None:
    result = ask(scene, version, home, no_access)
    assert result.final["is_error"], result
    assert "You don't have access to the model" in result.text
    if scene.route != "bedrock-mode":
        assert "Bedrock > Model catalog" in result.text
    elif version != routes.OLDEST:  # which adds nothing to AWS's words
        assert "Amazon Bedrock console" in result.text
    assert result.of("system", "api_retry") == [] or scene.route != "bedrock-mode"  # Anthropic may answer again


@routes.by(*routes.ALL, oldest=False)
def test_throttled(scene: Scene, version: str, home: Path) -> None:
    """This passes: the client tries again, and says so."""
    result = ask(scene, version, home, lambda bedrock: bedrock.fail_next(kind="ThrottlingException", times=50))
    assert result.final["is_error"], result
    assert len(result.of("system", "api_retry")) == RETRIES
    assert len(scene.bedrock.requests) == RETRIES + 1
    assert ("Too many tokens" if scene.route == "bedrock-mode" else "Overloaded") in result.text
