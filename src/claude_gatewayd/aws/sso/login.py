"""Logging a person in to AWS by SSO, in the browser or with a device code, and logging them out.

Only `claude-gatewayctl` does this: the daemon never opens a browser, and never asks for anything. All of it blocks.
"""

import base64
import hashlib
import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Final, Literal, Protocol
from urllib.parse import urlencode

from claude_gatewayd.aws.client import AwsOffline, AwsRefused, AwsServiceError, AwsThrottled, call, make_client
from claude_gatewayd.aws.errors import AwsError
from claude_gatewayd.aws.profiles.sso_profile import SsoProfile
from claude_gatewayd.aws.sso import token_cache
from claude_gatewayd.aws.sso.callback import CallbackServer
from claude_gatewayd.aws.sso.oidc import (
    AccessDenied,
    AuthorizationPending,
    CodeExpired,
    DeviceCode,
    Oidc,
    Registration,
    SlowDown,
    TokenGrant,
)
from claude_gatewayd.aws.sso.token_cache import CorruptToken, SsoToken
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.network.egress import Egress

APPROVAL_TIMEOUT: Final = 600.0  # seconds for a person to approve; device codes live as long
_TICK: Final = 1.0
_SLOW_DOWN: Final = 5.0  # RFC 8628, 3.5
_LOCK_TIMEOUT: Final = 10.0
_CONTAINER_FILES: Final = ("/.dockerenv", "/run/.containerenv")


class LoginPrompt(Protocol):
    """What a login shows to the person."""

    def open_page(self, url: str) -> None:
        """Show a page of AWS's, in a browser that can be redirected to this machine."""
        ...

    def show_code(self, device: DeviceCode) -> None:
        """Show a code, and the page to type it in."""
        ...

    def waiting(self, left: float) -> None:
        """Show that we wait, for *left* seconds more. Called about once a second."""
        ...


class LoginTimedOut(AwsError):
    """Nobody approved the login in time."""


@dataclass(frozen=True, slots=True)
class LoginMethod:
    """How to log in; *why*, if not in the browser; and whether there is likely to be a browser here."""

    flow: Literal["browser", "device-code"]
    why: str = ""
    has_browser: bool = True


def choose_method(
    profile: SsoProfile,
    environ: Mapping[str, str],
    *,
    device_code: bool,
    exists: Callable[[str], bool] = os.path.exists,
    platform: str = sys.platform,
) -> LoginMethod:
    """Choose the browser if one on this machine can be redirected to us, else a device code.

    BROWSER in the environment says that there is one, even in a container.
    """
    remote = "this is an SSH session" if environ.get("SSH_CONNECTION") or environ.get("SSH_TTY") else ""
    if not remote and not environ.get("BROWSER"):
        if environ.get("container") or any(exists(file) for file in _CONTAINER_FILES):
            remote = "this is a container"
        elif environ.get("WSL_DISTRO_NAME"):
            remote = "this is WSL, whose browser may not reach it"
        elif platform.startswith("linux") and not environ.get("DISPLAY") and not environ.get("WAYLAND_DISPLAY"):
            remote = "there is no display here"
    if device_code:
        return LoginMethod("device-code", has_browser=not remote)
    if not profile.session:
        why = "a profile without an sso-session supports nothing else"
        return LoginMethod("device-code", why, has_browser=not remote)
    return LoginMethod("device-code", remote, has_browser=False) if remote else LoginMethod("browser")


def log_in(
    profile: SsoProfile,
    environ: Mapping[str, str],
    egress: Egress,
    method: LoginMethod,
    prompt: LoginPrompt,
    *,
    timeout: float = APPROVAL_TIMEOUT,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> SsoToken:
    """Log a person in, and write the token file once everything has arrived. Raises GatewayError.

    The client is registered anew each time: with a registration that AWS no longer knows, the page in the browser fails
    without our hearing of it.
    """
    file = token_cache.token_file(environ, profile.cache_key)
    token_cache.check_writable(file.parent)
    oidc = Oidc(profile.region, egress, profile.name)
    if method.flow == "browser":
        registration, grant = _with_browser(oidc, profile, prompt, timeout, clock)
    else:
        registration, grant = _with_device_code(oidc, profile, prompt, timeout, sleep, clock)
    token = token_cache.token_from(profile.start_url, profile.region, registration, grant)
    try:
        with token_cache.locked(environ, file, _LOCK_TIMEOUT):
            token_cache.write(file, token)
    except GatewayError:  # the lock orders our own processes: a login is worth more
        token_cache.write(file, token)
    return token


def log_out(
    profile: SsoProfile, environ: Mapping[str, str], egress: Egress
) -> Literal["done", "not logged in", "only here"]:
    """End the session at AWS and remove the token file; "only here" if AWS did not answer. Raises GatewayError."""
    file = token_cache.token_file(environ, profile.cache_key)
    try:
        token = token_cache.read(file)
    except CorruptToken:
        token_cache.remove(file)
        return "only here"
    if token is None:
        return "not logged in"
    ended = _end_session(profile, egress, token)
    _remove(environ, file)
    return "done" if ended else "only here"


def _end_session(profile: SsoProfile, egress: Egress, token: SsoToken) -> bool:
    try:
        client = make_client("sso", profile.region, egress, profile.name)
        call(client.logout, "log out", accessToken=token.access_token)
    except AwsRefused:
        return True  # the session had ended
    except (AwsOffline, AwsThrottled, AwsServiceError):
        return False
    return True


def _remove(environ: Mapping[str, str], file: Path) -> None:
    try:
        with token_cache.locked(environ, file, _LOCK_TIMEOUT):
            token_cache.remove(file)
    except GatewayError:
        token_cache.remove(file)


# -- in the browser: authorization code with PKCE (RFC 7636, RFC 8252)


def _with_browser(
    oidc: Oidc, profile: SsoProfile, prompt: LoginPrompt, timeout: float, clock: Callable[[], float]
) -> tuple[Registration, TokenGrant]:
    registration = oidc.register_for_browser(_client_name(profile), profile.scopes, profile.start_url)
    verifier = secrets.token_urlsafe(64)
    with CallbackServer() as callback:
        prompt.open_page(authorize_url(oidc.url, registration.client_id, profile.scopes, callback, verifier))
        deadline = clock() + timeout
        result = None
        while result is None:
            left = deadline - clock()
            if left <= 0:
                raise _timed_out(profile, timeout)
            prompt.waiting(left)
            result = callback.wait(min(_TICK, left))
        if result.error == "access_denied":
            raise _denied(profile)
        if not result.code:
            raise AwsError("log in", f"AWS sent the browser back with {result.error}", _log_in_again(profile))
        return registration, oidc.by_authorization_code(registration, result.code, verifier, callback.redirect_uri)


def authorize_url(base: str, client_id: str, scopes: tuple[str, ...], callback: CallbackServer, verifier: str) -> str:
    """Return the page on which a person approves the login. AWS calls the parameter `scopes`, not `scope`."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": callback.redirect_uri,
        "state": callback.state,
        "code_challenge_method": "S256",
        "scopes": " ".join(scopes),
        "code_challenge": challenge,
    }
    return f"{base}/authorize?{urlencode(query)}"


# -- with a device code (RFC 8628)


def _with_device_code(
    oidc: Oidc,
    profile: SsoProfile,
    prompt: LoginPrompt,
    timeout: float,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> tuple[Registration, TokenGrant]:
    registration = oidc.register(_client_name(profile), profile.scopes)
    device = oidc.start_device(registration, profile.start_url)
    prompt.show_code(device)
    timeout = min(timeout, device.expires_in)
    deadline, interval = clock() + timeout, device.interval
    while True:
        asked_at = clock() + interval
        while (pause := min(asked_at, deadline) - clock()) > 0:
            prompt.waiting(deadline - clock())
            sleep(min(_TICK, pause))
        if asked_at > deadline:
            raise _timed_out(profile, timeout)
        try:
            return registration, oidc.by_device_code(registration, device)
        except AuthorizationPending:
            pass
        except AccessDenied:
            raise _denied(profile) from None
        except CodeExpired:
            raise _timed_out(profile, timeout) from None
        except (SlowDown, AwsThrottled, AwsOffline, AwsServiceError):
            interval += _SLOW_DOWN


def _client_name(profile: SsoProfile) -> str:
    """Return the name that AWS's page shows for us."""
    return f"claude-gateway-{profile.session or profile.name}"


def _denied(profile: SsoProfile) -> AccessDenied:
    return AccessDenied("log in", "it was denied in the browser", _log_in_again(profile))


def _timed_out(profile: SsoProfile, timeout: float) -> LoginTimedOut:
    limit = f"{timeout / 60:g} min" if timeout >= 120 else f"{timeout:g} s"
    return LoginTimedOut("log in", f"nobody approved it in the browser within {limit}", _log_in_again(profile))


def _log_in_again(profile: SsoProfile) -> str:
    return f"claude-gatewayctl sso-login --profile {quote(profile.requested)}"
