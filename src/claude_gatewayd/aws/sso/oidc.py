"""The SSO-OIDC service of AWS: registrations, device codes and tokens. Everything here blocks: call it in a thread."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from claude_gatewayd.aws.client import CallFailed, Refused, ServiceError, call, check_clock, make_client
from claude_gatewayd.network.egress import Egress

CALLBACK_PATH: Final = "/oauth/callback"
REGISTERED_REDIRECT: Final = f"http://127.0.0.1{CALLBACK_PATH}"  # without a port: AWS wants it so, and ignores it later

_DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_USUAL_INTERVAL: Final = 5  # RFC 8628, where the server names none


class Pending(Refused):
    """The person has not decided yet."""


class SlowDown(Refused):
    """We ask too often: five seconds more between two questions, says RFC 8628."""


class Denied(Refused):
    """The person, or the organisation, has said no."""


class Expired(Refused):
    """The code is over."""


class InvalidGrant(Refused):
    """What we have to show is worth nothing (any more): for a refresh token, the session is over or another used it."""


class InvalidClient(Refused):
    """The registration is over, or AWS does not know it."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What AWS knows us by. *ends* is in seconds since the epoch."""

    client_id: str
    client_secret: str = field(repr=False)
    ends: float


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A code for the person to type at *page*; *full_page* has it typed already. Times are in seconds from now."""

    code: str = field(repr=False)
    user_code: str
    page: str
    full_page: str
    expires_in: float
    interval: float


@dataclass(frozen=True, slots=True)
class Granted:
    """Tokens. *ends* is the access token's; *refresh_token* is "" where AWS gave none."""

    access_token: str = field(repr=False)
    ends: float
    refresh_token: str = field(default="", repr=False)


class Oidc:
    """SSO-OIDC in one region. Every method raises CallFailed, or the class of it that says what is the matter."""

    def __init__(self, region: str, egress: Egress, profile: str = "") -> None:
        """Make the client; *profile* may say where AWS is."""
        self._client = make_client("sso-oidc", region, egress, profile)

    @property
    def url(self) -> str:
        """Return where the service is; its page for people is below."""
        return str(self._client.meta.endpoint_url).rstrip("/")

    def register(self, name: str, scopes: Sequence[str]) -> Registration:
        """Register for device codes; without *scopes* as the AWS CLI does for a legacy profile. Raises WrongClock."""
        return self._register(name, scopes)

    def register_for_browser(self, name: str, scopes: Sequence[str], start_url: str) -> Registration:
        """Register for the way through the browser and back. Raises WrongClock."""
        return self._register(
            name,
            scopes,
            grantTypes=["authorization_code", "refresh_token"],
            redirectUris=[REGISTERED_REDIRECT],
            issuerUrl=start_url,
        )

    def start_device(self, registration: Registration, start_url: str) -> DeviceCode:
        """Ask for a device code."""
        what = "start a login"
        answer = self._ask(
            self._client.start_device_authorization,
            what,
            clientId=registration.client_id,
            clientSecret=registration.client_secret,
            startUrl=start_url,
        )
        page = str(_got(answer, "verificationUri", what))
        return DeviceCode(
            code=str(_got(answer, "deviceCode", what)),
            user_code=str(_got(answer, "userCode", what)),
            page=page,
            full_page=str(answer.get("verificationUriComplete") or page),
            expires_in=float(answer.get("expiresIn") or 600),
            interval=float(answer.get("interval") or _USUAL_INTERVAL),
        )

    def by_device(self, registration: Registration, device: DeviceCode) -> Granted:
        """Return the tokens of a login by device code. Raises Pending, SlowDown, Denied, Expired."""
        return self._grant("finish the login", registration, grantType=_DEVICE_GRANT, deviceCode=device.code)

    def by_code(self, registration: Registration, code: str, verifier: str, redirect: str) -> Granted:
        """Return the tokens for what the browser has brought back."""
        return self._grant(
            "finish the login",
            registration,
            grantType="authorization_code",
            code=code,
            codeVerifier=verifier,
            redirectUri=redirect,
        )

    def by_refresh(self, registration: Registration, refresh_token: str) -> Granted:
        """Return new tokens, silently. Raises InvalidGrant, InvalidClient."""
        return self._grant("renew the login", registration, grantType="refresh_token", refreshToken=refresh_token)

    def _register(self, name: str, scopes: Sequence[str], **more: object) -> Registration:
        what = "start a login"
        given = {**more, "scopes": list(scopes)} if scopes else more
        answer = self._ask(self._client.register_client, what, clientName=name, clientType="public", **given)
        check_clock(answer, what)
        return Registration(
            client_id=str(_got(answer, "clientId", what)),
            client_secret=str(_got(answer, "clientSecret", what)),
            ends=float(answer.get("clientSecretExpiresAt") or 0),
        )

    def _grant(self, what: str, registration: Registration, **given: str) -> Granted:
        answer = self._ask(
            self._client.create_token,
            what,
            clientId=registration.client_id,
            clientSecret=registration.client_secret,
            **given,
        )
        return Granted(
            access_token=str(_got(answer, "accessToken", what)),
            ends=time.time() + float(answer.get("expiresIn") or 0),
            refresh_token=str(answer.get("refreshToken") or ""),
        )

    def _ask(self, function: Any, what: str, **given: object) -> dict[str, Any]:
        try:
            return call(function, what, **given)
        except Refused as refused:
            raise _meant(refused, what) from None


def _meant(refused: Refused, what: str) -> CallFailed:
    """Return the refusal as what it means in OAuth."""
    means: dict[str, tuple[type[CallFailed], str]] = {
        "AuthorizationPendingException": (Pending, "nobody has approved it yet"),
        "SlowDownException": (SlowDown, "AWS asks for fewer requests"),
        "AccessDeniedException": (Denied, "it was denied in the browser"),
        "ExpiredTokenException": (Expired, "the code is over"),
        "InvalidGrantException": (InvalidGrant, "AWS does not take what we have (any more)"),
        "InvalidClientException": (InvalidClient, "AWS does not know this client (any more)"),
        "UnauthorizedClientException": (InvalidClient, "AWS does not let this client do that"),
        "InvalidScopeException": (Refused, "AWS does not know one of the scopes"),
        "InvalidRequestException": (Refused, "AWS does not take the start URL or another setting"),
    }
    kind, why = means.get(refused.code, (Refused, f"AWS says {refused.code}"))
    return kind(what, why, code=refused.code)


def _got(answer: dict[str, Any], name: str, what: str) -> object:
    """Return a field that has to be there."""
    if not answer.get(name):
        raise ServiceError(what, f"AWS has answered without {name}")
    return answer[name]
