"""What setup finds on a machine, and which AWS profile it takes without asking. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from claude_gatewayd.aws.profiles.ini import Sections
from claude_gatewayd.aws.snapshot import CredentialKind
from claude_gatewayd.problem import Problem

ConfigKey = tuple[str, str]  # section and name in config.toml
LoginState = Literal["", "needed", "there"]  # "": its keys come without an SSO login

_HOW: Mapping[CredentialKind, str] = {
    "sso": "SSO", "sso-legacy": "SSO", "role-chain": "a role", "process": "a program", "static": "keys",
    "temporary": "keys that end", "web-identity": "a web identity", "login": "aws login", "container": "this machine",
}  # fmt: skip
# By name only: what a role may do, only AWS knows.
_LIKELY = re.compile(r"bedrock|admin|power.?user|developer", re.IGNORECASE)
_UNLIKELY = re.compile(r"read.?only|view.?only|billing|support|audit", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile of AWS's files: by what *kind* of way it comes by keys, or *trouble*, why it cannot."""

    name: str
    kind: CredentialKind = "none"
    account: str = ""
    role: str = ""
    region: str = ""
    trouble: str = ""
    login: LoginState = ""

    @property
    def description(self) -> str:
        """Return what is known of it, for a line of a list."""
        if self.trouble:
            return f"cannot be used: {self.trouble}"
        account = f"account {self.account}" if self.account else ""
        how = _HOW.get(self.kind, "") + (", logged in" if self.login == "there" else "")
        return ", ".join(filter(None, (how, account, self.role, self.region)))


class LiteLLMProxy(NamedTuple):
    """A LiteLLM proxy's set-up that is on this machine: by what it shows, and its configuration if that was found."""

    signs: tuple[str, ...]
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """How the service is. *manager* is "" where none would hear us: *why*, with *hint*.

    *settled* says that it is installed from here, enabled and serving; *by_hand* is a daemon that it did not start.
    """

    manager: str = ""
    why: str = ""
    hint: str = ""
    settled: bool = False
    running: bool = False
    by_hand: int = 0
    lingers: bool = False


class Claude(NamedTuple):
    """Claude Code's settings.json: how many changes it takes to point here, or why it cannot be changed."""

    file: Path
    changes: int = 0
    trouble: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class SetupFacts:
    """What is on this machine.

    *written* is what config.toml says, by place, and *defaults* what counts where it says nothing. *wanted*, *region*
    and *port* are what counts now, *region* "" where nobody has chosen one. *keys* is where keys come from before any
    profile, "" for nowhere; *trouble* why the files that would have profiles cannot be used.
    """

    config_file: Path
    written: Mapping[ConfigKey, Any] = field(default_factory=dict)
    defaults: Mapping[ConfigKey, Any] = field(default_factory=dict)
    profiles: tuple[Profile, ...] = ()
    wanted: str = ""
    region: str = ""
    port: int = 47000
    bedrock_off: bool = False
    keys: str = ""
    trouble: Problem | None = None
    service: ServiceFacts = field(default_factory=ServiceFacts)
    proxy: LiteLLMProxy | None = None
    claude: Claude = field(default_factory=lambda: Claude(Path("settings.json")))

    def setting(self, place: ConfigKey) -> Any:
        """Return what the file comes to for a place."""
        return self.written.get(place, self.defaults.get(place))


def ranked(found: Iterable[Profile], wanted: str) -> tuple[Profile, ...]:
    """Return the profiles, first those that can reach Bedrock, as far as files and names tell."""
    return tuple(sorted(found, key=lambda one: (bool(one.trouble), one.name != wanted, likelihood(one), one.name)))


def region_of(name: str, known: Sections) -> str:
    """Return a profile's region; a role may leave it to the profile that it is assumed from."""
    for _ in range(len(known)):
        settings = known.get(name, {})
        if settings.get("region"):
            return settings["region"]
        name = settings.get("source_profile", "")
    return ""


def likelihood(profile: Profile) -> int:
    """Return how far a profile is from being the one for Bedrock, by the names that people give to roles."""
    names = f"{profile.name} {profile.role}"
    return 2 if _UNLIKELY.search(names) else 0 if _LIKELY.search(names) else 1


def default_profile(found: Iterable[Profile], wanted: str) -> str | None:
    """Return the profile that needs no question: the configured one, the only one, or the only one of its like.

    A wrong guess would spend somebody's money, so that None means: ask.
    """
    good = [one for one in found if not one.trouble]
    names = [one.name for one in good]
    for name in (wanted, "default"):
        if name in names:
            return name
    likely = [one.name for one in good if likelihood(one) == 0]
    return next((some[0] for some in (names, likely) if len(some) == 1), None)


def proxy_file(command: Iterable[str], directory: Path) -> Path | None:
    """Return the configuration that a LiteLLM proxy was started with, by its command line and its directory."""
    words = list(command)
    for at, word in enumerate(words):
        if word in ("--config", "-c") and at + 1 < len(words):
            return directory / words[at + 1]
        if word.startswith("--config="):
            return directory / word.partition("=")[2]
    return None
