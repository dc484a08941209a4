"""Keys that botocore's own providers get: of `aws login`, a container, an EC2 instance. All of it blocks."""

import sys
from collections.abc import Mapping
from shlex import quote
from typing import Any, Final

from botocore import exceptions
from botocore.config import Config
from botocore.credentials import ContainerProvider, InstanceMetadataProvider
from botocore.exceptions import BotoCoreError, ClientError, MissingDependencyException
from botocore.session import Session
from botocore.utils import InstanceMetadataFetcher

from claude_gatewayd.aws.facts import Failure, FetchResult, Validity
from claude_gatewayd.aws.failures import FailureContext, FetchFailed
from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.aws.profiles.chain import CredentialChain
from claude_gatewayd.aws.sending import Sender
from claude_gatewayd.aws.unreachable import CannotReach
from claude_gatewayd.errors import ConfigInvalid
from claude_gatewayd.network.egress import Egress

_LIMITS: Final = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2})


def keys_of(
    chain: CredentialChain, environ: Mapping[str, str], egress: Egress, context: FailureContext, now: float
) -> FetchResult:
    """Return fresh keys. Raises FetchFailed."""
    try:
        credentials = _from_login(chain.profile, egress) if chain.base == "login" else _from_machine(chain, environ)
        frozen = credentials.get_frozen_credentials() if credentials is not None else None
    except MissingDependencyException:
        install = f"{quote(sys.executable)} -m pip install 'claude-gatewayd[aws-login]'"
        raise FetchFailed(Failure("setup", "`aws login` needs awscrt, which is not installed", install)) from None
    except CannotReach as error:
        raise FetchFailed(Failure("broken", error.failed.detail, error.failed.hint)) from None
    except ConfigInvalid as invalid:
        problem = invalid.problems[0]
        raise FetchFailed(Failure("setup", f"{problem.where}: {problem.message}", problem.hint)) from None
    except (BotoCoreError, ClientError, OSError, ValueError) as error:
        raise FetchFailed(_as_failure(error, context)) from None
    if frozen is None:
        raise FetchFailed(
            Failure("setup", f"this machine provides no keys for {context.source}", context.check_command)
        )
    ends = getattr(credentials, "_expiry_time", None)
    validity = Validity(now, ends.timestamp() if ends is not None else None)
    return FetchResult(AwsKeys(frozen.access_key, frozen.secret_key, frozen.token or ""), validity)


def _from_login(profile: str, egress: Egress) -> Any:
    session = Session(profile=profile)
    session.register("before-send", Sender(egress, _LIMITS.connect_timeout, _LIMITS.read_timeout))
    session.set_default_client_config(_LIMITS)
    return session.get_credentials()


def _from_machine(chain: CredentialChain, environ: Mapping[str, str]) -> Any:
    credentials = None
    if chain.values.get("credential_source") != "ec2instancemetadata":
        credentials = ContainerProvider(environ=dict(environ)).load()
    if credentials is None and chain.values.get("credential_source") != "ecscontainer":
        credentials = InstanceMetadataProvider(_metadata_fetcher(environ)).load()
    return credentials


def _metadata_fetcher(environ: Mapping[str, str]) -> InstanceMetadataFetcher:
    endpoint = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
    config = {"ec2_metadata_service_endpoint": endpoint} if endpoint else {}
    return InstanceMetadataFetcher(timeout=1, num_attempts=2, env=dict(environ), config=config)


def _as_failure(error: Exception, context: FailureContext) -> Failure:
    if isinstance(error, (exceptions.LoginRefreshRequired, exceptions.LoginTokenLoadError)):
        return Failure("login", f"the login of {context.source} has ended", context.login_command)
    if isinstance(error, exceptions.LoginInsufficientPermissions):
        return Failure("setup", f"AWS does not let {context.source} renew its login", context.login_command)
    if isinstance(error, (exceptions.ConnectionError, exceptions.HTTPClientError, OSError)):
        return Failure("offline", "AWS cannot be reached; this machine seems to be offline")
    return Failure("broken", f"{context.source} gives no keys ({type(error).__name__})", context.check_command)
