"""Signing a request to AWS: with botocore's Signature Version 4, or with a Bedrock API key."""

from dataclasses import dataclass, field
from typing import Final

from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.http1.head import Lines

_SERVICE: Final = "bedrock"
_SIGNED: Final = ("X-Amz-Date", "X-Amz-Security-Token", "Authorization")


@dataclass(slots=True)
class _Request:
    """What botocore signs, in place of its AWSRequest: that one prepares an HTTP request, in twice the time."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    params: None = None
    context: dict[str, object] = field(default_factory=dict)


def load() -> None:
    """Import what signs, which takes 0.1 s: to be called in a thread, before the first request."""
    import botocore.auth
    import botocore.credentials  # noqa: F401


def signature(keys: AwsKeys, region: str, method: str, url: str, host: str, body: Bytes) -> Lines:
    """Return the header lines that sign a request to *url*, whose path is percent-encoded, with *host* as its Host.

    Of the request's headers only Host is signed: a proxy may change the others.
    """
    if keys.bearer:
        return [b"Authorization: Bearer " + keys.bearer.encode()]
    from botocore.auth import SigV4Auth
    from botocore.credentials import ReadOnlyCredentials

    request = _Request(method, url, {"host": host}, bytes(body))
    credentials = ReadOnlyCredentials(keys.access_key, keys.secret_key, keys.session_token or None)
    SigV4Auth(credentials, _SERVICE, region).add_auth(request)
    return [f"{name}: {request.headers[name]}".encode() for name in _SIGNED if name in request.headers]
