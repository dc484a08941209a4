"""Keys by SSO: the login's access token, renewed for as long as AWS allows, and a role's keys from the portal for it.

All of it blocks. botocore does only half of this: it does not use a valid token while SSO-OIDC cannot be reached, does
not refresh one that the portal rejected, and takes InvalidGrant for the end of the session although another program may
have renewed the login in the meantime.
"""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from claude_gatewayd.aws import clock, failures
from claude_gatewayd.aws.assess import login_due
from claude_gatewayd.aws.client import AskAws, AwsCall, AwsRefused, CallFailed
from claude_gatewayd.aws.facts import Failure, FetchResult, LoginFacts, Validity
from claude_gatewayd.aws.failures import FailureContext, FetchFailed
from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.aws.profiles.sso_profile import SsoProfile
from claude_gatewayd.aws.sso import token_cache
from claude_gatewayd.aws.sso.oidc import AccessDenied, CodeExpired, InvalidClient, InvalidGrant, Oidc
from claude_gatewayd.aws.sso.token_cache import SsoToken
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.network.egress import Egress

logger = logging.getLogger(__name__)

_LOCK_TIMEOUT: Final = 20.0
# After InvalidGrant: whoever used the refresh token before us has the new one, and is about to write it.
_REREADS: Final = (0.0, 0.1, 0.3, 0.6)


class SsoRoleKeys:
    """Get the keys of one role with one login; *ask* makes the calls. For one thread at a time."""

    def __init__(
        self,
        environ: Mapping[str, str],
        egress: Egress,
        profile: SsoProfile,
        context: FailureContext,
        ask: AskAws,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.file = token_cache.token_file(environ, profile.cache_key)
        self._environ = environ
        self._egress = egress
        self._profile = profile
        self._context = context
        self._now = now
        self._sleep = sleep
        self._ask = ask
        self._oidc = Oidc(profile.region, egress, profile.name, ask)
        self._seen_version = _file_version(self.file)
        self._on_disk: SsoToken | None = None
        # What was on disk, and what we got for it. The latter counts even if it could not be written, or if another
        # program wrote the former back: AWS accepts a refresh token only once.
        self._renewal: tuple[SsoToken, SsoToken] | None = None

    def changed(self) -> bool:
        """Return whether another program has written the token file since it was read."""
        return _file_version(self.file) != self._seen_version

    def fetch(self, *, keys: bool) -> FetchResult:
        """Renew the token if it is due, and get keys if wanted. Raises FetchFailed, CallFailed."""
        token = self._read_token()
        failure: Failure | None = None
        due = login_due(self._login_facts(token))
        if due is not None and due <= self._now():
            token, failure = self._renew_token(token)
        elif token.expires_at <= self._now():
            failure = failures.login_ended(self._context)
        alive = token.expires_at > self._now()
        if keys and not alive:
            raise FetchFailed(failure or failures.login_ended(self._context))
        login_only = FetchResult(login=self._login_facts(token), failure=failure)
        if keys:
            return self._fetch_keys(token, failure)
        if failure is None or not alive:
            return login_only
        try:  # this token may be the last one: the younger the keys, the longer Bedrock works
            return self._fetch_keys(token, failure)
        except (FetchFailed, CallFailed):
            return login_only

    def _fetch_keys(self, token: SsoToken, failure: Failure | None) -> FetchResult:
        """Get keys with *token*, which AWS may end early. *failure* is why it could not be renewed, if it was tried."""
        try:
            keys, validity, skew = self._get_role_credentials(token)
        except AwsRefused as refused:
            if refused.code != "UnauthorizedException":
                raise
            if failure is None:
                token, failure = self._renew_token(token)
            if failure is not None:
                raise FetchFailed(failure) from None
            keys, validity, skew = self._get_role_credentials_again(token)
        return FetchResult(keys, validity, self._login_facts(token), failures.if_too_far_apart(skew) or failure)

    def _get_role_credentials_again(self, token: SsoToken) -> tuple[AwsKeys, Validity, float]:
        try:
            return self._get_role_credentials(token)
        except AwsRefused as refused:
            if refused.code == "UnauthorizedException":
                raise FetchFailed(failures.login_ended(self._context)) from None
            raise

    def _get_role_credentials(self, token: SsoToken) -> tuple[AwsKeys, Validity, float]:
        profile, action = self._profile, "get keys of the SSO portal"
        arguments = {
            "roleName": profile.role_name, "accountId": profile.account_id, "accessToken": token.access_token
        }  # fmt: skip
        asked = AwsCall("sso", "get_role_credentials", action, profile.region, profile.name, arguments, {})
        response = self._ask(asked, self._egress)
        now = self._now()
        skew = clock.skew_of(response, now)
        credentials = response["roleCredentials"]
        ends = float(credentials["expiration"]) / 1000 - clock.without_noise(skew)
        return (
            AwsKeys(credentials["accessKeyId"], credentials["secretAccessKey"], credentials["sessionToken"]),
            Validity(now, ends),
            skew,
        )

    # -- the token

    def _read_token(self) -> SsoToken:
        """Return the current token. Raises FetchFailed where nobody is logged in."""
        self._seen_version = _file_version(self.file)
        try:
            token = token_cache.read(self.file, self._sleep)
        except token_cache.CorruptToken:
            why = f"the login in {self.file} is damaged"
            raise FetchFailed(Failure("login", why, self._context.login_command)) from None
        except GatewayError as error:
            raise FetchFailed(Failure("setup", error.message, error.hint)) from None
        if token is None:
            raise FetchFailed(failures.not_logged_in(self._context))
        self._on_disk = token
        if self._renewal is not None and self._renewal[0].access_token == token.access_token:
            return self._renewal[1]
        return token

    def _login_facts(self, token: SsoToken) -> LoginFacts:
        since = self._seen_version[0] / 1e9
        return LoginFacts(since, token.expires_at, token.can_refresh(self._now()), token.registration_expires_at)

    def _renew_token(self, token: SsoToken) -> tuple[SsoToken, Failure | None]:
        """Try once to renew *token*. Return the current one, and why it could not be renewed."""
        if not token.can_refresh(self._now()):
            return token, failures.login_ended(self._context)
        try:
            with token_cache.locked(self._environ, self.file, _LOCK_TIMEOUT):
                latest = self._read_token()
                if latest.access_token != token.access_token:  # another generation or program was faster
                    return latest, None
                return self._refresh(latest)
        except CallFailed as error:
            return token, failures.from_call(error, self._context)
        except GatewayError as error:  # the lock was not to be had
            return token, Failure("broken", error.message, error.hint)

    def _refresh(self, token: SsoToken) -> tuple[SsoToken, Failure | None]:
        try:
            grant = self._oidc.by_refresh_token(token.registration, token.refresh_token)
        except (InvalidGrant, InvalidClient, CodeExpired, AccessDenied):
            for pause in _REREADS:
                self._sleep(pause)
                latest = self._read_token()
                if latest.access_token != token.access_token:
                    return latest, None
            return token, failures.login_ended(self._context)
        new = token.renewed(grant)
        old = self._on_disk or token
        try:
            stored = token_cache.replace_if_unchanged(self.file, old, new)
        except GatewayError as error:
            logger.warning("the login is renewed, but kept in memory only: %s", error.message)
            self._renewal = old, new
            return new, None
        finally:
            self._seen_version = _file_version(self.file)
        if stored is None:  # somebody logged out in the meantime
            raise FetchFailed(failures.not_logged_in(self._context))
        self._renewal = old, stored
        logger.info("the login of %s is renewed", self._context.source)
        return stored, None


def _file_version(file: Path) -> tuple[int, int, int]:
    try:
        status = file.stat()
    except OSError:
        return 0, 0, 0
    return status.st_mtime_ns, status.st_ino, status.st_size
