"""What `import` writes is served as the old proxy served it: each name by the model and the account that it had."""

import json
import subprocess
from collections.abc import Iterator
from urllib.parse import unquote

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.support.daemon import BIN, Daemon
from tests.support.stage import Stage, keys_of, turn

pytestmark = pytest.mark.slow

OLD = """
model_list:
  - model_name: claude-opus-5
    litellm_params: {model: anthropic/claude-opus-5}
  - model_name: claude-opus
    litellm_params: {model: bedrock/us.anthropic.claude-opus-4-1-20250805-v1:0, aws_region_name: us-west-2}
  - model_name: claude-sonnet-4-5-20250929
    litellm_params: {model: bedrock/global.anthropic.claude-sonnet-4-5-20250929-v1:0, aws_region_name: us-west-2}
  - model_name: claude-haiku
    litellm_params:
      model: bedrock/invoke/us.anthropic.claude-haiku-4-5-20251001-v1:0
      aws_access_key_id: os.environ/TEAM_KEY_ID
      aws_secret_access_key: os.environ/TEAM_SECRET
      aws_session_token: os.environ/TEAM_TOKEN
      aws_region_name: us-west-2
      aws_bedrock_runtime_endpoint: ENDPOINT
      temperature: 0.25
  - model_name: claude-fake
    litellm_params: {model: openai/gpt-5, api_key: none, mock_response: from the mock}
router_settings:
  fallbacks:
    - claude-opus: [claude-sonnet-4-5-20250929]
  model_group_alias:
    best: {model: claude-opus, hidden: true}
general_settings: {master_key: sk-1234}
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Return a daemon with the imported configuration, and a caller whom Anthropic knows."""
    directory = tmp_path_factory.mktemp("proxy")
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        (directory / "config.yaml").write_text(OLD.replace("ENDPOINT", bedrock.url))
        key = bedrock.key
        team = {"TEAM_KEY_ID": key.access_key, "TEAM_SECRET": key.secret, "TEAM_TOKEN": key.token or ""}
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(directory), **team}
        subprocess.run(
            [str(BIN / "claude-gatewayctl"), "import", str(directory)], env=environ, check=True, timeout=60,
            capture_output=True,
        )  # fmt: skip
        config = (directory / ".config" / "claude-gateway" / "config.toml").read_text()
        with Daemon(upstream=anthropic.url, config=config, environ=keys_of(bedrock) | team) as daemon:
            stage = Stage(anthropic, bedrock, daemon)
            stage.wait_loaded()
            assert "is not used" not in daemon.log
            stage.prove()
            yield stage


@pytest.fixture(autouse=True)
def forget(stage: Stage) -> None:
    """Let each test see its own requests alone."""
    stage.forget()


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("claude-opus", "us.anthropic.claude-opus-4-1-20250805-v1:0"),
        ("best", "us.anthropic.claude-opus-4-1-20250805-v1:0"),
        ("claude-sonnet-4-5-20250929", "global.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("claude-haiku", "us.anthropic.claude-haiku-4-5-20251001-v1:0"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
def test_a_name_that_bedrock_alone_answered(stage: Stage, name: str, there: str, path: str) -> None:
    reply = stage.ask(turn(f"{name} by {path}", model=name, stream=False), path=path)
    assert reply.status == 200, reply.body
    assert [unquote(asked.target).split("/")[2] for asked in stage.to_bedrock()] == [there]
    assert stage.to_anthropic() == []


@pytest.mark.parametrize("model", ["claude-opus-5", "claude-opus-5-5"])
def test_the_newest_opus_is_not_answered_by_an_older_one(stage: Stage, model: str) -> None:
    stage.anthropic.fail_next(529)
    reply = stage.ask(turn("hello", model=model))
    assert (reply.status, reply.headers["x-gateway-upstream"]) == (200, "bedrock")
    (asked,) = stage.to_bedrock()
    assert unquote(asked.target).split("/")[2] == f"us.anthropic.{model}"


def test_what_an_entry_had_of_its_own(stage: Stage) -> None:
    assert stage.ask(turn("hello", model="claude-haiku", stream=False)).status == 200
    (asked,) = stage.to_bedrock()
    assert json.loads(asked.body)["temperature"] == 0.25


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("name", "model"), [("claude-opus", "claude-opus"), ("claude-haiku", "litellm-claude-haiku")])
def test_the_model_that_an_answer_names(stage: Stage, name: str, model: str, stream: bool) -> None:
    reply = stage.ask(turn("hello", model=name, stream=stream))
    assert reply.status == 200, reply.body
    message = next(data["message"] for kind, data in reply.events if kind == "message_start") if stream else reply.json
    assert message["model"] == model


def test_another_providers_model_under_a_name_of_claudes(stage: Stage) -> None:
    reply = stage.ask(turn("hello", model="claude-fake", stream=False))
    assert reply.status == 200, reply.body
    assert "from the mock" in reply.text
    assert stage.to_anthropic() == stage.to_bedrock() == []
