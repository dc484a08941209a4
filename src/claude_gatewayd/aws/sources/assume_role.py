"""Roles assumed with STS, using other keys or a web identity token; and whose keys are whose. All of it blocks."""

import secrets
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import Any

from claude_gatewayd.aws import clock
from claude_gatewayd.aws.client import AskAws, AwsCall
from claude_gatewayd.aws.facts import Failure, Validity
from claude_gatewayd.aws.failures import FetchFailed
from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.aws.profiles import static_keys
from claude_gatewayd.aws.profiles.chain import AssumedRole
from claude_gatewayd.network.egress import Egress
from claude_gatewayd.system import small_file

_SSO_PREFIX = "AWSReservedSSO_"


def assume(
    role: AssumedRole, keys: AwsKeys, region: str, egress: Egress, profile: str, ask: AskAws
) -> tuple[AwsKeys, Validity, float]:
    """Return the keys of a role, their validity, and how far AWS's clock is ahead. Raises CallFailed."""
    arguments: dict[str, Any] = {"RoleArn": role.arn, "RoleSessionName": _session_name(role.session_name)}
    if role.external_id:
        arguments["ExternalId"] = role.external_id
    if role.duration:
        arguments["DurationSeconds"] = role.duration
    asked = AwsCall("sts", "assume_role", "assume the role", region, profile, arguments, _as_arguments(keys))
    return _keys_in(ask(asked, egress))


def by_web_identity(
    values: Mapping[str, str], region: str, egress: Egress, profile: str, ask: AskAws
) -> tuple[AwsKeys, Validity, float]:
    """Return the same for the role of a token in a file. Raises FetchFailed, CallFailed."""
    file = values["web_identity_token_file"]
    list_file = f"ls -l {quote(file)}"
    try:
        token = small_file.read(Path(file)).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
        raise FetchFailed(
            Failure("setup", f"the web identity token {file} cannot be read: {why.lower()}", list_file)
        ) from None
    ends = static_keys.jwt_expiry(token)
    if ends is not None and ends <= time.time():
        raise FetchFailed(
            Failure("setup", f"the web identity token {file} has expired, and nothing has replaced it", list_file)
        )
    arguments = {
        "RoleArn": values["role_arn"],
        "RoleSessionName": _session_name(values.get("role_session_name", "")),
        "WebIdentityToken": token,
    }
    asked = AwsCall("sts", "assume_role_with_web_identity", "assume the role", region, profile, arguments, {})
    return _keys_in(ask(asked, egress))


def identity(keys: AwsKeys, region: str, egress: Egress, profile: str, ask: AskAws) -> tuple[str, str]:
    """Return the account and the role of *keys*, according to STS. Raises CallFailed."""
    action = "ask whose keys these are"
    asked = AwsCall("sts", "get_caller_identity", action, region, profile, {}, _as_arguments(keys))
    response = ask(asked, egress)
    parts = str(response["Arn"]).split(":", 5)[-1].split("/")
    role = parts[1] if len(parts) > 1 else parts[0]
    if role.startswith(_SSO_PREFIX):  # AWSReservedSSO_Admin_0123456789abcdef is Admin to its users
        role = role.removeprefix(_SSO_PREFIX).rpartition("_")[0]
    return str(response["Account"]), role


def _as_arguments(keys: AwsKeys) -> dict[str, str]:
    token = {"aws_session_token": keys.session_token} if keys.session_token else {}
    return {"aws_access_key_id": keys.access_key, "aws_secret_access_key": keys.secret_key, **token}


def _session_name(configured: str) -> str:
    return configured or f"claude-gatewayd-{secrets.token_hex(4)}"


def _keys_in(response: Mapping[str, Any]) -> tuple[AwsKeys, Validity, float]:
    now = time.time()
    skew = clock.skew_of(response, now)
    credentials = response["Credentials"]
    keys = AwsKeys(credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])
    ends = credentials["Expiration"]
    if isinstance(ends, str):  # by way of a child
        ends = datetime.fromisoformat(ends)
    return keys, Validity(now, ends.timestamp() - clock.without_noise(skew)), skew
