"""The fake's SSO-OIDC: registering, device codes, the browser's page, tokens. As strict as the service model."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.fakes.anthropic_model import Answer, Piece
from tests.fakes.aws_state import (
    DEVICE_GRANT,
    GRANTS,
    SCOPE,
    AwsError,
    CodeGrant,
    DeviceGrant,
    RegisteredClient,
    State,
    error_answer,
    json_answer,
)

OPERATIONS = {
    ("POST", "/client/register"): "RegisterClient",
    ("POST", "/device_authorization"): "StartDeviceAuthorization",
    ("POST", "/token"): "CreateToken",
    ("GET", "/authorize"): "Authorize",
    ("GET", "/device"): "DevicePage",
}
_SCOPE = re.compile(r"(sso|codewhisperer):[a-z_:]+")
_PORTLESS = re.compile(r"http://127\.0\.0\.1(/[^?#]*)?")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_EARLY = 0.05  # seconds: a poll may come this much before its time


def serve(state: State, operation: str, target: str, body: bytes, base: str) -> Answer:
    """Answer a request. *base* is where the pages for people are."""
    try:
        if operation == "Authorize":
            return _authorize(state, target)
        if operation == "DevicePage":
            return _page(200, "The code was taken. You can close this page.")
        given = json.loads(body)
        if not isinstance(given, dict):
            raise AwsError("InvalidRequestException", "Invalid request provided")
        return json_answer(200, _OPERATIONS[operation](state, given, base))
    except ValueError:
        return error_answer(AwsError("InvalidRequestException", "Invalid request provided"), oauth=True)
    except AwsError as error:
        return error_answer(error, oauth=True)


def register(state: State, given: Mapping[str, Any], _base: str = "") -> dict[str, Any]:
    """Register a client."""
    _texts(given, "clientName", "clientType")
    scopes, grants, redirects = (
        _list(given, "scopes"), _list(given, "grantTypes"), _list(given, "redirectUris"),
    )  # fmt: skip
    if given["clientType"] != "public":
        raise AwsError("InvalidClientMetadataException", "Invalid client type")
    if not all(_SCOPE.fullmatch(scope) for scope in scopes):
        raise AwsError("InvalidScopeException", "Invalid scope provided")
    if not set(grants) <= set(GRANTS):
        raise AwsError("UnsupportedGrantTypeException", "Unsupported grant type")
    if "authorization_code" in grants:
        if given.get("issuerUrl") != state.start_url:
            raise AwsError("InvalidRequestException", "Invalid issuer url provided")
        if not redirects or not all(_PORTLESS.fullmatch(uri) for uri in redirects):
            raise AwsError("InvalidRedirectUriException", "Invalid redirect uri provided")
    client = RegisteredClient(
        state.name("client"), state.secret("cs"), state.now() + state.lives.registration, scopes,
        grants or (DEVICE_GRANT,), redirects,
    )  # fmt: skip
    state.clients[client.id] = client
    return {
        "clientId": client.id,
        "clientSecret": client.secret,
        "clientIdIssuedAt": int(state.now()),
        "clientSecretExpiresAt": int(client.ends),
    }


def _start_device(state: State, given: Mapping[str, Any], base: str) -> dict[str, Any]:
    _texts(given, "clientId", "clientSecret", "startUrl")
    client = _client(state, given)
    if given["startUrl"] != state.start_url:
        raise AwsError("InvalidRequestException", "Invalid start url provided")
    if DEVICE_GRANT not in client.grants:
        raise AwsError("UnauthorizedClientException", "Client is not authorized to use the device grant")
    number = len(state.devices) + 1
    grant = DeviceGrant(
        state.secret("dc"), f"HERN-{number:04d}", client.id, state.now() + state.lives.device_code
    )  # fmt: skip
    state.devices[grant.code] = grant
    return {
        "deviceCode": grant.code,
        "userCode": grant.user_code,
        "verificationUri": f"{base}/device",
        "verificationUriComplete": f"{base}/device?user_code={grant.user_code}",
        "expiresIn": int(state.lives.device_code),
        "interval": state.device_interval,
    }


def _create_token(state: State, given: Mapping[str, Any], _base: str) -> dict[str, Any]:
    _texts(given, "clientId", "clientSecret", "grantType")
    client = _client(state, given)
    grant = given["grantType"]
    if grant not in GRANTS:
        raise AwsError("UnsupportedGrantTypeException", "Unsupported grant type")
    if grant == DEVICE_GRANT:
        return _by_device(state, client, given)
    if grant == "authorization_code":
        return _by_code(state, client, given)
    return _by_refresh(state, client, given)


def _by_device(state: State, client: RegisteredClient, given: Mapping[str, Any]) -> dict[str, Any]:
    _texts(given, "deviceCode")
    grant = state.devices.get(given["deviceCode"])
    if grant is None or grant.client != client.id or grant.used:
        raise AwsError("InvalidGrantException", "Invalid device code provided")
    now = state.now()
    if now >= grant.ends:
        raise AwsError("ExpiredTokenException", "Device code expired")
    soon = now - grant.asked_at < state.device_interval - _EARLY
    grant.asked_at = now
    if soon:
        raise AwsError("SlowDownException", "Slow down")
    grant.polls += 1
    if state.user == "ignores" or grant.polls <= state.device_polls:
        raise AwsError("AuthorizationPendingException", "Authorization is pending")
    if state.user == "denies":
        raise AwsError("AccessDeniedException", "Access denied")
    grant.used = True
    return state.open_session(client)


def _by_code(state: State, client: RegisteredClient, given: Mapping[str, Any]) -> dict[str, Any]:
    _texts(given, "code", "codeVerifier", "redirectUri")
    grant = state.codes.get(given["code"])
    if grant is None or grant.client != client.id or grant.used or state.now() >= grant.ends:
        raise AwsError("InvalidGrantException", "Invalid authorization code provided")
    if given["redirectUri"] != grant.redirect or challenge_of(given["codeVerifier"]) != grant.challenge:
        raise AwsError("InvalidGrantException", "Invalid grant provided")
    grant.used = True
    return state.open_session(client)


def _by_refresh(state: State, client: RegisteredClient, given: Mapping[str, Any]) -> dict[str, Any]:
    _texts(given, "refreshToken")
    token = state.refresh_tokens.get(given["refreshToken"])
    if token is None or token.client != client.id or token.used:
        raise AwsError("InvalidGrantException", "Invalid refresh token provided")
    if token.session.revoked or state.now() >= token.session.ends:
        raise AwsError("InvalidGrantException", "Session has ended")
    if not state.rotates:
        return state.tokens(token.session, None)
    token.used = True
    return state.tokens(token.session, state.refresh_token(token.session, client.id))


_OPERATIONS: Mapping[str, Callable[[State, Mapping[str, Any], str], dict[str, Any]]] = {
    "RegisterClient": register,
    "StartDeviceAuthorization": _start_device,
    "CreateToken": _create_token,
}


def _authorize(state: State, target: str) -> Answer:
    """Be the page at which a person says yes or no: redirect back, or stay."""
    query = parse_qs(urlsplit(target).query, keep_blank_values=True)
    given = {name: values[0] for name, values in query.items() if len(values) == 1}
    client = state.clients.get(given.get("client_id", ""))
    wrong = [
        text
        for text, bad in {
            "client": client is None or state.now() >= client.ends,
            "parameters": set(given) != _AUTHORIZE or len(given) != len(query),
            "response_type": given.get("response_type") != "code",
            "code_challenge_method": given.get("code_challenge_method") != "S256",
            "code_challenge": not _CHALLENGE.fullmatch(given.get("code_challenge", "")),
            "state": not given.get("state"),
            "redirect_uri": client is None or _portless(given.get("redirect_uri", "")) not in client.redirects,
            "scopes": client is None or not set(given.get("scopes", "").split()) <= set(client.scopes or (SCOPE,)),
        }.items()
        if bad
    ]
    if wrong or client is None:
        return _page(400, f"invalid_request: {', '.join(wrong)}")
    if state.user == "ignores":
        return _page(200, "Allow botocore-client to access your data?")
    if state.user == "denies":
        back = {"error": "access_denied", "error_description": "User denied the request", "state": given["state"]}
    else:
        grant = CodeGrant(
            state.secret("code"), client.id, given["redirect_uri"], given["code_challenge"],
            state.now() + state.lives.code,
        )  # fmt: skip
        state.codes[grant.code] = grant
        back = {"code": grant.code, "state": given["state"]}
    return Answer(302, ((b"Location", f"{given['redirect_uri']}?{urlencode(back)}".encode()),))


_AUTHORIZE = {
    "response_type", "client_id", "redirect_uri", "state", "code_challenge_method", "code_challenge", "scopes"
}  # fmt: skip


def challenge_of(verifier: object) -> str:
    """Return the S256 challenge of a PKCE verifier (RFC 7636), "" where it is none."""
    if not isinstance(verifier, str) or not re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", verifier):
        return ""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _portless(uri: str) -> str:
    """Return a redirect URI as it was to be registered, "" where it has no port: a browser could not come back."""
    parts = urlsplit(uri)
    if parts.scheme != "http" or parts.hostname != "127.0.0.1" or not parts.port or parts.query:
        return ""
    return f"http://127.0.0.1{parts.path}"


def _client(state: State, given: Mapping[str, Any]) -> RegisteredClient:
    client = state.clients.get(given["clientId"])
    if client is None or client.secret != given["clientSecret"] or state.now() >= client.ends:
        raise AwsError("InvalidClientException", "Invalid client provided")
    return client


def _texts(given: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if not isinstance(given.get(name), str) or not given[name]:
            raise AwsError("InvalidRequestException", f"Invalid request provided: {name}")


def _list(given: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = given.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise AwsError("InvalidRequestException", f"Invalid request provided: {name}")
    return tuple(values)


def _page(status: int, text: str) -> Answer:
    body = f"<!doctype html><title>AWS</title><p>{text}</p>".encode()
    return Answer(status, ((b"Content-Type", b"text/html; charset=utf-8"),), (Piece(body),))
