"""The SSO login that AWS's config file describes for a profile, or everything that is wrong with it."""

import re
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from claude_gatewayd.aws.errors import AwsError
from claude_gatewayd.aws.profiles import chain as chains
from claude_gatewayd.aws.profiles.ini import Section, Sections
from claude_gatewayd.aws.profiles.source import config_files, read_profiles
from claude_gatewayd.system.addresses import is_loopback

_COMMENT: Final = re.compile(r"\s[#;]")
_LOGIN_KEYS: Final = ("sso_start_url", "sso_region")
_ROLE_KEYS: Final = ("sso_account_id", "sso_role_name")


class SsoProfile(NamedTuple):
    """A login, and the role to use with it.

    *name* is the profile that has them: *requested* itself, or the one at the end of its chain of source_profile.
    A legacy profile has no *session* and no *scopes*: AWS gives it no refresh token.
    """

    requested: str
    name: str
    session: str
    start_url: str
    region: str
    scopes: tuple[str, ...]
    account_id: str
    role_name: str

    @property
    def cache_key(self) -> str:
        """Return what the name of the token file is made from."""
        return self.session or self.start_url

    @property
    def description(self) -> str:
        """Return its name for people."""
        through = f", through {self.name}" if self.name != self.requested else ""
        return f"profile {self.requested}{through}"


class SsoProfileInvalid(AwsError):
    """A profile has no SSO login, or an incomplete one."""

    def __init__(self, requested: str, why: str, hint: str) -> None:
        super().__init__(f"log in with profile {requested}", why, hint)


def sso_profile(environ: Mapping[str, str], requested: str) -> SsoProfile:
    """Return the SSO login of profile *requested*. Raises SsoProfileInvalid, with everything that is wrong with it."""
    files = config_files(environ)
    profiles, sessions, problem, _ = read_profiles(files)
    if problem is not None:
        raise SsoProfileInvalid(requested, f"{problem.where} {problem.message}", problem.hint)
    names = chains.source_profiles(requested, profiles)
    name = names[-1]
    if name not in profiles:
        raise _no_such_profile(name, requested, profiles, files[0])
    if name in names[1:-1] or (name == requested and len(set(names)) > 1):
        raise SsoProfileInvalid(
            requested,
            f"its roles go in a circle: {' -> '.join(names)}",
            f"aws configure list --profile {quote(requested)}",
        )
    if not is_sso(profiles[name]):
        raise _not_sso(name, requested)
    return _complete(requested, name, profiles[name], sessions)


def is_sso(section: Section) -> bool:
    """Return whether a profile gets its keys by an SSO login."""
    return any(name in section for name in chains.SSO_SETTINGS)


def _is_confidential(url: str) -> bool:
    """Return whether nobody can read along what is sent to a URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def _complete(requested: str, name: str, section: Section, sessions: Sections) -> SsoProfile:
    session = section.get("sso_session", "")
    of_session = sessions.get(session, {})
    problems = []
    if "sso_session" in section and session not in sessions:
        problems.append(f"there is no [sso-session {session}]{chains.did_you_mean(session, sessions)}")
    for key, value in of_session.items():
        if section.get(key, value) != value:
            problems.append(f"{key} is {section[key]} in the profile, and {value} in [sso-session {session}]")
    together = {**of_session, **section}
    needed = (*_LOGIN_KEYS, *_ROLE_KEYS) if not problems else _ROLE_KEYS
    if missing := [key for key in needed if not together.get(key)]:
        problems.append(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    if commented := [key for key in needed if _COMMENT.search(together.get(key, ""))]:
        have = "has a comment" if len(commented) == 1 else "have comments"
        problems.append(f"{' and '.join(commented)} {have} behind the value, which AWS's tools take for a part of it")
    url = together.get("sso_start_url", "")
    if url and not _is_confidential(url):
        problems.append(f"sso_start_url must begin with https://, and is {url}")
    if problems:
        raise SsoProfileInvalid(
            requested,
            f"{_via(name, requested)}{'; '.join(problems)}",
            f"aws configure sso --profile {quote(name)}",
        )
    named = together.get("sso_registration_scopes", "")
    scopes = tuple(scope.strip() for scope in named.split(",") if scope.strip()) or (ACCOUNT_ACCESS,)
    return SsoProfile(
        requested=requested,
        name=name,
        session=session,
        start_url=url,
        region=together["sso_region"],
        scopes=scopes if session else (),
        account_id=together["sso_account_id"],
        role_name=together["sso_role_name"],
    )


def _no_such_profile(name: str, requested: str, profiles: Sections, file: Path) -> SsoProfileInvalid:
    from difflib import get_close_matches  # here, for only mistakes need it

    near = get_close_matches(name, profiles, 1, 0.5)
    if name != requested:
        why = f"its source_profile {name} is not in {file}"
    elif not profiles:
        why = f"there are no profiles in {file}"
    else:
        why = f"there is no such profile in {file}"
    why += chains.did_you_mean(name, profiles)
    hint = f"claude-gatewayctl sso-login --profile {quote(near[0])}" if near and name == requested else ""
    return SsoProfileInvalid(requested, why, hint or f"aws configure sso --profile {quote(requested)}")


def _not_sso(name: str, requested: str) -> SsoProfileInvalid:
    return SsoProfileInvalid(
        requested,
        f"{_via(name, requested)}it does not get its keys by SSO",
        f"aws configure list --profile {quote(requested)}",
    )


def _via(name: str, requested: str) -> str:
    return f"in its source_profile {name}, " if name != requested else ""


ACCOUNT_ACCESS: Final = "sso:account:access"  # a client registered with this scope gets a refresh token
