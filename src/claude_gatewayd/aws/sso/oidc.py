"""AWS's SSO-OIDC service: client registrations, device codes and tokens. All of it blocks."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from claude_gatewayd.aws import client
from claude_gatewayd.aws.client import AskAws, AwsCall, AwsRefused, AwsServiceError, CallFailed, check_clock
from claude_gatewayd.network.egress import Egress

CALLBACK_PATH: Final = "/oauth/callback"
REGISTERED_REDIRECT: Final = f"http://127.0.0.1{CALLBACK_PATH}"  # AWS wants no port here, and ignores it later

_DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_DEFAULT_INTERVAL: Final = 5  # RFC 8628, if the server names none


class AuthorizationPending(AwsRefused):
    """The person has not approved the login yet."""


class SlowDown(AwsRefused):
    """We ask too often: RFC 8628 adds five seconds to the interval."""


class AccessDenied(AwsRefused):
    """The person, or the organisation, denied the login."""


class CodeExpired(AwsRefused):
    """The code has expired."""


class InvalidGrant(AwsRefused):
    """The code or token is not valid: of a refresh token, the session is over, or somebody else used the token."""


class InvalidClient(AwsRefused):
    """The registration has expired, or AWS does not know it."""


@dataclass(frozen=True, slots=True)
class Registration:
    """Our registration as a client of AWS. *expires_at* is in seconds since the epoch."""

    client_id: str
    client_secret: str = field(repr=False)
    expires_at: float


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A code to type at *verification_uri*; *verification_uri_complete* contains it. Times are seconds from now."""

    code: str = field(repr=False)
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: float
    interval: float


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """Tokens. *expires_at* is of the access token; *refresh_token* is "" if AWS gave none."""

    access_token: str = field(repr=False)
    expires_at: float
    refresh_token: str = field(default="", repr=False)


class Oidc:
    """SSO-OIDC in one region. Every method raises CallFailed, or one of its subclasses above."""

    def __init__(self, region: str, egress: Egress, profile: str = "", ask: AskAws = client.ask) -> None:
        """*profile* may configure its endpoint; *ask* makes the calls."""
        self._region = region
        self._egress = egress
        self._profile = profile
        self._ask_aws = ask

    @property
    def url(self) -> str:
        """Return the address of the service; its page for people is below it. Raises CallFailed."""
        service = client.make_client("sso-oidc", self._region, self._egress, self._profile)
        return str(service.meta.endpoint_url).rstrip("/")

    def register(self, name: str, scopes: Sequence[str]) -> Registration:
        """Register for device codes; without *scopes*, as the AWS CLI does for a legacy profile. Raises WrongClock."""
        return self._register(name, scopes)

    def register_for_browser(self, name: str, scopes: Sequence[str], start_url: str) -> Registration:
        """Register for a login in the browser, which is redirected back to us. Raises WrongClock."""
        return self._register(
            name,
            scopes,
            grantTypes=["authorization_code", "refresh_token"],
            redirectUris=[REGISTERED_REDIRECT],
            issuerUrl=start_url,
        )

    def start_device(self, registration: Registration, start_url: str) -> DeviceCode:
        """Ask for a device code."""
        action = "start a login"
        response = self._ask(
            "start_device_authorization",
            action,
            clientId=registration.client_id,
            clientSecret=registration.client_secret,
            startUrl=start_url,
        )
        verification_uri = str(_required(response, "verificationUri", action))
        return DeviceCode(
            code=str(_required(response, "deviceCode", action)),
            user_code=str(_required(response, "userCode", action)),
            verification_uri=verification_uri,
            verification_uri_complete=str(response.get("verificationUriComplete") or verification_uri),
            expires_in=float(response.get("expiresIn") or 600),
            interval=float(response.get("interval") or _DEFAULT_INTERVAL),
        )

    def by_device_code(self, registration: Registration, device: DeviceCode) -> TokenGrant:
        """Return the tokens of a login by device code. Raises Pending, SlowDown, Denied, Expired."""
        return self._grant("finish the login", registration, grantType=_DEVICE_GRANT, deviceCode=device.code)

    def by_authorization_code(self, registration: Registration, code: str, verifier: str, redirect: str) -> TokenGrant:
        """Return the tokens of a login in the browser, for the code that it came back with."""
        return self._grant(
            "finish the login",
            registration,
            grantType="authorization_code",
            code=code,
            codeVerifier=verifier,
            redirectUri=redirect,
        )

    def by_refresh_token(self, registration: Registration, refresh_token: str) -> TokenGrant:
        """Return new tokens, without a person. Raises InvalidGrant, InvalidClient."""
        return self._grant("renew the login", registration, grantType="refresh_token", refreshToken=refresh_token)

    def _register(self, name: str, scopes: Sequence[str], **more: object) -> Registration:
        action = "start a login"
        arguments = {**more, "scopes": list(scopes)} if scopes else more
        response = self._ask("register_client", action, clientName=name, clientType="public", **arguments)
        check_clock(response, action)
        return Registration(
            client_id=str(_required(response, "clientId", action)),
            client_secret=str(_required(response, "clientSecret", action)),
            expires_at=float(response.get("clientSecretExpiresAt") or 0),
        )

    def _grant(self, action: str, registration: Registration, **arguments: str) -> TokenGrant:
        response = self._ask(
            "create_token",
            action,
            clientId=registration.client_id,
            clientSecret=registration.client_secret,
            **arguments,
        )
        return TokenGrant(
            access_token=str(_required(response, "accessToken", action)),
            expires_at=time.time() + float(response.get("expiresIn") or 0),
            refresh_token=str(response.get("refreshToken") or ""),
        )

    def _ask(self, operation: str, action: str, **arguments: object) -> dict[str, Any]:
        try:
            asked = AwsCall("sso-oidc", operation, action, self._region, self._profile, arguments, {})
            return self._ask_aws(asked, self._egress)
        except AwsRefused as refused:
            raise _as_oauth_error(refused, action) from None


def _as_oauth_error(refused: AwsRefused, action: str) -> CallFailed:
    """Return a refusal as the OAuth error that it is."""
    errors: dict[str, tuple[type[CallFailed], str]] = {
        "AuthorizationPendingException": (AuthorizationPending, "nobody has approved it yet"),
        "SlowDownException": (SlowDown, "AWS asks for fewer requests"),
        "AccessDeniedException": (AccessDenied, "it was denied in the browser"),
        "ExpiredTokenException": (CodeExpired, "the code has expired"),
        "InvalidGrantException": (InvalidGrant, "AWS no longer accepts the code or token"),
        "InvalidClientException": (InvalidClient, "AWS does not know this client"),
        "UnauthorizedClientException": (InvalidClient, "AWS does not allow this client to do that"),
        "InvalidScopeException": (AwsRefused, "AWS does not know one of the scopes"),
        "InvalidRequestException": (AwsRefused, "AWS rejects the start URL or another setting"),
    }
    kind, why = errors.get(refused.code, (AwsRefused, f"AWS says {refused.code}"))
    return kind(action, why, code=refused.code)


def _required(response: dict[str, Any], name: str, action: str) -> object:
    """Return a field that must not be missing."""
    if not response.get(name):
        raise AwsServiceError(action, f"AWS answered without {name}")
    return response[name]
