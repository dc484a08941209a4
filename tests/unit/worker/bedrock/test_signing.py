"""Signatures: the same as botocore's own requests get."""

import datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.worker.bedrock import signing

REGION = "eu-central-1"
KEYS = AwsKeys("AKIDEXAMPLE", "an invented secret", "an invented token")


class _At(SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """Signs at a given time."""

    def __init__(self, credentials: ReadOnlyCredentials, at: str) -> None:
        super().__init__(credentials, "bedrock", REGION)
        self._at = at

    def string_to_sign(self, request: AWSRequest, canonical_request: str) -> str:
        request.context["timestamp"] = self._at
        text: str = super().string_to_sign(request, canonical_request)
        return text

    def _set_necessary_date_headers(self, request: AWSRequest) -> None:
        request.headers["X-Amz-Date"] = self._at


def fields(lines: list[bytes]) -> dict[str, str]:
    """Return the header lines by name."""
    return dict(line.decode().split(": ", 1) for line in lines)


@pytest.mark.parametrize("body", [b"", b'{"messages": []}', bytes(range(256))])
@pytest.mark.parametrize("token", ["", "an invented token"])
@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("bedrock-runtime.eu-central-1.amazonaws.com", "/model/eu.anthropic.claude-opus-4-8-v1%3A0/invoke"),
        ("127.0.0.1:4711", "/base/model/arn%3Aaws%3Abedrock%3Aeu%3A1%3Aapplication-inference-profile%2Fx/invoke"),
        ("bedrock.eu-central-1.amazonaws.com", "/inference-profiles?type=APPLICATION&maxResults=9&nextToken=a%3D"),
    ],
)
def test_it_signs_as_botocore_signs_its_own_requests(host: str, target: str, token: str, body: bytes) -> None:
    keys = AwsKeys("AKIDEXAMPLE", "an invented secret", token)
    url = f"https://{host}{target}"
    found = fields(signing.signature(keys, REGION, "POST", url, host, memoryview(body)))
    at = found["X-Amz-Date"]
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.strptime(at, "%Y%m%dT%H%M%S%z")
    assert abs(age) < datetime.timedelta(minutes=1)
    reference = AWSRequest("POST", url, data=body)
    _At(ReadOnlyCredentials(keys.access_key, keys.secret_key, token or None), at).add_auth(reference)
    assert found == {name: reference.headers[name] for name in found}
    assert ("X-Amz-Security-Token" in found) == bool(token)
    assert "SignedHeaders=host;x-amz-date" in found["Authorization"]


def test_a_bearer_key_is_sent_as_it_is() -> None:
    assert signing.signature(AwsKeys("", "", bearer="ABSK-invented"), REGION, "POST", "https://x/", "x", b"{}") == [
        b"Authorization: Bearer ABSK-invented"
    ]
