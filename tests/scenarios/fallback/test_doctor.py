"""`claude-gatewayctl doctor --deep`: a real request through each lane."""

import json
import subprocess
from typing import Any

from tests.support.daemon import BIN
from tests.support.stage import Stage

BY = {"litellm": "through LiteLLM", "direct": "directly"}


def pings(stage: Stage) -> list[dict[str, Any]]:
    done = subprocess.run(
        [str(BIN / "claude-gatewayctl"), "doctor", "--deep", "--json"],
        env={**stage.daemon.environ, "CLAUDE_CODE_OAUTH_TOKEN": stage.token}, cwd=stage.daemon.home,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert stage.token not in done.stdout + done.stderr
    found = json.loads(done.stdout)["findings"]
    return [one for one in found if one["check"].startswith("ping ")]


def test_a_request_goes_through_each_lane_and_to_bedrock_by_each_way_that_is_used(stage: Stage) -> None:
    anthropic, *bedrock = pings(stage)
    assert (anthropic["check"], anthropic["state"]) == ("ping anthropic", "ok")
    through = stage.daemon.status()["bedrock"]["through"]
    used = ["litellm", "direct"] if through == "litellm" else ["direct"]
    assert [(one["check"], one["state"]) for one in bedrock] == [("ping bedrock", "ok")] * len(used)
    assert all(one["found"].startswith(f"answered {BY[by]} in ") for one, by in zip(bedrock, used, strict=True))
    (asked,) = stage.to_anthropic()
    assert [request.json()["max_tokens"] for request in (asked, *stage.to_bedrock())] == [1] * (1 + len(used))


def test_what_bedrock_refuses_is_shown_masked(stage: Stage) -> None:
    text = "User: arn:aws:sts::123456789012:assumed-role/x/y is not authorized to perform: bedrock:InvokeModel"
    stage.bedrock.fail_next(kind="AccessDeniedException", message=text, times=2)
    _, *bedrock = pings(stage)
    for one in bedrock:
        assert (one["state"], one["found"]) == ("fail", "answered 403")
        assert "is not authorized to perform: bedrock:InvokeModel" in one["why"]
        assert "123456789012" not in json.dumps(one)


def test_a_lane_that_another_answers_for_fails(stage: Stage) -> None:
    stage.anthropic_is_down()
    anthropic, *bedrock = pings(stage)
    assert anthropic["state"] == "fail"
    assert anthropic["found"] == "bedrock answered instead"
    assert anthropic["why"] == "x-gateway-fallback: 529"
    assert {one["state"] for one in bedrock} == {"ok"}
