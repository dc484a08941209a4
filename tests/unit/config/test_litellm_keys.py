"""What the keys of a LiteLLM configuration mean here."""

from typing import Any

import pytest

from claude_gatewayd.config.litellm_keys import lacks_keys, needs_account, unset_key

ROLE = "arn:aws:iam::111122223333:role/Capacity"


@pytest.mark.parametrize(
    ("model", "params", "expected"),
    [
        ("bedrock/amazon.nova-pro-v1:0", {}, True),
        ("amazon.nova-pro-v1:0", {"custom_llm_provider": "bedrock"}, True),
        ("openai/gpt-5", {}, False),
        ("bedrock/x", {"mock_response": "hello"}, False),
        ("bedrock/x", {"aws_profile_name": "Business"}, False),
        ("bedrock/x", {"api_key": "ABSKexample"}, False),
        ("bedrock/x", {"aws_access_key_id": "AKIA", "aws_secret_access_key": "s"}, False),
        ("bedrock/x", {"aws_access_key_id": "os.environ/THEIRS"}, False),
        ("bedrock/x", {"aws_access_key_id": "os.environ/NOT_SET", "aws_region_name": "us-east-1"}, True),
        ("bedrock/x", {"aws_role_name": ROLE, "aws_session_name": "gateway"}, True),  # somebody has to assume it
        ("bedrock/x", {"aws_role_name": ROLE, "aws_web_identity_token": "oidc/google"}, False),
        ("bedrock/x", {"aws_role_name": ROLE, "aws_access_key_id": "AKIA"}, False),
    ],
)
def test_who_needs_the_account(model: str, params: dict[str, Any], expected: bool) -> None:
    assert needs_account(model, params, {"THEIRS"}) is expected


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, True),
        ({"aws_access_key_id": None, "aws_region_name": "us-east-1"}, True),  # a variable that is not set
        ({"aws_profile_name": "Business"}, False),
        ({"aws_role_name": ROLE}, False),
        ({"api_key": "ABSKexample"}, False),
    ],
)
def test_who_gets_the_gateways_keys(params: dict[str, Any], expected: bool) -> None:
    assert lacks_keys(params) is expected


@pytest.mark.parametrize(
    ("model", "params", "expected"),
    [
        ("openai/gpt-5", {"api_key": "os.environ/OPENAI_API_KEY"}, "OPENAI_API_KEY"),
        ("openai/gpt-5", {"api_key": "os.environ/THEIRS"}, ""),
        ("openai/gpt-5", {"api_key": "sk-x"}, ""),
        ("openai/gpt-5", {}, ""),
        ("bedrock/x", {"api_key": "os.environ/NOT_SET"}, ""),
    ],
)
def test_whose_key_is_not_set(model: str, params: dict[str, Any], expected: str) -> None:
    assert unset_key(model, params, {"THEIRS"}) == expected
