from typing import Any

import pytest

from claude_gatewayd.bedrock import models
from claude_gatewayd.bedrock.models import Target
from claude_gatewayd.config.values import TokenPrices
from claude_gatewayd.ledger.prices.prices import Prices
from claude_gatewayd.worker.metrics.model_labels import ModelLabels

OWN = ["my-model"]


def find(name: str) -> Target | None:
    return models.find(name, "us-west-2", overrides={"claude-secret": "us.anthropic.claude-secret-v1"})


def labels(**prices: Any) -> ModelLabels:
    return ModelLabels(Prices(prices).knows, find, lambda: OWN)


@pytest.mark.parametrize(
    ("model", "upstream", "label"),
    [
        ("", "anthropic", ""),
        ("claude-opus-5-5", "anthropic", "claude-opus-5-5"),
        ("claude-opus-5-5[1m]", "anthropic", "claude-opus-5-5"),
        ("claude-haiku-4-5-20251001", "anthropic", "claude-haiku-4-5"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "bedrock", "claude-haiku-4-5"),
        ("claude-opus-5-5-bedrock", "bedrock", "claude-opus-5-5"),
        ("claude-3-opus", "anthropic", "claude-3-opus"),
        ("claude-secret", "bedrock", "claude-secret"),  # [bedrock.models]
        ("my-model", "litellm", "my-model"),
        ("priced", "litellm", "priced"),  # [ledger.prices]
        ("claude-invented-7", "anthropic", "other"),
        ("claude-opus-77", "anthropic", "other"),
        ("x" * 100_000, "none", "other"),
        ("a\nb", "none", "other"),
    ],
)
def test_only_names_that_somebody_knows_are_labels(model: str, upstream: str, label: str) -> None:
    found = labels(priced=TokenPrices(1.0, 1.0, 1.0, 1.0, 1.0))
    assert [found.of(model, upstream) for _ in range(2)] == [label, label]


def test_there_are_at_most_a_hundred() -> None:
    found = ModelLabels(lambda model, upstream: True, find, lambda: ())
    names = {found.of(f"claude-thing-{number}", "anthropic") for number in range(5000)}
    assert len(names) == 101
    assert "other" in names
    assert len(found._remembered) <= 500
    assert found.of("claude-thing-1", "anthropic") == "claude-thing-1"


def test_a_model_that_becomes_known_is_no_longer_other() -> None:
    own: list[str] = []
    found = ModelLabels(Prices({}).knows, find, lambda: own)
    assert found.of("mine", "litellm") == "other"
    own.append("mine")
    assert found.of("mine", "litellm") == "mine"
