"""Fresh AWS keys, by boto3 in a thread: whatever a profile gets them from."""

import asyncio
import os
import time
from dataclasses import dataclass, field
from typing import Any

from claude_gatewayd.credentials.source import Source
from claude_gatewayd.errors import GatewayError

_WITHIN = 10.0
_REUSED_FOR = 5.0  # seconds: beyond it the SDK is asked again, which knows when keys end
_NEAR = 600.0  # keys that end sooner are asked for each time


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """What a call to AWS is signed with; or *bearer*, a Bedrock API key."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)


class KeysUnavailable(GatewayError):
    """There are no keys: why, and the command that mends it."""


class AwsCredentials:
    """Hand out keys of *source*. Lives on the worker's loop, which it never blocks."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._fetching: asyncio.Task[AwsKeys] | None = None
        self._session: Any = None  # boto3's, with what it has cached
        self._stamp: tuple[int, ...] = ()
        self._kept: AwsKeys | None = None
        self._kept_until = 0.0

    async def keys(self) -> AwsKeys:
        """Return keys that are good now. Raises KeysUnavailable, after ten seconds at most."""
        source = self._source
        if source.kind == "bearer":
            return AwsKeys("", "", bearer=source.environ["AWS_BEARER_TOKEN_BEDROCK"])
        if source.kind == "environment":
            token = source.environ.get("AWS_SESSION_TOKEN", "")
            return AwsKeys(source.environ["AWS_ACCESS_KEY_ID"], source.environ["AWS_SECRET_ACCESS_KEY"], token)
        if source.kind == "none":
            raise KeysUnavailable(f"cannot get AWS credentials: {source.why}", source.hint)
        if self._kept is not None and time.monotonic() < self._kept_until:
            return self._kept
        if self._fetching is None:  # one at a time, for all that wait
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._fetched)
        try:
            async with asyncio.timeout(_WITHIN):
                return await asyncio.shield(self._fetching)
        except TimeoutError:
            raise self._unavailable(f"they did not come within {_WITHIN:g} s", "") from None

    async def close(self) -> None:
        """Wait no more for keys that are on their way."""
        if self._fetching is not None:
            self._fetching.cancel()

    def _fetched(self, task: "asyncio.Task[AwsKeys]") -> None:
        self._fetching = None
        if not task.cancelled() and task.exception() is None:
            self._kept = task.result()
            self._kept_until = time.monotonic() + _REUSED_FOR

    async def _fetch(self) -> AwsKeys:
        return await asyncio.to_thread(self._ask_the_sdk)

    def _ask_the_sdk(self) -> AwsKeys:
        """Return the profile's keys. Runs in a thread; botocore renews what it can."""
        import boto3  # here, for it takes a third of a second, and not everybody falls back
        from botocore.exceptions import BotoCoreError, ClientError

        stamp = tuple(_changed_at(file) for file in self._source.files)
        try:
            if self._session is None or stamp != self._stamp:
                self._session = boto3.Session(profile_name=self._source.profile)
                self._stamp = stamp
            credentials = self._session.get_credentials()
            if credentials is None:
                raise self._unavailable("the profile names no way to get any", "aws configure list")
            frozen = credentials.get_frozen_credentials()
        except (BotoCoreError, ClientError, OSError, ValueError) as error:
            self._session = None
            raise self._told(error) from None
        return AwsKeys(frozen.access_key, frozen.secret_key, frozen.token or "")

    def _told(self, error: Exception) -> KeysUnavailable:
        """Say in our words what the SDK says in its own, which may hold anything."""
        name = type(error).__name__
        profile = self._source.profile
        if name in (
            "EndpointConnectionError",
            "ConnectTimeoutError",
            "ReadTimeoutError",
            "ConnectionClosedError",
            "ProxyConnectionError",
        ):
            return self._unavailable("AWS cannot be reached; this machine seems to be offline", "")
        if "SSO" in name or name in ("TokenRetrievalError", "UnauthorizedSSOTokenError", "LoginRefreshRequired"):
            return self._unavailable(f"the login of profile {profile} has ended", f"aws sso login --profile {profile}")
        if name in ("ProfileNotFound",):
            return self._unavailable(f"there is no profile {profile}", "aws configure list-profiles")
        if name in ("PartialCredentialsError", "InvalidConfigError", "ConfigParseError"):
            return self._unavailable(f"profile {profile} is not complete", f"aws configure list --profile {profile}")
        if name == "CredentialRetrievalError":
            return self._unavailable(
                f"the credential_process of profile {profile} failed",
                f"aws sts get-caller-identity --profile {profile}",
            )
        return self._unavailable(
            f"profile {profile} gives none ({name})", f"aws sts get-caller-identity --profile {profile}"
        )

    def _unavailable(self, why: str, hint: str) -> KeysUnavailable:
        return KeysUnavailable(f"cannot get AWS credentials: {why}", hint)


def _changed_at(file: os.PathLike[str]) -> int:
    try:
        return os.stat(file).st_mtime_ns
    except OSError:
        return 0
