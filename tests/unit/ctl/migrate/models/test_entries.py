"""Who answers an entry of model_list, and which of Claude's models is behind an id."""

from typing import Any

import pytest

from claude_gatewayd.ctl.migrate.models import entries
from claude_gatewayd.ctl.migrate.models.entries import Entry, Unusable

ARN = "arn:aws:bedrock:us-east-1:123456789012:"


@pytest.mark.parametrize(
    ("there", "stem", "base", "claude"),
    [
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", "claude-opus", "", "claude-opus-4-1"),
        ("anthropic.claude-opus-4-8", "gpt-4", "", "claude-opus-4-8"),
        ("anthropic-claude-sonnet-4-6", "claude-sonnet", "", ""),
        ("us.amazon.nova-pro-v1:0", "claude-x", "", None),
        (f"{ARN}inference-profile/us.anthropic.claude-sonnet-4-6", "x", "", "claude-sonnet-4-6"),
        ("arn:aws:bedrock:ca-central-1::foundation-model/cohere.rerank-v3-5:0", "claude-opus-4-8", "", None),
        (f"{ARN}provisioned-model/abc", "nova-canvas-provisioned", "", None),
        (f"{ARN}application-inference-profile/abc", "claude-sonnet-5", "", "claude-sonnet-5"),
        (f"{ARN}application-inference-profile/abc", "claude-opus", "", ""),
        (f"{ARN}application-inference-profile/abc", "mine", "bedrock/us.anthropic.claude-opus-4-8", "claude-opus-4-8"),
        (f"{ARN}application-inference-profile/abc", "claude-x", "amazon.nova-pro-v1:0", None),
    ],
)
def test_only_claudes_ids_are_claudes(there: str, stem: str, base: str, claude: str | None) -> None:
    assert entries.claude_behind(there, stem, base) == claude


def read(name: Any, environ: dict[str, str] | None = None, **params: Any) -> Entry | Unusable:
    credentials = {"team": {"aws_profile_name": "Team.Dev", "aws_region_name": "eu-central-1"}}
    return entries.read(0, {"model_name": name, "litellm_params": params}, credentials, environ or {})


@pytest.mark.parametrize(
    ("name", "params", "answered_by"),
    [
        ("claude-opus-4-8", {"model": "anthropic/claude-opus-4-8"}, "anthropic"),
        ("sonnet", {"model": "claude-sonnet-5"}, "anthropic"),
        ("claude-opus-4-8", {"model": "bedrock/us.anthropic.claude-opus-4-8"}, "bedrock"),
        ("claude-opus-4-8", {"model": "us.anthropic.claude-opus-4-8"}, "bedrock"),
        ("x", {"model": "us.anthropic.claude-opus-4-8", "custom_llm_provider": "bedrock"}, "bedrock"),
        ("x", {"model": "claude-sonnet-5", "custom_llm_provider": "vertex_ai"}, "litellm"),
        ("x", {"model": "bedrock/meta.llama3-1-70b-instruct-v1:0"}, "litellm"),
        ("4.5", {"model": "gpt-4o"}, "litellm"),
        # a server of one's own gets its own key, and never a caller's credential for Anthropic
        ("glm", {"model": "anthropic/glm-5", "api_base": "https://glm.test/api", "api_key": "k"}, "litellm"),
        ("claude-x", {"model": "anthropic/glm-5", "api_base": "https://glm.test", "api_key": "k"}, "litellm"),
        ("glm", {"model": "anthropic/glm-5", "api_base": "https://glm.test"}, "litellm"),
        ("claude-x", {"model": "anthropic/claude-x", "api_base": "https://gateway.test"}, "anthropic"),
        ("claude-x", {"model": "anthropic/claude-x", "api_base": "https://api.anthropic.com", "api_key": "k"},
         "anthropic"),
    ],
)  # fmt: skip
def test_who_answers(name: str, params: dict[str, Any], answered_by: str) -> None:
    entry = read(name, **params)
    assert isinstance(entry, Entry)
    assert entry.answered_by == answered_by


@pytest.mark.parametrize(
    ("name", "params", "verdict", "words"),
    [
        (True, {"model": "gpt-5"}, "not understood", "YAML reads its model_name as true"),
        (None, {"model": "gpt-5"}, "not understood", "it has no model_name"),
        ("x", {"model": None}, "not understood", "it has no model_name"),
        ("x", {"model": "os.environ/M"}, "yours to do", "M is not set here"),
        ("x", {"model": "anthropic/os.environ/M"}, "yours to do", "M is not set here"),
        ("${N}", {"model": "gpt-5"}, "yours to do", "N is not set here"),
        ("x", {"model": "gpt-5", "litellm_credential_name": "gone"}, "not understood", "credential_list has no gone"),
    ],
)
def test_what_is_not_used(name: Any, params: dict[str, Any], verdict: str, words: str) -> None:
    found = read(name, **params)
    assert isinstance(found, Unusable)
    assert found.verdict == verdict
    assert words in found.explanation


def test_what_an_entry_has() -> None:
    entry = read(
        4.5,
        {"M": "us.anthropic.claude-opus-4-8"},
        model="bedrock/converse/eu-west-1/os.environ/M",
        litellm_credential_name="team",
        aws_region_name="eu-west-3",
        guardrailConfig={"guardrailIdentifier": "gr"},
        timeout="600",
        rpm=None,
    )
    assert isinstance(entry, Entry)
    assert (entry.name, entry.there, entry.claude, entry.region) == (
        "4.5", "us.anthropic.claude-opus-4-8", "claude-opus-4-8", "eu-west-1",
    )  # fmt: skip
    assert entry.credentials == ("aws_profile_name", "Team.Dev")
    assert entry.params["aws_region_name"] == "eu-west-3"  # its own before that of its credential
    assert entry.own == ["guardrailConfig"]


@pytest.mark.parametrize(
    ("params", "own"),
    [
        ({"aws_access_key_id": "os.environ/AWS_ACCESS_KEY_ID"}, []),
        ({"aws_access_key_id": "AKIA"}, ["aws_access_key_id"]),
        ({"aws_role_name": "r", "aws_external_id": "e"}, ["aws_role_name", "aws_external_id"]),
        ({"input_cost_per_token_above_200k_tokens": 1, "drop_params": True, "stream_timeout": 3}, []),
        ({"temperature": 0}, ["temperature"]),
    ],
)
def test_what_holds_for_one_entry_alone(params: dict[str, Any], own: list[str]) -> None:
    entry = read("x", model="bedrock/us.anthropic.claude-opus-4-8", **params)
    assert isinstance(entry, Entry)
    assert entry.own == own
