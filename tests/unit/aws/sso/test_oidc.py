"""SSO-OIDC by our client, against the fake."""

from collections.abc import Iterator
from typing import Any

import pytest

from claude_gatewayd.aws import client as remote
from claude_gatewayd.aws.profiles.sso_profile import ACCOUNT_ACCESS
from claude_gatewayd.aws.sso import oidc
from claude_gatewayd.aws.sso.oidc import Oidc
from claude_gatewayd.network.egress import Egress
from tests.fakes.aws import UNAVAILABLE, FakeAws
from tests.fakes.aws_state import AwsError


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    with FakeAws() as aws:
        for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in aws.environ.items():
            monkeypatch.setenv(name, value)
        yield aws
        assert aws.violations == []


@pytest.fixture
def client(aws: FakeAws) -> Oidc:
    return Oidc(aws.region, Egress({}))


def test_registering(aws: FakeAws, client: Oidc) -> None:
    registration = client.register("claude-gateway-corp", [ACCOUNT_ACCESS])
    assert registration.expires_at == pytest.approx(aws.state.now() + 90 * 86400, abs=5)
    assert registration.client_secret not in repr(registration)
    assert client.url == aws.url("oidc")


def test_a_device_code(aws: FakeAws, client: Oidc) -> None:
    aws.state.device_interval = 0
    registration = client.register("claude-gateway-corp", [ACCOUNT_ACCESS])
    device = client.start_device(registration, aws.start_url)
    assert device.interval == 5, "where AWS names none"
    assert device.expires_in == 600
    assert device.verification_uri_complete == f"{device.verification_uri}?user_code={device.user_code}"
    with pytest.raises(oidc.AuthorizationPending):
        client.by_device_code(registration, device)
    granted = client.by_device_code(registration, device)
    assert granted.expires_at == pytest.approx(aws.state.now() + 3600, abs=5)
    assert granted.refresh_token in aws.secrets
    assert not [secret for secret in aws.secrets if secret in f"{registration!r}{device!r}{granted!r}"]


def test_renewing(aws: FakeAws, client: Oidc) -> None:
    file = aws.log_in()
    registration = oidc.Registration(file["clientId"], file["clientSecret"], 0.0)
    first = client.by_refresh_token(registration, file["refreshToken"])
    assert first.refresh_token != file["refreshToken"]
    with pytest.raises(oidc.InvalidGrant, match="cannot renew the login: ") as caught:
        client.by_refresh_token(registration, file["refreshToken"])
    assert not [secret for secret in aws.secrets if secret in repr(caught.value.__dict__)]
    aws.state.rotates = False
    assert client.by_refresh_token(registration, first.refresh_token).refresh_token == ""
    aws.revoke_session()
    with pytest.raises(oidc.InvalidGrant):
        client.by_refresh_token(registration, first.refresh_token)
    aws.forget_clients()
    with pytest.raises(oidc.InvalidClient):
        client.by_refresh_token(registration, first.refresh_token)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("AuthorizationPendingException", oidc.AuthorizationPending),
        ("SlowDownException", oidc.SlowDown),
        ("AccessDeniedException", oidc.AccessDenied),
        ("ExpiredTokenException", oidc.CodeExpired),
        ("InvalidGrantException", oidc.InvalidGrant),
        ("InvalidClientException", oidc.InvalidClient),
        ("UnauthorizedClientException", oidc.InvalidClient),
        ("InvalidRequestException", remote.AwsRefused),
        ("UnsupportedGrantTypeException", remote.AwsRefused),
    ],
)
def test_what_a_refusal_means(aws: FakeAws, client: Oidc, kind: str, expected: type[Exception]) -> None:
    aws.fail_next("CreateToken", AwsError(kind, "not for people"))
    with pytest.raises(expected) as caught:
        client.by_refresh_token(oidc.Registration("c", "s", 0.0), "r")
    assert type(caught.value) is expected
    assert "not for people" not in str(caught.value)
    assert aws.count("CreateToken") == 1, "a refusal is not asked for again"


@pytest.mark.parametrize(
    ("error", "expected"),
    [(UNAVAILABLE, remote.AwsServiceError), (AwsError("TooManyRequestsException", "HTTP 429"), remote.AwsThrottled)],
)
def test_what_passes_is_tried_three_times(
    aws: FakeAws, client: Oidc, error: AwsError, expected: type[Exception]
) -> None:
    aws.fail_next("RegisterClient", error, times=3)
    with pytest.raises(expected, match="cannot start a login: AWS "):
        client.register("x", [ACCOUNT_ACCESS])
    assert aws.count("RegisterClient") == 3
    assert client.register("x", [ACCOUNT_ACCESS])


@pytest.mark.parametrize("how", ["refused", "cut"])
def test_offline(aws: FakeAws, client: Oidc, how: Any) -> None:
    aws.oidc_down(how)
    with pytest.raises(remote.AwsOffline, match="cannot start a login: AWS cannot be reached"):
        client.register("x", [ACCOUNT_ACCESS])
    aws.up()
    assert client.register("x", [ACCOUNT_ACCESS])


@pytest.mark.parametrize(
    ("offset", "described"), [(600.0, "10 min behind"), (-7200.0 * 2, "4 h ahead of"), (200.0, "")]
)
def test_a_wrong_clock(aws: FakeAws, client: Oidc, offset: float, described: str) -> None:
    aws.state.clock_offset = offset
    if not described:
        assert client.register("x", [ACCOUNT_ACCESS])
        return
    with pytest.raises(remote.WrongClock, match=f"this machine's clock is {described} AWS's, so"):
        client.register("x", [ACCOUNT_ACCESS])


def test_an_answer_without_a_token(aws: FakeAws, client: Oidc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fakes.aws_oidc._OPERATIONS", {"RegisterClient": lambda *_given: {}})
    with pytest.raises(remote.AwsServiceError, match="AWS answered without clientId"):
        client.register("x", [ACCOUNT_ACCESS])


def test_an_endpoint_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSO_OIDC", "not a url")
    with pytest.raises(remote.CallFailed, match="the AWS SDK refuses it"):
        Oidc("us-west-2", Egress({})).register("x", [])
