"""The real Claude Code counts tokens for `/context`, dozens of times at once, while Anthropic is down."""

from pathlib import Path

import pytest

from tests.fakes.bedrock import COUNT, operation_of
from tests.scenarios.client import routes
from tests.scenarios.client.scene import Scene

pytestmark = [
    pytest.mark.client,
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.one_side("in the background", "of other sessions"),
]

PATH = "/v1/messages/count_tokens"


@routes.by("litellm", "direct")
@pytest.mark.parametrize("counts", [True, False], ids=["bedrock-counts", "nobody-counts"])
def test_context(counts: bool, scene: Scene, version: str, home: Path) -> None:
    scene.is_down()
    scene.anthropic.fail_next(529, path=PATH, times=1000)
    if not counts:
        scene.bedrock.fail_next(kind="AccessDeniedException", path=COUNT, times=1000)
    result = scene.claude(version, home).ask("/context")
    assert result.succeeded, result
    assert "Estimated usage by category" in result.text
    asked = [request for request in scene.bedrock.requests if operation_of(request) == COUNT]
    counted = [request for request in scene.anthropic.requests if request.path == PATH]
    assert len(asked) == len(counted) > 5
    assert {request.status for request in asked} == ({200} if counts else {403})
    assert result.seconds < 30  # it repeats nothing
