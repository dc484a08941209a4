"""Signing a request to AWS: with botocore's Signature Version 4, or with a Bedrock API key."""

from typing import Final

from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.http1.head import Lines

_SERVICE: Final = "bedrock"
_SIGNED: Final = ("x-amz-date", "x-amz-security-token", "authorization")


def load() -> None:
    """Import what signs, which takes 0.1 s: to be called in a thread, before the first request."""
    import botocore.auth
    import botocore.awsrequest
    import botocore.credentials  # noqa: F401


def signature(keys: AwsKeys, region: str, method: str, url: str, body: Bytes) -> Lines:
    """Return the header lines that sign a request to *url*, whose path is percent-encoded.

    Of the request's headers only Host is signed: a proxy may change the others.
    """
    if keys.bearer:
        return [b"Authorization: Bearer " + keys.bearer.encode()]
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import ReadOnlyCredentials

    request = AWSRequest(method, url, data=bytes(body))
    credentials = ReadOnlyCredentials(keys.access_key, keys.secret_key, keys.session_token or None)
    SigV4Auth(credentials, _SERVICE, region).add_auth(request)
    headers = {name.lower(): value for name, value in request.headers.items()}
    return [f"{name}: {headers[name]}".encode() for name in _SIGNED if name in headers]
