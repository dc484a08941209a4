"""A model of the person's own at Bedrock, and no AWS keys to ask with: the answer says what to do, and ends retries."""

from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.support.daemon import Daemon
from tests.support.stage import Stage, turn

pytestmark = pytest.mark.slow

OWN = """
model_list:
  - model_name: nova
    litellm_params: {model: bedrock/us.amazon.nova-pro-v1:0, aws_region_name: us-east-2}
"""


def test_the_client_hears_what_to_do_and_does_not_ask_again(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(OWN)
    config = f'[bedrock]\nprofile = "Chat"\n[litellm]\nconfig = "{file}"\n'
    with (
        FakeAnthropic() as anthropic,
        FakeBedrock() as bedrock,
        Daemon(upstream=anthropic.url, config=config, environ={"AWS_EC2_METADATA_DISABLED": "true"}) as daemon,
    ):
        stage = Stage(anthropic, bedrock, daemon)
        stage.prove()
        stage.wait_loaded()
        replies = [stage.ask(turn("hello", model="nova")) for _ in range(4)]
        replies.append(stage.ask(turn("hello", model="nova", stream=True)))
        for reply in replies:  # the fifth like the first: LiteLLM gives no model up for it
            assert reply.status == 403, "no client asks again after that one"
            assert reply.error == (
                "cannot get AWS credentials: there are no AWS keys in the environment, and no profile Chat. "
                "Run: aws configure sso --profile Chat"
            )
