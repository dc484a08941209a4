"""Keys that only botocore's own providers can get: of `aws login`, a container, an EC2 instance. All of it blocks."""

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

from claude_gatewayd.aws.facts import Failure, Got, Life
from claude_gatewayd.aws.failures import Failed, Whose
from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.aws.profiles.chain import Plan
from claude_gatewayd.aws.sending import Sender
from claude_gatewayd.aws.unreachable import CannotReach
from claude_gatewayd.errors import ConfigInvalid
from claude_gatewayd.network.egress import Egress

_LIMITS: Final = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2})


def keys_of(plan: Plan, environ: Mapping[str, str], egress: Egress, whose: Whose, now: float) -> Got:
    """Return fresh keys. Raises Failed."""
    try:
        found = _by_login(plan.profile, egress) if plan.base == "login" else _of_machine(plan, environ)
        frozen = found.get_frozen_credentials() if found is not None else None
    except MissingDependencyException:
        install = f"{quote(sys.executable)} -m pip install 'claude-gatewayd[aws-login]'"
        raise Failed(Failure("setup", "`aws login` needs awscrt, which is not installed", install)) from None
    except CannotReach as error:
        raise Failed(Failure("broken", error.failed.detail, error.failed.hint)) from None
    except ConfigInvalid as invalid:
        problem = invalid.problems[0]
        raise Failed(Failure("setup", f"{problem.where}: {problem.message}", problem.hint)) from None
    except (BotoCoreError, ClientError, OSError, ValueError) as error:
        raise Failed(_told(error, whose)) from None
    if frozen is None:
        raise Failed(Failure("setup", f"nobody here gives keys to {whose.source}", whose.check))
    ends = getattr(found, "_expiry_time", None)
    life = Life(now, ends.timestamp() if ends is not None else None)
    return Got(AwsKeys(frozen.access_key, frozen.secret_key, frozen.token or ""), life)


def _by_login(profile: str, egress: Egress) -> Any:
    session = Session(profile=profile)
    session.register("before-send", Sender(egress, _LIMITS.connect_timeout, _LIMITS.read_timeout))
    session.set_default_client_config(_LIMITS)
    return session.get_credentials()


def _of_machine(plan: Plan, environ: Mapping[str, str]) -> Any:
    found = None
    if plan.values.get("credential_source") != "ec2instancemetadata":
        found = ContainerProvider(environ=dict(environ)).load()
    if found is None and plan.values.get("credential_source") != "ecscontainer":
        found = InstanceMetadataProvider(_metadata(environ)).load()
    return found


def _metadata(environ: Mapping[str, str]) -> InstanceMetadataFetcher:
    endpoint = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
    config = {"ec2_metadata_service_endpoint": endpoint} if endpoint else {}
    return InstanceMetadataFetcher(timeout=1, num_attempts=2, env=dict(environ), config=config)


def _told(error: Exception, whose: Whose) -> Failure:
    if isinstance(error, (exceptions.LoginRefreshRequired, exceptions.LoginTokenLoadError)):
        return Failure("login", f"the login of {whose.source} has ended", whose.login)
    if isinstance(error, exceptions.LoginInsufficientPermissions):
        return Failure("setup", f"AWS does not let {whose.source} renew its login", whose.login)
    if isinstance(error, (exceptions.ConnectionError, exceptions.HTTPClientError, OSError)):
        return Failure("offline", "AWS cannot be reached; this machine seems to be offline")
    return Failure("broken", f"{whose.source} gives no keys ({type(error).__name__})", whose.check)
