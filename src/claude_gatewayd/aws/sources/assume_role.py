"""Roles that are assumed with STS: on keys that are there, or on a web identity token. All of it blocks."""

import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from claude_gatewayd.aws import clock
from claude_gatewayd.aws.client import call, make_client
from claude_gatewayd.aws.facts import Failure, Life
from claude_gatewayd.aws.failures import Failed
from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.aws.profiles import static_keys
from claude_gatewayd.aws.profiles.chain import Step
from claude_gatewayd.network.egress import Egress
from claude_gatewayd.system import small_file

_OF_SSO = "AWSReservedSSO_"


def assume(step: Step, keys: AwsKeys, region: str, egress: Egress, profile: str) -> tuple[AwsKeys, Life, float]:
    """Return the keys of a role, how long they live, and how far AWS's clock is ahead. Raises CallFailed."""
    wanted: dict[str, Any] = {"RoleArn": step.arn, "RoleSessionName": _name(step.session_name)}
    if step.external_id:
        wanted["ExternalId"] = step.external_id
    if step.seconds:
        wanted["DurationSeconds"] = step.seconds
    return _read(call(_sts(keys, region, egress, profile).assume_role, "assume the role", **wanted))


def by_web_identity(
    values: Mapping[str, str], region: str, egress: Egress, profile: str
) -> tuple[AwsKeys, Life, float]:
    """Return the keys of the role that a token in a file stands for. Raises Failed, CallFailed."""
    file = values["web_identity_token_file"]
    look = f"ls -l {quote(file)}"
    try:
        token = small_file.read(Path(file)).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is no text"
        raise Failed(Failure("setup", f"the web identity token {file} cannot be read: {why.lower()}", look)) from None
    ends = static_keys.jwt_ends(token)
    if ends is not None and ends <= time.time():
        raise Failed(Failure("setup", f"the web identity token {file} has ended, and nobody has written another", look))
    return _read(
        call(
            make_client("sts", region, egress, profile).assume_role_with_web_identity,
            "assume the role",
            RoleArn=values["role_arn"],
            RoleSessionName=_name(values.get("role_session_name", "")),
            WebIdentityToken=token,
        )
    )


def identity(keys: AwsKeys, region: str, egress: Egress, profile: str) -> tuple[str, str]:
    """Return account and role of keys, as STS knows them. Raises CallFailed."""
    said = call(_sts(keys, region, egress, profile).get_caller_identity, "ask who this is")
    parts = str(said["Arn"]).split(":", 5)[-1].split("/")
    role = parts[1] if len(parts) > 1 else parts[0]
    if role.startswith(_OF_SSO):  # AWSReservedSSO_Admin_0123456789abcdef, which a person calls Admin
        role = role.removeprefix(_OF_SSO).rpartition("_")[0]
    return str(said["Account"]), role


def _sts(keys: AwsKeys, region: str, egress: Egress, profile: str) -> Any:
    given = {"aws_access_key_id": keys.access_key, "aws_secret_access_key": keys.secret_key}
    if keys.session_token:
        given["aws_session_token"] = keys.session_token
    return make_client("sts", region, egress, profile, **given)


def _name(wanted: str) -> str:
    return wanted or f"claude-gatewayd-{secrets.token_hex(4)}"


def _read(said: Mapping[str, Any]) -> tuple[AwsKeys, Life, float]:
    now = time.time()
    skew = clock.skew_of(said, now)
    found = said["Credentials"]
    keys = AwsKeys(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
    return keys, Life(now, found["Expiration"].timestamp() - clock.without_noise(skew)), skew
