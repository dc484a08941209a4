"""What a person has to do in AWS's console so that a model can be used. Pure."""

import re
from typing import Final

from claude_gatewayd.bedrock import errors
from claude_gatewayd.bedrock.errors import BedrockFailure

# The role lacks a permission. Everything else about access is a matter of the account.
_OF_ROLE: Final = re.compile(
    r"not authorized to perform|bedrock:\w+|identity-based policy|explicit deny", re.IGNORECASE
)
_OF_BEARER: Final = re.compile(r"bearer token|api key", re.IGNORECASE)


def catalog_url(region: str) -> str:
    """Return the page of the console that has a region's models, and where access to one is asked for."""
    domain = "amazonaws-us-gov.com" if region.startswith("us-gov-") else "aws.amazon.com"
    host = f"{region}.console.{domain}" if domain.startswith("aws.") else f"console.{domain}"
    return f"https://{host}/bedrock/home?region={region}#/model-catalog"


def step(failure: BedrockFailure, model: str, region: str) -> str:
    """Return the step that a failure calls for, "" where it is not about the access to a model."""
    name = errors.masked(model)
    if errors.is_credential_failure(failure) or errors.is_client_fixable(failure) or _OF_BEARER.search(failure.message):
        return ""
    if errors.is_access_refused(failure):
        if _OF_ROLE.search(failure.message):
            return (
                f"To allow {name} to this role in the AWS console: IAM > Roles, with bedrock:InvokeModel and "
                "bedrock:InvokeModelWithResponseStream"
            )
        return (
            f"To get access to {name} in the AWS console: Bedrock > Model catalog (in some accounts Model access), "
            f"region {region}: {catalog_url(region)}"
        )
    if errors.is_model_unknown(failure):
        return f"Those of {region} are in the AWS console: Bedrock > Model catalog, {catalog_url(region)}"
    return ""
