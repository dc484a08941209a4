"""What a person has to do in AWS's console, row by row."""

import pytest

from claude_gatewayd.bedrock import console
from claude_gatewayd.bedrock.errors import BedrockFailure, error_reply

MODEL = "us.anthropic.claude-opus-5-5"
ARN = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc"
NO_ACCESS = "You don't have access to the model with the specified model ID."
CATALOG = "https://eu-west-1.console.aws.amazon.com/bedrock/home?region=eu-west-1#/model-catalog"
IAM = (
    f"User: {ARN} is not authorized to perform: bedrock:InvokeModel on resource: {ARN} because no identity-based "
    "policy allows the bedrock:InvokeModel action"
)


@pytest.mark.parametrize(
    ("failure", "status", "parts"),
    [
        (BedrockFailure("AccessDeniedException", 403, NO_ACCESS), 403,
         ("To get access to us.anthropic.claude-opus-5-5", "Bedrock > Model catalog", "region eu-west-1", CATALOG)),
        (BedrockFailure("AccessDeniedException", 403, IAM), 403, ("IAM > Roles", "bedrock:InvokeModel")),
        (BedrockFailure("ResourceNotFoundException", 404, "Model use case details have not been submitted for this "
         "account. Fill out the Anthropic use case details form before using the model."),
         403, ("AWS does not let this role use the model", CATALOG)),
        (BedrockFailure("ValidationException", 400, "Operation not allowed"), 403, (CATALOG,)),
        (BedrockFailure("ValidationException", 400, "The provided model identifier is invalid."), 404,
         ("Those of eu-west-1", CATALOG, "[bedrock.models]")),
        (BedrockFailure("ResourceNotFoundException", 404, "x"), 404, (CATALOG,)),
    ],
)  # fmt: skip
def test_steps(failure: BedrockFailure, status: int, parts: tuple[str, ...]) -> None:
    step = console.step(failure, MODEL, "eu-west-1")
    reply = error_reply(failure._replace(step=step))
    assert step
    assert reply.status == status
    assert b"x-should-retry: false" in reply.lines
    for part in parts:
        assert part in reply.message
    assert "123456789012" not in reply.message


@pytest.mark.parametrize(
    "failure",
    [
        BedrockFailure("ThrottlingException", 429, "Too many requests"),
        BedrockFailure("ExpiredTokenException", 403, "The security token included in the request is expired"),
        BedrockFailure("AccessDeniedException", 403, "Bearer Token has expired"),
        BedrockFailure("AccessDeniedException", 403, "Authentication failed: Please make sure your API Key is valid."),
        BedrockFailure("ValidationException", 400, "max_tokens: 9 > 8, which is the maximum"),
        BedrockFailure("Timeout", 504, ""),
    ],
)
def test_what_no_step_mends(failure: BedrockFailure) -> None:
    assert console.step(failure, MODEL, "eu-west-1") == ""


def test_a_step_names_no_account() -> None:
    assert "123456789012" not in console.step(BedrockFailure("AccessDeniedException", 403, "no"), ARN, "us-west-2")


def test_the_console_of_the_government() -> None:
    url = console.catalog_url("us-gov-west-1")
    assert url == "https://console.amazonaws-us-gov.com/bedrock/home?region=us-gov-west-1#/model-catalog"
