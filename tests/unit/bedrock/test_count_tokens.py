"""CountTokens: which model is asked, with what, and what comes back."""

import base64
import json
from typing import Any

import pytest

from claude_gatewayd.bedrock import count_tokens
from claude_gatewayd.bedrock.models import Family

HELLO = {"messages": [{"role": "user", "content": "foo"}]}
ACCOUNT = "arn:aws:bedrock:us-west-2:123456789012"


@pytest.mark.parametrize(
    ("model", "foundation"),
    [
        ("us.anthropic.claude-opus-4-8", "anthropic.claude-opus-4-8"),
        ("us-gov.anthropic.claude-sonnet-5", "anthropic.claude-sonnet-5"),
        ("global.anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("anthropic.claude-opus-4-8", "anthropic.claude-opus-4-8"),
        ("arn:aws:bedrock:us-west-2::foundation-model/anthropic.claude-opus-5", "anthropic.claude-opus-5"),
        (f"{ACCOUNT}:inference-profile/eu.anthropic.claude-opus-5", "anthropic.claude-opus-5"),
        ("arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/anthropic.claude-3-opus", "anthropic.claude-3-opus"),
        (f"{ACCOUNT}:application-inference-profile/anthropic.x", None),
        (f"{ACCOUNT}:provisioned-model/abc", None),
        ("moon.anthropic.claude-opus-5", None),
        ("us.anthropic.a b/../c", None),
        ("", None),
    ],
)
def test_foundation_model(model: str, foundation: str | None) -> None:
    assert count_tokens.foundation_model(model) == foundation


def test_path() -> None:
    assert count_tokens.path("anthropic.claude-x-v1:0") == "/model/anthropic.claude-x-v1%3A0/count-tokens"


def inner(document: dict[str, Any], beta: str, family: Family) -> Any:
    given = json.loads(count_tokens.body(document, beta, family))
    return json.loads(base64.b64decode(given["input"]["invokeModel"]["body"]))


def test_the_least() -> None:
    assert inner(HELLO | {"model": "m", "tools": []}, "oauth-2025-04-20", Family.CLAUDE_5) == {
        **HELLO, "max_tokens": 1, "anthropic_version": "bedrock-2023-05-31",
    }  # fmt: skip


@pytest.mark.parametrize("beta", ["claude-code-20250219", "context-1m-2025-08-07, claude-code-20250219,new-beta"])
def test_betas(beta: str) -> None:
    assert inner(HELLO, beta, Family.CLAUDE_5)["anthropic_beta"] == ["claude-code-20250219"]


@pytest.mark.parametrize(
    ("family", "thinking", "most"),
    [
        (Family.CLAUDE_4_5, {"type": "enabled", "budget_tokens": 9000}, 9001),
        (Family.CLAUDE_4_5, {"type": "enabled", "budget_tokens": 9_000_000}, 64_000),
        (Family.CLAUDE_5, {"type": "enabled", "budget_tokens": 9000}, 1),  # adaptive there
        (Family.CLAUDE_4_5, {"type": "enabled", "budget_tokens": "many"}, 1),
        (Family.CLAUDE_4_5, None, 1),
    ],
)
def test_max_tokens(family: Family, thinking: Any, most: int) -> None:
    body = inner(HELLO | {"thinking": thinking, "max_tokens": 5}, "", family)
    assert body["max_tokens"] == most
    budget = body.get("thinking", {}).get("budget_tokens", 0)
    assert not isinstance(budget, int) or budget < most


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        (b'{"inputTokens":7,"more":1}', 7),
        (b'{"inputTokens":"7"}', None),
        (b"{}", None),
        (b"<html>", None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_read(answer: bytes, tokens: int | None) -> None:
    assert count_tokens.read(answer) == tokens
