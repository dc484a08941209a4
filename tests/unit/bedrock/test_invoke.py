"""The path and the body of InvokeModel."""

import json

import pytest

from claude_gatewayd.bedrock import invoke
from claude_gatewayd.bedrock.request import BedrockRequest


@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        ("us.anthropic.claude-opus-5-5", True, "/model/us.anthropic.claude-opus-5-5/invoke-with-response-stream"),
        ("anthropic.claude-3-opus-20240229-v1:0", False, "/model/anthropic.claude-3-opus-20240229-v1%3A0/invoke"),
        (
            "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc",
            False,
            "/model/arn%3Aaws%3Abedrock%3Aus-west-2%3A123456789012%3Aapplication-inference-profile%2Fabc/invoke",
        ),
        ("a b/../c?d#é", False, "/model/a%20b%2F..%2Fc%3Fd%23%C3%A9/invoke"),
    ],
)
def test_path(model: str, stream: bool, path: str) -> None:
    assert invoke.path(model, stream=stream) == path


def test_body() -> None:
    body = invoke.body(BedrockRequest({"max_tokens": 9}, ("one", "two"), header_betas=("three",)))
    assert json.loads(body) == {
        "max_tokens": 9, "anthropic_beta": ["one", "two"], "anthropic_version": "bedrock-2023-05-31",
    }  # fmt: skip
    assert "anthropic_beta" not in json.loads(invoke.body(BedrockRequest({"max_tokens": 9}, ())))
