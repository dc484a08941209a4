"""A stage whose upstreams, all but Anthropic, are a port that says what a test has it say: Bedrock, and own models."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.fakes.upstream import Upstream
from tests.support.daemon import Daemon
from tests.support.stage import Stage, Through, asking

CONFIG = """
[router]
num_retries = 0
[litellm]
config = "CONFIG"
"""
LITELLM = """
model_list:
  - model_name: own-openai
    litellm_params: {model: openai/own, api_base: UPSTREAM/v1, api_key: sk-own}
  - model_name: own-lenient
    litellm_params:
      {model: openai/own, api_base: UPSTREAM/v1, api_key: sk-own, allowed_openai_params: [of_theirs, api_base]}
  - model_name: own-anthropic
    litellm_params: {model: anthropic/own, api_base: UPSTREAM, api_key: sk-own}
  - model_name: own-invoke
    litellm_params: {model: bedrock/us.anthropic.claude-opus-4-8, aws_bedrock_runtime_endpoint: UPSTREAM}
  - model_name: own-converse
    litellm_params: {model: bedrock/converse/us.anthropic.claude-opus-4-8, aws_bedrock_runtime_endpoint: UPSTREAM}
  - model_name: own-azure
    litellm_params: {model: azure/own, api_base: UPSTREAM, api_key: sk-own, api_version: "2024-10-21"}
  - model_name: own-gemini
    litellm_params: {model: gemini/own, api_base: UPSTREAM, api_key: sk-own}
"""


class Elsewhere(NamedTuple):
    """The stage, and what stands behind LiteLLM."""

    stage: Stage
    upstream: Upstream

    def emptied(self) -> "Elsewhere":
        """Return it with nothing that was asked before."""
        while not self.upstream.requests.empty():
            self.upstream.request()
        self.stage.forget()
        return self


@contextmanager
def standing(directory: Path, through: Through, more: str = "") -> Iterator[Elsewhere]:
    """Return it, with LiteLLM loaded and a caller whom Anthropic knows; *more* is of the configuration."""
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock, Upstream() as upstream:
        file = directory / "config.yaml"
        file.write_text(LITELLM.replace("UPSTREAM", upstream.url))
        environ = asking(bedrock, through) | {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": upstream.url}
        config = CONFIG.replace("CONFIG", str(file)) + more
        with Daemon(upstream=anthropic.url, config=config, environ=environ) as daemon:
            stage = Stage(anthropic, bedrock, daemon)
            stage.wait_loaded()
            stage.prove()
            assert daemon.status()["litellm"]["config"]["problems"] == []
            yield Elsewhere(stage, upstream)
        assert "Traceback" not in daemon.log
