"""The fake AWS, by real boto3 and by hand."""

import base64
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.fakes.aws_state import ACCOUNT, CHAINED_ROLE, DEVICE_GRANT, ROLE, SCOPE, WEB_ROLE
from tests.fakes.bedrock import FakeBedrock
from tests.support.clock import Clock

REDIRECT = "http://127.0.0.1/oauth/callback"
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())


@pytest.fixture
def aws(clock: Clock) -> Iterator[FakeAws]:
    with FakeAws(clock=clock) as aws:
        yield aws
        assert aws.violations == []


def client(aws: FakeAws, name: str, **keys: str) -> Any:
    service = {"sso-oidc": "oidc", "sso": "portal", "sts": "sts"}[name]
    signed = {} if keys else {"signature_version": UNSIGNED}
    config = Config(region_name=aws.region, retries={"total_max_attempts": 1}, read_timeout=1, **signed)
    return boto3.Session(**keys).client(name, endpoint_url=aws.url(service), config=config)  # type: ignore[arg-type]


def refused(call: Any, **given: object) -> str:
    with pytest.raises(ClientError) as caught:
        call(**given)
    return str(caught.value.response["Error"]["Code"])


def registered(aws: FakeAws, **more: object) -> dict[str, Any]:
    oidc = client(aws, "sso-oidc")
    given = {"clientName": "botocore-client-corp", "clientType": "public", "scopes": [SCOPE], **more}
    said: dict[str, Any] = oidc.register_client(**given)
    return {"clientId": said["clientId"], "clientSecret": said["clientSecret"]}


def for_browser(aws: FakeAws) -> dict[str, Any]:
    return registered(
        aws, grantTypes=["authorization_code", "refresh_token"], redirectUris=[REDIRECT], issuerUrl=aws.start_url
    )


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


def visit(aws: FakeAws, **query: str) -> tuple[int, dict[str, str]]:
    """Return the status of the page, and what it sends back to the redirect URI."""
    try:
        with build_opener(_NoRedirect).open(Request(f"{aws.url('oidc')}/authorize?{urlencode(query)}")) as page:
            return page.status, {}
    except HTTPError as error:
        error.close()
        back = urlsplit(error.headers.get("Location", ""))
        return error.code, {name: values[0] for name, values in parse_qs(back.query).items()}


def query_of(client_id: str) -> dict[str, str]:
    return {
        "response_type": "code", "client_id": client_id, "redirect_uri": "http://127.0.0.1:4242/oauth/callback",
        "state": "s", "code_challenge_method": "S256", "code_challenge": CHALLENGE, "scopes": SCOPE,
    }  # fmt: skip


# -- SSO-OIDC


def test_device_code(aws: FakeAws, clock: Clock) -> None:
    oidc, who = client(aws, "sso-oidc"), registered(aws)
    started = oidc.start_device_authorization(**who, startUrl=aws.start_url)
    assert started["verificationUriComplete"].endswith(started["userCode"])
    poll = {**who, "grantType": DEVICE_GRANT, "deviceCode": started["deviceCode"]}
    assert refused(oidc.create_token, **poll) == "AuthorizationPendingException"
    assert refused(oidc.create_token, **poll) == "SlowDownException"
    clock.now += started["interval"]
    said = oidc.create_token(**poll)
    assert said["tokenType"] == "Bearer"
    assert said["expiresIn"] == 3600
    assert said["refreshToken"] in aws.secrets
    assert refused(oidc.create_token, **poll) == "InvalidGrantException", "a code serves once"
    assert aws.counts() == {"RegisterClient": 1, "StartDeviceAuthorization": 1, "CreateToken": 4}


def test_device_code_that_is_denied_and_one_that_is_over(aws: FakeAws, clock: Clock) -> None:
    oidc, who = client(aws, "sso-oidc"), registered(aws)
    aws.state.device_polls = 0
    aws.user("denies")
    started = oidc.start_device_authorization(**who, startUrl=aws.start_url)
    poll = {**who, "grantType": DEVICE_GRANT, "deviceCode": started["deviceCode"]}
    assert refused(oidc.create_token, **poll) == "AccessDeniedException"
    clock.now += 601
    assert refused(oidc.create_token, **poll) == "ExpiredTokenException"


def test_authorization_code(aws: FakeAws) -> None:
    oidc, who = client(aws, "sso-oidc"), for_browser(aws)
    query = query_of(who["clientId"])
    status, back = visit(aws, **query)
    assert (status, back["state"]) == (302, "s")
    given = {
        **who, "grantType": "authorization_code", "code": back["code"], "redirectUri": query["redirect_uri"]
    }  # fmt: skip
    assert refused(oidc.create_token, **given, codeVerifier="w" * 64) == "InvalidGrantException"
    assert "refreshToken" in oidc.create_token(**given, codeVerifier=VERIFIER)
    assert refused(oidc.create_token, **given, codeVerifier=VERIFIER) == "InvalidGrantException", "a code serves once"


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({}, 302),
        ({"code_challenge": f"{CHALLENGE}="}, 400),
        ({"redirect_uri": REDIRECT}, 400),
        ({"redirect_uri": "http://127.0.0.1:4242/elsewhere"}, 400),
        ({"redirect_uri": "http://localhost:4242/oauth/callback"}, 400),
        ({"state": ""}, 400),
        ({"scope": SCOPE}, 400),
        ({"scopes": "codewhisperer:completions"}, 400),
        ({"client_id": "forgotten"}, 400),
        ({"code_challenge_method": "plain"}, 400),
    ],
)
def test_what_the_browser_brings(aws: FakeAws, wrong: dict[str, str], status: int) -> None:
    assert visit(aws, **{**query_of(for_browser(aws)["clientId"]), **wrong})[0] == status


def test_who_denies_in_the_browser_and_who_does_nothing(aws: FakeAws) -> None:
    query = query_of(for_browser(aws)["clientId"])
    aws.user("denies")
    assert visit(aws, **query)[1]["error"] == "access_denied"
    aws.user("ignores")
    assert visit(aws, **query) == (200, {})


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"clientType": "confidential"}, "InvalidClientMetadataException"),
        ({"scopes": ["everything"]}, "InvalidScopeException"),
        ({"grantTypes": ["password"]}, "UnsupportedGrantTypeException"),
        ({"grantTypes": ["authorization_code"], "redirectUris": [REDIRECT]}, "InvalidRequestException"),
        (
            {"grantTypes": ["authorization_code"], "redirectUris": ["http://127.0.0.1:80/x"], "issuerUrl": "START"},
            "InvalidRedirectUriException",
        ),
    ],
)
def test_registrations_that_are_refused(aws: FakeAws, given: dict[str, Any], error: str) -> None:
    if "issuerUrl" in given:
        given = {**given, "issuerUrl": aws.start_url}
    oidc = client(aws, "sso-oidc")
    assert refused(oidc.register_client, **{"clientName": "x", "clientType": "public", **given}) == error


def test_refreshing(aws: FakeAws, clock: Clock) -> None:
    oidc, file = client(aws, "sso-oidc"), aws.log_in()
    given = {
        "clientId": file["clientId"], "clientSecret": file["clientSecret"],
        "grantType": "refresh_token", "refreshToken": file["refreshToken"],
    }  # fmt: skip
    said = oidc.create_token(**given)
    assert refused(oidc.create_token, **given) == "InvalidGrantException", "it rotates"
    given["refreshToken"] = said["refreshToken"]
    aws.state.rotates = False
    assert "refreshToken" not in oidc.create_token(**given)
    assert "refreshToken" not in oidc.create_token(**given)
    assert refused(oidc.create_token, **{**given, "clientSecret": "x"}) == "InvalidClientException"
    aws.revoke_session()
    assert refused(oidc.create_token, **given) == "InvalidGrantException"


def test_what_ends_by_itself(aws: FakeAws, clock: Clock) -> None:
    oidc, file = client(aws, "sso-oidc"), aws.log_in()
    given = {
        "clientId": file["clientId"], "clientSecret": file["clientSecret"],
        "grantType": "refresh_token", "refreshToken": file["refreshToken"],
    }  # fmt: skip
    clock.now += aws.lives.session
    assert refused(oidc.create_token, **given) == "InvalidGrantException"
    clock.now += aws.lives.registration
    assert refused(oidc.create_token, **given) == "InvalidClientException"


def test_no_refresh_token_without_the_scope(aws: FakeAws) -> None:
    assert "refreshToken" not in aws.log_in(scopes=())


# -- the portal


def keys_of(aws: FakeAws, token: str, **more: str) -> dict[str, Any]:
    given = {"accountId": ACCOUNT, "roleName": ROLE, "accessToken": token, **more}
    said: dict[str, Any] = client(aws, "sso").get_role_credentials(**given)["roleCredentials"]
    return said


def test_role_credentials(aws: FakeAws, clock: Clock) -> None:
    token = aws.log_in()["accessToken"]
    keys = keys_of(aws, token)
    assert keys["expiration"] == pytest.approx((clock.now + 3600) * 1000, abs=1)
    portal = client(aws, "sso")
    assert portal.list_accounts(accessToken=token)["accountList"][0]["accountId"] == ACCOUNT
    roles = portal.list_account_roles(accessToken=token, accountId=ACCOUNT)["roleList"]
    assert [role["roleName"] for role in roles] == [ROLE, "ReadOnly"]
    given = {"accountId": ACCOUNT, "roleName": "Other", "accessToken": token}
    assert refused(portal.get_role_credentials, **given) == "ForbiddenException"
    given = {"accountId": "1", "roleName": ROLE, "accessToken": token}
    assert refused(portal.get_role_credentials, **given) == "InvalidRequestException"


def test_tokens_that_the_portal_refuses(aws: FakeAws, clock: Clock) -> None:
    portal = client(aws, "sso")

    def asked() -> str:
        given = {"accountId": ACCOUNT, "roleName": ROLE, "accessToken": token}
        return refused(portal.get_role_credentials, **given)

    token = "never issued"
    assert asked() == "UnauthorizedException"
    token = aws.log_in()["accessToken"]
    aws.revoke_tokens()
    assert asked() == "UnauthorizedException"
    token = aws.log_in()["accessToken"]
    portal.logout(accessToken=token)
    assert asked() == "UnauthorizedException"
    token = aws.log_in()["accessToken"]
    clock.now += 3600
    assert asked() == "UnauthorizedException"


def test_faults_and_outages(aws: FakeAws) -> None:
    portal, token = client(aws, "sso"), aws.log_in()["accessToken"]
    given = {"accountId": ACCOUNT, "roleName": ROLE, "accessToken": token}
    aws.throttle_next("GetRoleCredentials")
    assert refused(portal.get_role_credentials, **given) == "TooManyRequestsException"
    aws.portal_down("unavailable")
    assert refused(portal.get_role_credentials, **given) == "ServiceUnavailable"
    aws.portal_down("cut")
    with pytest.raises(ConnectionClosedError):
        portal.get_role_credentials(**given)
    aws.portal_down("hangs")
    with pytest.raises(ReadTimeoutError):
        portal.get_role_credentials(**given)
    aws.portal_down()
    with pytest.raises(EndpointConnectionError):
        portal.get_role_credentials(**given)
    assert client(aws, "sso-oidc").register_client(clientName="x", clientType="public"), "the others are up"
    aws.up()
    assert portal.get_role_credentials(**given)
    issued = len(aws.keys)
    aws.lose_next_answer("GetRoleCredentials")
    with pytest.raises(ConnectionClosedError):
        portal.get_role_credentials(**given)
    assert len(aws.keys) == issued + 1, "it was done"


def test_latency(aws: FakeAws) -> None:
    token = aws.log_in()["accessToken"]
    aws.latency["GetRoleCredentials"] = 0.2
    begun = time.monotonic()
    keys_of(aws, token)
    assert time.monotonic() - begun >= 0.2


def test_the_date_is_that_of_its_clock(aws: FakeAws, clock: Clock) -> None:
    clock.now = 1800000000.0
    aws.state.clock_offset = -600.0
    said = client(aws, "sso-oidc").register_client(clientName="x", clientType="public")
    assert said["ResponseMetadata"]["HTTPHeaders"]["date"] == "Fri, 15 Jan 2027 07:50:00 GMT"


# -- STS


def sts(aws: FakeAws, keys: dict[str, Any]) -> Any:
    return client(
        aws, "sts", aws_access_key_id=keys["accessKeyId"], aws_secret_access_key=keys["secretAccessKey"],
        aws_session_token=keys["sessionToken"],
    )  # fmt: skip


def test_who_one_is(aws: FakeAws, clock: Clock) -> None:
    keys = keys_of(aws, aws.log_in()["accessToken"])
    asked = sts(aws, keys)
    assert asked.get_caller_identity()["Arn"].endswith(f":assumed-role/AWSReservedSSO_{ROLE}_0123456789abcdef/heron")
    assert refused(sts(aws, {**keys, "secretAccessKey": "x"}).get_caller_identity) == "SignatureDoesNotMatch"
    aws.kill_keys()
    assert refused(asked.get_caller_identity) == "InvalidClientTokenId"
    asked = sts(aws, keys_of(aws, aws.log_in()["accessToken"]))
    aws.state.clock_offset = 600.0
    with pytest.raises(ClientError, match="Signature expired"):
        asked.get_caller_identity()
    clock.now += 3600
    aws.state.clock_offset = -3600.0
    assert asked.get_caller_identity()["Account"] == ACCOUNT
    aws.state.clock_offset = 0.0
    assert refused(asked.get_caller_identity) == "ExpiredToken"


def test_keys_of_a_user(aws: FakeAws) -> None:
    key = aws.add_static_key()
    asked = client(aws, "sts", aws_access_key_id=key.access_key, aws_secret_access_key=key.secret)
    assert asked.get_caller_identity()["Arn"].endswith(":user/heron")


def test_roles(aws: FakeAws) -> None:
    asked = sts(aws, keys_of(aws, aws.log_in()["accessToken"]))
    given = {"RoleArn": CHAINED_ROLE, "RoleSessionName": "heron"}
    got = asked.assume_role(**given)["Credentials"]
    assert got["SessionToken"] in aws.secrets
    assert refused(asked.assume_role, **given, DurationSeconds=7200) == "ValidationError"
    assert refused(asked.assume_role, RoleArn=f"{CHAINED_ROLE}Not", RoleSessionName="heron") == "AccessDenied"
    unsigned = client(aws, "sts")
    web = {"RoleArn": WEB_ROLE, "RoleSessionName": "heron", "WebIdentityToken": "invented.web.identity"}
    assert unsigned.assume_role_with_web_identity(**web)["Credentials"]["AccessKeyId"] in aws.keys
    web["WebIdentityToken"] = "over"
    assert refused(unsigned.assume_role_with_web_identity, **web) == "ExpiredTokenException"


# -- together


def test_bedrock_takes_the_keys_as_long_as_they_live(aws: FakeAws) -> None:
    keys = keys_of(aws, aws.log_in()["accessToken"])
    with FakeBedrock(issued=aws.keys) as bedrock:
        runtime = boto3.Session(
            aws_access_key_id=keys["accessKeyId"], aws_secret_access_key=keys["secretAccessKey"],
            aws_session_token=keys["sessionToken"],
        ).client(
            "bedrock-runtime", endpoint_url=bedrock.url, region_name=aws.region,
            config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip
        body = {
            "anthropic_version": "bedrock-2023-05-31", "max_tokens": 9,
            "messages": [{"role": "user", "content": "Hi"}],
        }  # fmt: skip
        given = {
        "modelId": "global.anthropic.claude-opus-5-5", "contentType": "application/json", "body": json.dumps(body)
    }  # fmt: skip
        assert json.loads(runtime.invoke_model(**given)["body"].read())["type"] == "message"
        aws.kill_keys("expired")
        assert refused(runtime.invoke_model, **given) == "ExpiredTokenException"
        aws.kill_keys()
        assert bedrock.violations == []


@pytest.mark.parametrize(
    ("profile", "counts"),
    [
        ("sso", {"GetRoleCredentials": 1, "GetCallerIdentity": 1}),
        ("legacy", {"GetRoleCredentials": 1, "GetCallerIdentity": 1}),
        ("chain", {"GetRoleCredentials": 1, "AssumeRole": 1, "GetCallerIdentity": 1}),
    ],
)
def test_boto3_with_a_profile(tmp_path: Path, profile: str, counts: dict[str, int]) -> None:
    with FakeAws() as aws:
        home = AwsHome(tmp_path, aws)
        home.sso_session()
        home.sso_profile("sso")
        home.legacy_profile("legacy")
        home.chain_profile("chain", "sso")
        home.log_in()
        home.log_in(aws.start_url)
        code = (
            f"import boto3; print(boto3.Session(profile_name={profile!r}).client('sts').get_caller_identity()['Arn'])"
        )
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env=home.environ, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert ACCOUNT in done.stdout
        assert aws.counts() == counts
        assert aws.violations == []
