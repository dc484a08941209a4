"""A person's login to AWS by SSO, and the end of it: through the browser and back, or by a code to type.

Only `claude-gatewayctl` comes here: the daemon never opens a browser, and never asks anybody for anything. All of it
blocks.
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

from claude_gatewayd.aws.client import Offline, Refused, ServiceError, Throttled, call, make_client
from claude_gatewayd.aws.profiles.sso_profile import SsoProfile
from claude_gatewayd.aws.sso import token_cache
from claude_gatewayd.aws.sso.callback import Callback
from claude_gatewayd.aws.sso.oidc import Denied, DeviceCode, Expired, Granted, Oidc, Pending, Registration, SlowDown
from claude_gatewayd.aws.sso.token_cache import CorruptToken, Token
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.network.egress import Egress

WITHIN: Final = 600.0  # seconds for a person to approve; AWS's device codes live as long
_TICK: Final = 1.0
_SLOWER: Final = 5.0  # RFC 8628, 3.5
_LOCK_WITHIN: Final = 10.0
_CONTAINER_FILES: Final = ("/.dockerenv", "/run/.containerenv")


class Person(Protocol):
    """Whoever logs in, as far as a login needs them."""

    def go_to(self, url: str) -> None:
        """Be sent to a page of AWS's, in a browser that can come back to this machine."""
        ...

    def type_in(self, device: DeviceCode) -> None:
        """Be shown a code, and the page that wants it."""
        ...

    def wait(self, left: float) -> None:
        """Hear about once a second that we wait, for *left* seconds more."""
        ...


class TimedOut(GatewayError):
    """Nobody approved it in time."""


@dataclass(frozen=True, slots=True)
class Way:
    """How to log in, *why* so, and whether there is likely to be a browser here."""

    by: Literal["browser", "device-code"]
    why: str = ""
    browser: bool = True


def choose_way(
    profile: SsoProfile,
    environ: Mapping[str, str],
    *,
    device_code: bool,
    exists: Callable[[str], bool] = os.path.exists,
    platform: str = sys.platform,
) -> Way:
    """Return the browser where one on this machine can come back to us, else the device code.

    A BROWSER in the environment is somebody's word that there is one, even in a container.
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
        return Way("device-code", browser=not remote)
    if not profile.session:
        return Way("device-code", "a profile without an sso-session knows no other way", browser=not remote)
    return Way("device-code", remote, browser=False) if remote else Way("browser")


def log_in(
    profile: SsoProfile,
    environ: Mapping[str, str],
    egress: Egress,
    way: Way,
    person: Person,
    *,
    within: float = WITHIN,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Token:
    """Log a person in, and write the token file; nothing of it is written before all has come. Raises GatewayError.

    The client is registered anew each time: with one that AWS has forgotten, the browser's page fails and says
    nothing to us.
    """
    file = token_cache.token_file(environ, profile.cache_key)
    token_cache.check_writable(file.parent)
    oidc = Oidc(profile.region, egress, profile.name)
    if way.by == "browser":
        registration, granted = _by_browser(oidc, profile, person, within, clock)
    else:
        registration, granted = _by_device_code(oidc, profile, person, within, sleep, clock)
    token = token_cache.token_from(profile.start_url, profile.region, registration, granted)
    try:
        with token_cache.locked(environ, file, _LOCK_WITHIN):
            token_cache.write(file, token)
    except GatewayError:  # the lock is for the order among ours: it is not worth a person's login
        token_cache.write(file, token)
    return token


def log_out(
    profile: SsoProfile, environ: Mapping[str, str], egress: Egress
) -> Literal["done", "not logged in", "only here"]:
    """End the session at AWS and remove the token file; "only here": AWS could not be told. Raises GatewayError."""
    file = token_cache.token_file(environ, profile.cache_key)
    try:
        token = token_cache.read(file)
    except CorruptToken:
        token_cache.remove(file)
        return "only here"
    if token is None:
        return "not logged in"
    told = _tell_portal(profile, egress, token)
    _remove(environ, file)
    return "done" if told else "only here"


def _tell_portal(profile: SsoProfile, egress: Egress, token: Token) -> bool:
    try:
        client = make_client("sso", profile.region, egress, profile.name)
        call(client.logout, "log out", accessToken=token.access_token)
    except Refused:
        return True  # the session was over
    except (Offline, Throttled, ServiceError):
        return False
    return True


def _remove(environ: Mapping[str, str], file: Path) -> None:
    try:
        with token_cache.locked(environ, file, _LOCK_WITHIN):
            token_cache.remove(file)
    except GatewayError:
        token_cache.remove(file)


# -- through the browser and back: authorization code with PKCE (RFC 7636, RFC 8252)


def _by_browser(
    oidc: Oidc, profile: SsoProfile, person: Person, within: float, clock: Callable[[], float]
) -> tuple[Registration, Granted]:
    registration = oidc.register_for_browser(_client_name(profile), profile.scopes, profile.start_url)
    verifier = secrets.token_urlsafe(64)
    with Callback() as callback:
        person.go_to(authorize_url(oidc.url, registration.client_id, profile.scopes, callback, verifier))
        deadline = clock() + within
        came = None
        while came is None:
            left = deadline - clock()
            if left <= 0:
                raise _timed_out(profile, within)
            person.wait(left)
            came = callback.wait(min(_TICK, left))
        if came.error == "access_denied":
            raise _denied(profile)
        if not came.code:
            raise GatewayError(f"cannot log in: AWS has sent the browser back with {came.error}", _again(profile))
        return registration, oidc.by_code(registration, came.code, verifier, callback.redirect)


def authorize_url(base: str, client_id: str, scopes: tuple[str, ...], callback: Callback, verifier: str) -> str:
    """Return the page at which a person approves. AWS calls the parameter `scopes`, not `scope`."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": callback.redirect,
        "state": callback.state,
        "code_challenge_method": "S256",
        "scopes": " ".join(scopes),
        "code_challenge": challenge,
    }
    return f"{base}/authorize?{urlencode(query)}"


# -- by a code to type (RFC 8628)


def _by_device_code(
    oidc: Oidc,
    profile: SsoProfile,
    person: Person,
    within: float,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> tuple[Registration, Granted]:
    registration = oidc.register(_client_name(profile), profile.scopes)
    device = oidc.start_device(registration, profile.start_url)
    person.type_in(device)
    within = min(within, device.expires_in)
    deadline, interval = clock() + within, device.interval
    while True:
        asked_at = clock() + interval
        while (pause := min(asked_at, deadline) - clock()) > 0:
            person.wait(deadline - clock())
            sleep(min(_TICK, pause))
        if asked_at > deadline:
            raise _timed_out(profile, within)
        try:
            return registration, oidc.by_device(registration, device)
        except Pending:
            pass
        except Denied:
            raise _denied(profile) from None
        except Expired:
            raise _timed_out(profile, within) from None
        except (SlowDown, Throttled, Offline, ServiceError):
            interval += _SLOWER


def _client_name(profile: SsoProfile) -> str:
    """Return what AWS's page calls us."""
    return f"claude-gateway-{profile.session or profile.name}"


def _denied(profile: SsoProfile) -> Denied:
    return Denied("log in", "it was denied in the browser", _again(profile))


def _timed_out(profile: SsoProfile, within: float) -> TimedOut:
    told = f"{within / 60:g} min" if within >= 120 else f"{within:g} s"
    return TimedOut(f"cannot log in: nobody approved it in the browser within {told}", _again(profile))


def _again(profile: SsoProfile) -> str:
    return f"claude-gatewayctl sso-login --profile {quote(profile.asked)}"
