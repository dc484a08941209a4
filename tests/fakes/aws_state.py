"""What the fake AWS knows: clients, sessions, tokens and keys, who they belong to, and when they end."""

import json
import time
from collections import UserDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from tests.fakes.anthropic_model import Answer, Ids, Piece
from tests.fakes.bedrock_sigv4 import Key
from tests.fakes.bedrock_sigv4 import State as KeyState

User = Literal["approves", "denies", "ignores"]

START_URL: Final = "https://heron.awsapps.com/start"
ACCOUNT: Final = "111122223333"
ROLE: Final = "AdministratorAccess"
CHAINED_ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/Chained"
WEB_ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/Web"
SCOPE: Final = "sso:account:access"

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
GRANTS: Final = ("authorization_code", "refresh_token", DEVICE_GRANT)

# An error's name: the status, and what OAuth calls it.
ERRORS: Final = {
    "AccessDeniedException": (400, "access_denied"),
    "AuthorizationPendingException": (400, "authorization_pending"),
    "ExpiredTokenException": (400, "expired_token"),
    "ForbiddenException": (403, ""),
    "InternalServerException": (500, "server_error"),
    "InvalidClientException": (401, "invalid_client"),
    "InvalidClientMetadataException": (400, "invalid_client_metadata"),
    "InvalidGrantException": (400, "invalid_grant"),
    "InvalidRedirectUriException": (400, "invalid_redirect_uri"),
    "InvalidRequestException": (400, "invalid_request"),
    "InvalidScopeException": (400, "invalid_scope"),
    "ResourceNotFoundException": (404, ""),
    "ServiceUnavailable": (503, ""),
    "SlowDownException": (400, "slow_down"),
    "TooManyRequestsException": (429, ""),
    "UnauthorizedClientException": (400, "unauthorized_client"),
    "UnauthorizedException": (401, ""),
    "UnsupportedGrantTypeException": (400, "unsupported_grant_type"),
}


class AwsError(Exception):
    """A refusal of one of the three services."""

    def __init__(self, kind: str, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status or ERRORS[kind][0]


@dataclass(slots=True)
class Lives:
    """How long what is issued from now on is going to live, in seconds."""

    access_token: float = 3600.0
    session: float = 8 * 3600.0
    registration: float = 90 * 86400.0
    keys: float = 3600.0
    device_code: float = 600.0
    code: float = 60.0


@dataclass(slots=True)
class RegisteredClient:
    """A registered client."""

    id: str
    secret: str
    ends: float
    scopes: tuple[str, ...]
    grants: tuple[str, ...]
    redirects: tuple[str, ...]

    @property
    def may_refresh(self) -> bool:
        """Say whether AWS gives it refresh tokens."""
        return SCOPE in self.scopes or "refresh_token" in self.grants


@dataclass(slots=True)
class Session:
    """A person's session of the portal, from one login on."""

    ends: float
    revoked: bool = False


@dataclass(slots=True)
class AccessToken:
    """A token for the portal."""

    text: str = field(repr=False)
    session: Session
    ends: float
    revoked: bool = False


@dataclass(slots=True)
class RefreshToken:
    """A token for new tokens."""

    text: str = field(repr=False)
    session: Session
    client: str
    used: bool = False


@dataclass(slots=True)
class DeviceGrant:
    """A device code, and how often it was asked about."""

    code: str
    user_code: str
    client: str
    ends: float
    polls: int = 0
    asked_at: float = float("-inf")
    used: bool = False


@dataclass(slots=True)
class CodeGrant:
    """An authorization code, and the challenge that whoever brings it has to meet."""

    code: str
    client: str
    redirect: str
    challenge: str
    ends: float
    used: bool = False


class Keys(UserDict[str, Key]):
    """Every access key that was issued, in the state it is in now."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.ends: dict[str, float] = {}
        self.arns: dict[str, str] = {}
        self._now = now
        super().__init__()

    def __getitem__(self, access_key: str) -> Key:
        key = self.data[access_key]
        over = key.state == "live" and self.ends.get(access_key, float("inf")) <= self._now()
        return replace(key, state="expired") if over else key


class State:
    """All of it. Touched with the fake's lock held."""

    def __init__(self, start_url: str, region: str, clock: Callable[[], float]) -> None:
        self.start_url = start_url
        self.region = region
        self.clock = clock
        self.clock_offset = 0.0
        self.lives = Lives()
        self.user: User = "approves"
        self.device_polls = 1  # so often a device code is pending before the person has decided
        self.device_interval = 1
        self.rotates = True  # a refresh token serves once, and the answer brings the next
        self.assignments = {ACCOUNT: {ROLE, "ReadOnly"}}
        self.role_arns = {CHAINED_ROLE, WEB_ROLE}
        self.web_tokens = {"invented.web.identity"}
        self.clients: dict[str, RegisteredClient] = {}
        self.devices: dict[str, DeviceGrant] = {}
        self.codes: dict[str, CodeGrant] = {}
        self.sessions: list[Session] = []
        self.access_tokens: dict[str, AccessToken] = {}
        self.refresh_tokens: dict[str, RefreshToken] = {}
        self.keys = Keys(self.now)
        self.secrets: list[str] = []  # every one that was ever issued: none may turn up where people read
        self._ids = Ids()

    def now(self) -> float:
        """Return what AWS takes for the time."""
        return self.clock() + self.clock_offset

    def name(self, prefix: str) -> str:
        """Return a name that nothing else has."""
        return self._ids(prefix)

    def secret(self, prefix: str) -> str:
        """Return a secret that nothing else has."""
        self.secrets.append(f"{self._ids(prefix)}/invented+secret")
        return self.secrets[-1]

    def open_session(self, client: RegisteredClient) -> dict[str, Any]:
        """Let a person be logged in; return the answer of CreateToken."""
        session = Session(self.now() + self.lives.session)
        self.sessions.append(session)
        refresh = self.refresh_token(session, client.id) if client.may_refresh else None
        return self.tokens(session, refresh)

    def refresh_token(self, session: Session, client: str) -> str:
        """Return a new refresh token."""
        token = RefreshToken(self.secret("aor"), session, client)
        self.refresh_tokens[token.text] = token
        return token.text

    def tokens(self, session: Session, refresh: str | None) -> dict[str, Any]:
        """Return the answer of CreateToken, with a new access token."""
        token = AccessToken(self.secret("aoa"), session, self.now() + self.lives.access_token)
        self.access_tokens[token.text] = token
        said = {"accessToken": token.text, "expiresIn": int(self.lives.access_token), "tokenType": "Bearer"}
        return {**said, "refreshToken": refresh} if refresh else said

    def issue_keys(self, arn: str) -> tuple[Key, float]:
        """Return new temporary keys, and when they end."""
        key = Key(self.name("ASIA"), self.secret("sk"), self.secret("st"))
        ends = self.now() + self.lives.keys
        self.keys[key.access_key] = key
        self.keys.ends[key.access_key] = ends
        self.keys.arns[key.access_key] = arn
        return key, ends

    def set_keys(self, state: KeyState) -> int:
        """Put every key that was issued and is live into another state; return how many."""
        live = [name for name in self.keys if self.keys[name].state == "live"]
        for name in live:
            self.keys[name] = replace(self.keys[name], state=state)
        return len(live)


def json_answer(status: int, said: object, *headers: tuple[str, str]) -> Answer:
    """Return an answer in JSON."""
    pairs = (("Content-Type", "application/json"), *headers)
    return Answer(
        status, tuple((name.encode(), value.encode()) for name, value in pairs), (Piece(json.dumps(said).encode()),)
    )


def error_answer(error: AwsError, *, oauth: bool) -> Answer:
    """Return a refusal as SSO-OIDC (*oauth*) or the portal writes it."""
    name = ERRORS.get(error.kind, (0, ""))[1] or "server_error"
    body = {"error": name, "error_description": error.message} if oauth else {"message": error.message}
    return json_answer(error.status, body, ("x-amzn-ErrorType", error.kind))


def iso(moment: float) -> str:
    """Return a moment as AWS writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
