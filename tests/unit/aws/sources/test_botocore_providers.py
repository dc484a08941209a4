"""What botocore's own providers raise, and what that means for a person."""

import pytest
from botocore import exceptions

from claude_gatewayd.aws.failures import FailureContext
from claude_gatewayd.aws.sources import botocore_providers

CONTEXT = FailureContext("profile cli", "cli", "aws login --profile cli")
SECRET = "secret-canary"


@pytest.mark.parametrize(
    ("error", "cause", "hint"),
    [
        (exceptions.LoginRefreshRequired(), "login", "aws login --profile cli"),
        (exceptions.LoginTokenLoadError(error_msg=SECRET), "login", "aws login --profile cli"),
        (exceptions.LoginInsufficientPermissions(), "setup", "aws login --profile cli"),
        (exceptions.EndpointConnectionError(endpoint_url=SECRET), "offline", ""),
        (exceptions.ProxyConnectionError(proxy_url=SECRET), "offline", ""),
        (exceptions.ReadTimeoutError(endpoint_url=SECRET), "offline", ""),
        (ConnectionResetError(), "offline", ""),
        (exceptions.MetadataRetrievalError(error_msg=SECRET), "broken", "aws sts get-caller-identity --profile cli"),
        (ValueError(SECRET), "broken", "aws sts get-caller-identity --profile cli"),
    ],
)
def test_what_a_failure_means(error: Exception, cause: str, hint: str) -> None:
    failure = botocore_providers._as_failure(error, CONTEXT)
    assert (failure.cause, failure.hint) == (cause, hint)
    assert SECRET not in failure.why
