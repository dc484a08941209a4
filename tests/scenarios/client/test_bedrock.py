"""The real Claude Code with a Bedrock that answers: Anthropic is down from the start, or later, or is not asked."""

import base64
import json
from pathlib import Path

import pytest

from claude_gatewayd.bedrock.features import CONTEXT_1M
from tests.fakes.bedrock import model_of
from tests.scenarios.client import routes
from tests.scenarios.client.claude import signed_in_with, worked
from tests.scenarios.client.scene import Scene
from tests.support.daemon import wait_until

pytestmark = [pytest.mark.client, pytest.mark.slow, pytest.mark.timeout(120)]

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
ECHO = {"command": "echo number-$((40 + 2))", "description": "Print a number"}


@routes.by(*routes.ALL)
def test_tools_and_thinking(scene: Scene, version: str, home: Path) -> None:
    scene.is_down()
    tools_and_thinking(scene, version, home)
    assert len(scene.only("bedrock")) == 2


@routes.by(*routes.GATEWAYS_OWN)
def test_tools_and_thinking_in_mid_session(scene: Scene, version: str, home: Path) -> None:
    """Bedrock gets a turn whose thinking Anthropic has signed."""
    scene.is_down(after=1)
    tools_and_thinking(scene, version, home)
    assert len(scene.bedrock.requests) == 1


@routes.by("broken-litellm", oldest=False)
def test_a_litellm_that_cannot_be_imported(scene: Scene, version: str, home: Path) -> None:
    scene.is_down()
    for _ in range(2):  # before LiteLLM is found to be broken, and after
        tools_and_thinking(scene, version, home)
        wait_until(lambda: scene.daemon.status()["litellm"]["state"] == "failed")
    assert len(scene.only("bedrock")) == 4
    assert "from a broken wheel" in scene.daemon.ctl("status").stdout


def tools_and_thinking(scene: Scene, version: str, home: Path) -> None:
    result = scene.claude(version, home).ask(f"[[think]] [[tool Bash {json.dumps(ECHO)}]]")
    worked(result)
    assert result.text == "Hello from the fake. The tool said: number-42", result
    (said,) = [message for message in scene.bedrock.requests[-1].json()["messages"] if message["role"] == "assistant"]
    thinking = ["thinking"] if scene.keeps_thinking(version) else []
    assert [block["type"] for block in said["content"]] == [*thinking, "text", "tool_use"]


@routes.by(*routes.ALL)
def test_a_subagent(scene: Scene, version: str, home: Path) -> None:
    scene.is_down()
    subagent(scene, version, home)
    assert len(scene.only("bedrock")) == 3


@routes.by(*routes.GATEWAYS_OWN)
def test_a_subagent_in_mid_session(scene: Scene, version: str, home: Path) -> None:
    scene.is_down(after=1)
    subagent(scene, version, home)
    assert len(scene.bedrock.requests) == 2


def subagent(scene: Scene, version: str, home: Path) -> None:
    task = {
        "description": "look at the lake",
        "prompt": "[[say the lake is deep]]",
        "subagent_type": "general-purpose",
        "run_in_background": False,
    }
    result = scene.claude(version, home).ask(f"[[think]] [[tool Agent {json.dumps(task)}]]")
    worked(result)
    assert "the lake is deep" in result.text, result


@routes.by(*routes.ALL)
def test_an_image(scene: Scene, version: str, home: Path) -> None:
    scene.is_down()
    image(scene, version, home)
    assert len(scene.only("bedrock")) == 2


@routes.by(*routes.GATEWAYS_OWN)
def test_an_image_in_mid_session(scene: Scene, version: str, home: Path) -> None:
    scene.is_down(after=1)
    image(scene, version, home)


def image(scene: Scene, version: str, home: Path) -> None:
    file = home / "work" / "pixel.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(PIXEL)
    result = scene.claude(version, home).ask(f"[[think]] [[tool Read {json.dumps({'file_path': str(file)})}]]")
    worked(result)
    assert b'"image/png"' in scene.bedrock.requests[-1].body


@routes.by(*routes.ALL)
def test_tool_search(scene: Scene, version: str, home: Path) -> None:
    """2.1.330 searches behind any gateway, 2.1.197 where it is told to."""
    scene.is_down()
    claude = scene.claude(version, home, env={"ENABLE_TOOL_SEARCH": "true"})
    query = {"query": "select:WebFetch", "max_results": 1}
    result = claude.ask(f"[[think]] [[tool ToolSearch {json.dumps(query)}]]")
    worked(result)
    first, second = scene.bedrock.requests
    assert "tool-search-tool-2025-10-19" in first.json()["anthropic_beta"]
    assert any(tool.get("defer_loading") is True for tool in second.json()["tools"])
    assert b'"tool_reference"' in second.body


@routes.by(*routes.ALL)
def test_a_long_answer(scene: Scene, version: str, home: Path) -> None:
    scene.is_down()
    result = scene.claude(version, home).ask("[[slow 20 0.02]]")
    worked(result)
    assert result.text.split() == [f"word-{n}" for n in range(1, 21)]


@routes.by(*routes.GATEWAYS_OWN)
def test_a_connection_refused(scene: Scene, version: str, home: Path) -> None:
    scene.anthropic.refuse_connections()
    scene.anthropic.close_idle_now()
    try:
        result = scene.claude(version, home).ask("good morning")
    finally:
        scene.anthropic.accept_connections()
    worked(result)
    assert result.text == "Hello from the fake. You said: good morning"


@routes.by(*routes.GATEWAYS_OWN)
def test_a_reached_limit_goes_unnoticed(scene: Scene, version: str, home: Path) -> None:
    """And shows the account to be real: this caller's login has never been seen to work."""
    scene.anthropic.limit_next(times=50)
    token = f"sk-ant-oat01-renewed-while-the-limit-is-reached-{version.replace('.', '-')}-{scene.route}"
    result = scene.claude(version, home / "other", signed_in_with(token)).ask("good morning")
    worked(result)
    assert scene.anthropic.requests[-1].header("authorization") == f"Bearer {token}"
    assert result.text == "Hello from the fake. You said: good morning"


@pytest.mark.one_side("in the background")  # the tries that broke off
@routes.by(*routes.ALL)
def test_bedrock_breaks_off(scene: Scene, version: str, home: Path) -> None:
    """The newer client asks again; the older one says what happened. Neither takes half an answer for a whole one."""
    scene.is_down()
    scene.bedrock.exception_next("modelStreamErrorException")
    result = scene.claude(version, home).ask("good morning")
    if result.succeeded:
        assert result.text == "Hello from the fake. You said: good morning", result
    else:
        assert "API Error" in result.text, result


@routes.by(*routes.GATEWAYS_OWN)
def test_a_million_tokens(scene: Scene, version: str, home: Path) -> None:
    """What the client asks of Anthropic with a header and a mark at the model's name, Bedrock gets in the body."""
    scene.is_down()
    env = {"ANTHROPIC_MODEL": "claude-sonnet-4-5[1m]"}
    worked(scene.claude(version, home, env=env).ask("good morning"))
    (asked,) = scene.only("bedrock")
    assert model_of(asked) == "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert CONTEXT_1M in asked.json()["anthropic_beta"]


def test_a_web_search_that_only_anthropic_can_do(scene: Scene, newest: str, home: Path) -> None:
    """It fails, after the client's own tries and none of ours; the session goes on at Bedrock."""
    scene.is_down(after=1)
    env = {"CLAUDE_CODE_MAX_RETRIES": "2", "ENABLE_TOOL_SEARCH": "false"}
    claude = scene.claude(newest, home, env=env)
    search = f"[[tool WebSearch {json.dumps({'query': 'how deep is the lake'})}]]"
    result = claude.ask(search, "--allowedTools", "WebSearch")
    assert result.succeeded, result
    searched = [request for request in scene.anthropic.requests if b"web_search_20" in request.body]
    assert len(searched) == 3, result
    assert len(scene.bedrock.requests) == 1, result
