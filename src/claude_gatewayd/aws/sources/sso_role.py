"""Keys by SSO: an access token of the login, renewed as long as AWS lets us, and with it a role's keys of the portal.

All of it blocks. botocore does half of this by itself: it never uses a valid token while SSO-OIDC is out of reach,
never refreshes one that the portal has refused, and believes an answer of InvalidGrant though another program of this
machine has renewed the login in the meantime.
"""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from claude_gatewayd.aws import clock, failures
from claude_gatewayd.aws.assess import login_due
from claude_gatewayd.aws.client import CallFailed, Refused, call, make_client
from claude_gatewayd.aws.facts import Failure, Got, Life, Login
from claude_gatewayd.aws.failures import Failed, Whose
from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.aws.profiles.sso_profile import SsoProfile
from claude_gatewayd.aws.sso import token_cache
from claude_gatewayd.aws.sso.oidc import Denied, Expired, InvalidClient, InvalidGrant, Oidc
from claude_gatewayd.aws.sso.token_cache import Token
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.network.egress import Egress

logger = logging.getLogger(__name__)

_LOCKED_WITHIN: Final = 20.0
# After InvalidGrant: whoever has used the refresh token before us has AWS's answer, and is about to write it.
_LOOKS: Final = (0.0, 0.1, 0.3, 0.6)


class SsoKeys:
    """The keys of one role of one login. Used by one thread at a time."""

    def __init__(
        self,
        environ: Mapping[str, str],
        egress: Egress,
        login: SsoProfile,
        whose: Whose,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.file = token_cache.token_file(environ, login.cache_key)
        self._environ = environ
        self._egress = egress
        self._sso = login
        self._whose = whose
        self._now = now
        self._sleep = sleep
        self._portal: Any = None
        self._oidc: Oidc | None = None
        self._seen = _stat(self.file)
        self._on_disk: Token | None = None
        # What was on disk, and what we have got for it: that counts, though it could not be written, or another program
        # has put back what it had read before. AWS takes a refresh token once.
        self._renewal: tuple[Token, Token] | None = None

    def changed(self) -> bool:
        """Say whether another program has written the login since it was read."""
        return _stat(self.file) != self._seen

    def fetch(self, *, keys: bool) -> Got:
        """Renew the token if it is due, and get keys if they are wanted. Raises Failed, CallFailed."""
        token = self._read()
        failure: Failure | None = None
        due = login_due(self._login(token))
        if due is not None and due <= self._now():
            token, failure = self._renewed(token)
        elif token.expires_at <= self._now():
            failure = failures.login(self._whose)
        alive = token.expires_at > self._now()
        if keys and not alive:
            raise Failed(failure or failures.login(self._whose))
        without = Got(login=self._login(token), failure=failure)
        if keys:
            return self._keys(token, failure)
        if failure is None or not alive:
            return without
        try:  # the token that lives on may be the last: the younger the keys, the longer Bedrock works
            return self._keys(token, failure)
        except (Failed, CallFailed):
            return without

    def _keys(self, token: Token, failure: Failure | None) -> Got:
        """Get keys with *token*, which could not be renewed for *failure*; it may end before its time."""
        try:
            got, life, skew = self._ask_portal(token)
        except Refused as refused:
            if refused.code != "UnauthorizedException":
                raise
            if failure is None:
                token, failure = self._renewed(token)
            if failure is not None:
                raise Failed(failure) from None
            got, life, skew = self._ask_portal_again(token)
        if abs(skew) > clock.MAX_SKEW:
            failure = failures.wrong_clock(skew)
        return Got(got, life, self._login(token), failure)

    def _ask_portal_again(self, token: Token) -> tuple[AwsKeys, Life, float]:
        try:
            return self._ask_portal(token)
        except Refused as refused:
            if refused.code == "UnauthorizedException":
                raise Failed(failures.login(self._whose)) from None
            raise

    def _ask_portal(self, token: Token) -> tuple[AwsKeys, Life, float]:
        if self._portal is None:
            self._portal = make_client("sso", self._sso.region, self._egress, self._sso.name)
        answer = call(
            self._portal.get_role_credentials,
            "get keys of the SSO portal",
            roleName=self._sso.role_name,
            accountId=self._sso.account_id,
            accessToken=token.access_token,
        )
        now = self._now()
        skew = clock.skew_of(answer, now)
        said = answer["roleCredentials"]
        ends = float(said["expiration"]) / 1000 - clock.without_noise(skew)
        return AwsKeys(said["accessKeyId"], said["secretAccessKey"], said["sessionToken"]), Life(now, ends), skew

    # -- the token

    def _read(self) -> Token:
        """Return the login that counts. Raises Failed where there is none."""
        self._seen = _stat(self.file)
        try:
            token = token_cache.read(self.file, self._sleep)
        except token_cache.CorruptToken:
            raise Failed(Failure("login", f"the login in {self.file} is damaged", self._whose.login)) from None
        except GatewayError as error:
            raise Failed(Failure("setup", error.message, error.hint)) from None
        if token is None:
            raise Failed(Failure("login", f"nobody is logged in for {self._whose.source}", self._whose.login))
        self._on_disk = token
        if self._renewal is not None and self._renewal[0].access_token == token.access_token:
            return self._renewal[1]
        return token

    def _login(self, token: Token) -> Login:
        since = self._seen[0] / 1e9
        return Login(since, token.expires_at, token.can_refresh(self._now()), token.registration_expires_at)

    def _renewed(self, token: Token) -> tuple[Token, Failure | None]:
        """Return the token that counts after one attempt to renew it, and why it is the old one."""
        if not token.can_refresh(self._now()):
            return token, failures.login(self._whose)
        try:
            with token_cache.locked(self._environ, self.file, _LOCKED_WITHIN):
                latest = self._read()
                if latest.access_token != token.access_token:  # another generation or program was faster
                    return latest, None
                return self._refresh(latest)
        except CallFailed as error:
            return token, failures.of(error, self._whose)
        except GatewayError as error:  # the lock
            return token, Failure("broken", error.message, error.hint)

    def _refresh(self, token: Token) -> tuple[Token, Failure | None]:
        if self._oidc is None:
            self._oidc = Oidc(self._sso.region, self._egress, self._sso.name)
        try:
            granted = self._oidc.by_refresh(token.registration, token.refresh_token)
        except (InvalidGrant, InvalidClient, Expired, Denied):
            for pause in _LOOKS:
                self._sleep(pause)
                latest = self._read()
                if latest.access_token != token.access_token:
                    return latest, None
            return token, failures.login(self._whose)
        new = token.renewed(granted)
        old = self._on_disk or token
        try:
            held = token_cache.swap(self.file, old, new)
        except GatewayError as error:
            logger.warning("the login is renewed, but kept in memory only: %s", error.message)
            self._renewal = old, new
            return new, None
        finally:
            self._seen = _stat(self.file)
        if held is None:  # somebody has logged out meanwhile
            raise Failed(Failure("login", f"nobody is logged in for {self._whose.source}", self._whose.login))
        self._renewal = old, held
        logger.info("the login of %s is renewed", self._whose.source)
        return held, None


def _stat(file: Path) -> tuple[int, int, int]:
    try:
        status = file.stat()
    except OSError:
        return 0, 0, 0
    return status.st_mtime_ns, status.st_ino, status.st_size
