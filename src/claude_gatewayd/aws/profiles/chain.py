"""How a profile gets its keys: a base, and the roles assumed on it. Decided from files alone."""

import shlex
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from claude_gatewayd.aws.keys import KeysUnavailable
from claude_gatewayd.aws.profiles import static_keys
from claude_gatewayd.aws.profiles.ini import Section, Sections
from claude_gatewayd.aws.snapshot import CredentialKind

_MAX_DIGITS: Final = 10  # of a number of seconds
_SSO_KEYS: Final = ("sso_account_id", "sso_role_name")
SSO_SETTINGS: Final = ("sso_session", "sso_start_url", *_SSO_KEYS)
_OTHER_WAYS: Final[Mapping[str, CredentialKind]] = {"login_session": "login", "credential_process": "process"}
_ACCOUNT_SETTINGS: Final = ("role_arn", "web_identity_token_file", *_OTHER_WAYS, *SSO_SETTINGS)
_CONTAINER_VARIABLES: Final = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")


class AssumedRole(NamedTuple):
    """A role to assume."""

    arn: str
    session_name: str = ""
    external_id: str = ""
    duration: int = 0


@dataclass(frozen=True, slots=True)
class CredentialChain:
    """Where keys come from. *kind* is its name for people, *base* is where the first keys come from.

    *profile* is the profile of the base, "" if there is none, *values* are its settings. *roles* are assumed on the
    base, in this order.
    """

    kind: CredentialKind
    base: CredentialKind
    profile: str = ""
    values: Section = field(default_factory=dict, repr=False)
    roles: tuple[AssumedRole, ...] = ()

    @property
    def renewable(self) -> bool:
        """Return whether asking again gives new keys."""
        return bool(self.roles) or self.base not in ("static", "temporary", "bearer", "none")

    @property
    def account(self) -> str:
        """Return the account, "" if the profile does not name it."""
        if self.roles:
            return self.roles[-1].arn.split(":")[4] if self.roles[-1].arn.count(":") >= 5 else ""
        return self.values.get("sso_account_id", "") if self.base.startswith("sso") else ""

    @property
    def role(self) -> str:
        """Return the role, "" if the profile does not name it."""
        if self.roles:
            return self.roles[-1].arn.rpartition("/")[2]
        return self.values.get("sso_role_name", "") if self.base.startswith("sso") else ""


def of_environment(environ: Mapping[str, str]) -> CredentialChain:
    """Return the chain for keys in the environment itself."""
    values = static_keys.of_environment(environ)
    kind: CredentialKind = "temporary" if static_keys.TOKEN in values else "static"
    return CredentialChain(kind, kind, values=values)


def of_container(environ: Mapping[str, str]) -> CredentialChain | None:
    """Return the chain if this process has a role of its own, in a pod or a container."""
    if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE") and environ.get("AWS_ROLE_ARN"):
        values = {
            "web_identity_token_file": environ["AWS_WEB_IDENTITY_TOKEN_FILE"],
            "role_arn": environ["AWS_ROLE_ARN"],
            "role_session_name": environ.get("AWS_ROLE_SESSION_NAME", ""),
        }
        return CredentialChain("web-identity", "web-identity", values=values)
    if any(environ.get(name) for name in _CONTAINER_VARIABLES):
        return CredentialChain("container", "container")
    return None


def of_profile(
    name: str, profiles: Sections, environ: Mapping[str, str], last_resort: Container[str]
) -> CredentialChain:
    """Return how profile *name* gets its keys, in botocore's order of preference. Raises KeysUnavailable.

    *last_resort* are the profiles whose keys are used only if there is no other way to get any.
    """
    names = source_profiles(name, profiles)
    roles: list[AssumedRole] = []
    for name in names:
        if name not in profiles:
            raise _no_such_profile(name, names, profiles)
        values = profiles[name]
        if not _assumes(values) or (roles and _has_keys(values)):
            break
        if len(roles) == len(names) - 1 and name in names[:-1]:
            raise _incomplete(names[0], f"its roles go in a circle: {' -> '.join(names)}")
        roles.append(_assumed_role(name, values))
        source, named = values.get("credential_source"), values.get("source_profile")
        if (source is None) == (named is None):
            both = "both source_profile and credential_source"
            neither = "neither source_profile nor credential_source"
            raise _incomplete(name, f"it has role_arn, and {both if source else neither}")
        if source is not None:
            return _of_credential_source(name, source, tuple(reversed(roles)), environ)
    base = _base(name, values, environ, keys_last=name in last_resort)
    if base in ("static", "temporary") and not (values.get(static_keys.KEY_ID) and values.get(static_keys.SECRET)):
        missing = static_keys.SECRET if values.get(static_keys.KEY_ID) else static_keys.KEY_ID
        raise _incomplete(name, f"it has half a key: {missing} is missing")
    return CredentialChain("role-chain" if roles else base, base, name, values, tuple(reversed(roles)))


def source_profiles(name: str, profiles: Sections) -> list[str]:
    """Return *name* and the profiles below it: each is the source_profile of the one before.

    The last one is the base, or does not exist, or stands in the list already.
    """
    names = [name]
    while name in profiles and _assumes(profiles[name]) and "source_profile" in profiles[name]:
        if len(names) > 1 and (_has_keys(profiles[name]) or name in names[:-1]):
            break  # a profile may be its own source_profile: then its own keys are meant
        name = profiles[name]["source_profile"]
        names.append(name)
    return names


def _assumes(values: Section) -> bool:
    return "role_arn" in values and "web_identity_token_file" not in values


def _has_keys(values: Section) -> bool:
    return static_keys.KEY_ID in values or static_keys.SECRET in values


def _assumed_role(name: str, values: Section) -> AssumedRole:
    if values.get("mfa_serial"):
        raise KeysUnavailable(
            f"profile {name} requires an MFA code, and a daemon has no terminal to ask for it",
            f"aws configure export-credentials --format env --profile {shlex.quote(name)}",
        )
    duration = values.get("duration_seconds", "")
    return AssumedRole(
        values["role_arn"],
        values.get("role_session_name", ""),
        values.get("external_id", ""),
        int(duration) if duration.isdecimal() and len(duration) < _MAX_DIGITS else 0,
    )


def _of_credential_source(
    name: str, source: str, roles: tuple[AssumedRole, ...], environ: Mapping[str, str]
) -> CredentialChain:
    if source.lower() == "environment":
        base = of_environment(environ)
        if len([part for part in (static_keys.KEY_ID, static_keys.SECRET) if part in base.values]) < 2:
            raise _incomplete(
                name, "its credential_source is Environment, and the daemon's environment has no AWS keys"
            )
        return CredentialChain("role-chain", base.base, values=base.values, roles=roles)
    if source.lower() in ("ec2instancemetadata", "ecscontainer"):
        return CredentialChain("role-chain", "container", values={"credential_source": source.lower()}, roles=roles)
    raise _incomplete(name, f"its credential_source {source[:40]} does not exist")


def has_account(values: Section, environ: Mapping[str, str]) -> bool:
    """Return whether a profile means an account, whole or not: it has a setting to get keys by, or a machine's role."""
    return _has_keys(values) or any(key in values for key in _ACCOUNT_SETTINGS) or _machine_has_role(environ)


def _machine_has_role(environ: Mapping[str, str]) -> bool:
    return any(environ.get(variable) for variable in _CONTAINER_VARIABLES) or is_on_ec2(environ)


def _base(name: str, values: Section, environ: Mapping[str, str], *, keys_last: bool) -> CredentialKind:
    if "web_identity_token_file" in values:
        if not values.get("role_arn"):
            raise _incomplete(name, "it has web_identity_token_file, and no role_arn")
        return "web-identity"
    if any(key in values for key in _SSO_KEYS):
        return "sso" if "sso_session" in values else "sso-legacy"
    other = next((kind for key, kind in _OTHER_WAYS.items() if key in values), None)
    if _has_keys(values) and not (keys_last and other):
        return "temporary" if values.get(static_keys.TOKEN) or values.get("aws_security_token") else "static"
    if other is not None:
        return other
    if "sso_session" in values or "sso_start_url" in values:
        raise _incomplete(name, f"it logs in by SSO, and lacks {' and '.join(_SSO_KEYS)}")
    if _machine_has_role(environ):
        return "container"
    raise _incomplete(name, "it has no settings to get any")


def is_on_ec2(environ: Mapping[str, str]) -> bool:
    """Return whether this machine is an EC2 instance: elsewhere a request for its role only times out."""
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return False
    if environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT"):
        return True
    try:
        return Path("/sys/class/dmi/id/sys_vendor").read_text().strip() == "Amazon EC2"
    except OSError:
        return False


def did_you_mean(name: str, names: Mapping[str, object]) -> str:
    """Return a question with the names that may have been meant, "" if there are none."""
    if not names:
        return ""  # as on a machine without AWS: it is no mistake
    from difflib import get_close_matches  # here, for only mistakes need it

    found = get_close_matches(name, list(names), n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(found)}?)" if found else ""


def _no_such_profile(name: str, names: list[str], profiles: Sections) -> KeysUnavailable:
    why = (
        f"profile {names[-2]} has the source_profile {name}, which does not exist"
        if len(names) > 1
        else f"there is no profile {name}"
    )
    return KeysUnavailable(f"{why}{did_you_mean(name, profiles)}", "aws configure list-profiles")


def _incomplete(name: str, why: str) -> KeysUnavailable:
    return KeysUnavailable(
        f"profile {name} is incomplete: {why}",
        f"aws configure list --profile {shlex.quote(name)}",
    )
