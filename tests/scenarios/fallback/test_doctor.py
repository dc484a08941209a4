"""`claude-gatewayctl doctor --deep`: a real request through each lane."""

import json
import subprocess
from typing import Any

from tests.support.daemon import BIN
from tests.support.stage import Stage


def pings(stage: Stage) -> dict[str, Any]:
    done = subprocess.run(
        [str(BIN / "claude-gatewayctl"), "doctor", "--deep", "--json"],
        env={**stage.daemon.environ, "CLAUDE_CODE_OAUTH_TOKEN": stage.token}, cwd=stage.daemon.home,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert stage.token not in done.stdout + done.stderr
    found = json.loads(done.stdout)["findings"]
    return {one["check"]: one for one in found if one["check"].startswith("ping ")}


def test_a_request_goes_through_each_lane(stage: Stage) -> None:
    assert {name: one["state"] for name, one in pings(stage).items()} == {"ping anthropic": "ok", "ping bedrock": "ok"}
    (asked,) = stage.to_anthropic()
    assert asked.json()["max_tokens"] == 1
    assert len(stage.to_bedrock()) == 1


def test_a_lane_that_another_answers_for_fails(stage: Stage) -> None:
    stage.anthropic_is_down()
    found = pings(stage)
    assert found["ping anthropic"]["state"] == "fail"
    assert found["ping anthropic"]["found"] == "bedrock answered instead"
    assert found["ping anthropic"]["why"] == "x-gateway-fallback: 529"
    assert found["ping bedrock"]["state"] == "ok"
