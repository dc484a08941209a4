"""What AWS's config file says about the SSO login of a profile, and everything that is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from shlex import quote
from typing import Final
from urllib.parse import urlsplit

from claude_gatewayd.aws.errors import AwsError
from claude_gatewayd.aws.profiles import chain as planning
from claude_gatewayd.aws.profiles.source import config_files, read_profiles
from claude_gatewayd.system.addresses import is_loopback

_OF_A_LOGIN: Final = ("sso_start_url", "sso_region")
_OF_A_ROLE: Final = ("sso_account_id", "sso_role_name")

Settings = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SsoProfile:
    """A login, and the role that it is for.

    *name* is the profile that has them: *asked* itself, or the one at the end of its chain of source_profile.
    A legacy profile has no *session*, and no *scopes*: AWS gives it nothing to refresh with.
    """

    asked: str
    name: str
    session: str
    start_url: str
    region: str
    scopes: tuple[str, ...]
    account_id: str
    role_name: str

    @property
    def cache_key(self) -> str:
        """Return what the token file is named after."""
        return self.session or self.start_url

    @property
    def told(self) -> str:
        """Return how a person calls it."""
        through = f", through {self.name}" if self.name != self.asked else ""
        return f"profile {self.asked}{through}"


class SsoProfileInvalid(AwsError):
    """A profile gives no SSO login to log in with."""

    def __init__(self, requested: str, why: str, hint: str) -> None:
        super().__init__(f"log in with profile {requested}", why, hint)


def sso_profile(environ: Mapping[str, str], asked: str) -> SsoProfile:
    """Return the SSO login behind the profile *asked*. Raises SsoProfileInvalid with all that is wrong with it."""
    files = config_files(environ)
    known, sessions, problem = read_profiles(files)
    if problem is not None:
        raise SsoProfileInvalid(asked, f"{problem.where} {problem.message}", problem.hint)
    names = planning.chain(asked, known)
    name = names[-1]
    if name not in known:
        raise _unknown(name, asked, known, files[0])
    if name in names[1:-1] or (name == asked and len(set(names)) > 1):
        raise SsoProfileInvalid(
            asked,
            f"its roles go in a circle: {' -> '.join(names)}",
            f"aws configure list --profile {quote(asked)}",
        )
    if not is_sso(known[name]):
        raise _no_sso(name, asked)
    return _complete(asked, name, known[name], sessions)


def is_sso(settings: Settings) -> bool:
    """Say whether a profile gets its keys from an SSO login."""
    return any(name in settings for name in ("sso_session", *_OF_A_ROLE, "sso_start_url"))


def _is_confidential(url: str) -> bool:
    """Say whether nobody on the way can read what is sent to a URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def _complete(asked: str, name: str, settings: Settings, sessions: Mapping[str, Settings]) -> SsoProfile:
    session = settings.get("sso_session", "")
    of_session = sessions.get(session, {})
    wrong = []
    if "sso_session" in settings and session not in sessions:
        wrong.append(f"there is no [sso-session {session}]{planning.near(session, sessions)}")
    for key, value in of_session.items():
        if settings.get(key, value) != value:
            wrong.append(f"{key} is {settings[key]} in the profile, and {value} in [sso-session {session}]")
    together = {**of_session, **settings}
    needed = (*_OF_A_LOGIN, *_OF_A_ROLE) if not wrong else _OF_A_ROLE
    if missing := [key for key in needed if not together.get(key)]:
        wrong.append(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    url = together.get("sso_start_url", "")
    if url and not _is_confidential(url):
        wrong.append(f"sso_start_url must begin with https://, and is {url}")
    if wrong:
        raise SsoProfileInvalid(
            asked,
            f"{_of(name, asked)}{'; '.join(wrong)}",
            f"aws configure sso --profile {quote(name)}",
        )
    named = together.get("sso_registration_scopes", "")
    scopes = tuple(scope.strip() for scope in named.split(",") if scope.strip()) or (SCOPE,)
    return SsoProfile(
        asked=asked,
        name=name,
        session=session,
        start_url=url,
        region=together["sso_region"],
        scopes=scopes if session else (),
        account_id=together["sso_account_id"],
        role_name=together["sso_role_name"],
    )


def _unknown(name: str, asked: str, known: Mapping[str, Settings], file: Path) -> SsoProfileInvalid:
    near = get_close_matches(name, known, 1, 0.5)
    if name != asked:
        why = f"its source_profile {name} is not in {file}"
    elif not known:
        why = f"there are no profiles in {file}"
    else:
        why = f"there is no such profile in {file}"
    why += planning.near(name, known)
    hint = f"claude-gatewayctl sso-login --profile {quote(near[0])}" if near and name == asked else ""
    return SsoProfileInvalid(asked, why, hint or f"aws configure sso --profile {quote(asked)}")


def _no_sso(name: str, asked: str) -> SsoProfileInvalid:
    return SsoProfileInvalid(
        asked,
        f"{_of(name, asked)}it gets its keys in another way than by SSO",
        f"aws configure list --profile {quote(asked)}",
    )


def _of(name: str, asked: str) -> str:
    return f"in its source_profile {name}, " if name != asked else ""


SCOPE: Final = "sso:account:access"  # who registers with it gets a refresh token
