"""Clients for AWS: without botocore's table of endpoints they ask who boto3 asks, and sign for the same place."""

from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from claude_gatewayd.aws.client import make_client
from claude_gatewayd.network.egress import Egress

KEYS = {"aws_access_key_id": "AKIAINVENTED", "aws_secret_access_key": "invented"}
CALLS: dict[str, tuple[str, dict[str, str]]] = {
    "sts": ("get_caller_identity", {}),
    "sso": ("get_role_credentials", {"roleName": "x", "accountId": "123456789012", "accessToken": "x"}),
    "sso-oidc": ("create_token", {"clientId": "x", "clientSecret": "x", "grantType": "refresh_token"}),
}
# Of each partition one, a recent one, one that botocore does not know yet, and one that is no region.
REGIONS = (
    "us-east-1",
    "eu-central-1",
    "mx-central-1",
    "cn-north-1",
    "us-gov-west-1",
    "eusc-de-east-1",
    "eu-west-9",
    "x",
)


class Asked(Exception):
    """Carry where a request would go, and what its signature is for."""


def asked(client: Any, service: str) -> tuple[str, str]:
    """Return where a client sends its request, and the scope of its signature."""

    def tell(request: Any, **_: object) -> None:
        raise Asked(request.url, str(request.headers.get("Authorization", "")).partition(", SignedHeaders")[0])

    client.meta.events.register_first("before-send", tell)
    operation, arguments = CALLS[service]
    with pytest.raises(Asked) as caught:
        getattr(client, operation)(**arguments)
    url, scope = caught.value.args
    return url, scope


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("variant", ["", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"])
@pytest.mark.parametrize(("service", "keys"), [("sts", KEYS), ("sts", {}), ("sso", {}), ("sso-oidc", {})])
def test_they_ask_who_boto3_asks(
    service: str, keys: dict[str, str], variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variant:
        monkeypatch.setenv(variant, "true")
    session = boto3.Session()
    for region in REGIONS:
        config = Config(region_name=region) if keys else Config(region_name=region, signature_version=UNSIGNED)
        expected = asked(session.client(service, config=config, **keys), service)
        assert asked(make_client(service, region, Egress({}), **keys), service) == expected, region
