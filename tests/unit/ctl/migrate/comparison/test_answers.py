"""Who answers a name now, and who did before."""

from collections.abc import Sequence

import pytest

from claude_gatewayd.config.model import Bedrock, Config
from claude_gatewayd.ctl.migrate.comparison.answers import NameAnswer, OwnModel, Provider, answer, before

CONFIG = Config()._replace(
    aliases={"best": "claude-opus-4-8", "cheap": "gpt-5", "old": "claude-opus-4-1-bedrock", "lost": "gone"},
    bedrock=Bedrock(region="eu-west-1", models={"claude-sonnet-5": "arn:aws:bedrock:x"}),
)
OWN = {
    "gpt-5": OwnModel("openai/gpt-5"),
    "llama": OwnModel("bedrock/meta.llama3", needs_account=True),
    "claude-mine": OwnModel("openai/x"),
    "bedrock/mine": OwnModel("openai/x"),
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claude-opus-4-8", NameAnswer("anthropic", "claude-opus-4-8")),
        ("claude-opus-4-8[1m]", NameAnswer("anthropic", "claude-opus-4-8")),
        ("best", NameAnswer("anthropic", "claude-opus-4-8")),
        ("claude-opus-4-8-bedrock", NameAnswer("bedrock", "eu.anthropic.claude-opus-4-8")),
        ("claude-sonnet-5-bedrock", NameAnswer("bedrock", "arn:aws:bedrock:x")),
        ("us.anthropic.claude-opus-4-8", NameAnswer("bedrock", "us.anthropic.claude-opus-4-8")),
        ("old", NameAnswer("bedrock", "eu.anthropic.claude-opus-4-1-20250805-v1:0")),
        ("gpt-5", NameAnswer("litellm", "openai/gpt-5")),
        ("cheap", NameAnswer("litellm", "openai/gpt-5")),
        ("llama", NameAnswer("litellm", "bedrock/meta.llama3", needs_account=True)),
        ("claude-mine", NameAnswer("anthropic", "claude-mine")),  # no model of a person's may have such a name
        ("bedrock/mine", NameAnswer("")),  # nor such a one
        ("claude-*", NameAnswer("anthropic", "claude-*")),
        ("openai/*", NameAnswer("")),
        ("*", NameAnswer("")),
        ("gone", NameAnswer("")),
        ("lost", NameAnswer("")),
        ("4.5", NameAnswer("")),
    ],
)
def test_who_answers(name: str, expected: NameAnswer) -> None:
    assert answer(name, CONFIG, OWN) == expected


@pytest.mark.parametrize(
    ("models", "provider"),
    [
        (["anthropic/claude-opus-4-8", "bedrock/us.anthropic.claude-opus-4-8"], "anthropic"),
        (["claude-opus-4-8"], "anthropic"),
        (["bedrock/us.anthropic.claude-opus-4-8"], "bedrock"),
        (["openai/gpt-5"], "litellm"),
        ([], "litellm"),
    ],
)
def test_who_answered(models: Sequence[str], provider: Provider) -> None:
    assert before(models) == provider
