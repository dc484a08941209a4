"""Which source of AWS keys is used: the environment, a profile, a container, or none. Reads files only."""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import Final, Literal, NamedTuple

from claude_gatewayd.aws.profiles import chain as chains
from claude_gatewayd.aws.profiles import ini, static_keys
from claude_gatewayd.aws.profiles.ini import Section, Sections
from claude_gatewayd.network.trust import CaFile
from claude_gatewayd.paths import expanduser
from claude_gatewayd.problem import Problem

_VARIABLE: Final = re.compile(r"\$(?:\{([^}]*)\}|(\w+))", re.ASCII)

SourceKind = Literal["environment", "bearer", "profile", "container", "none"]


@dataclass(frozen=True, slots=True)
class KeySource:
    """A source of keys. *environ* is what the SDK shall see, *files* are those it would read; *why* there is no source.

    *requested* is the configured profile; *pinned*: it was there once, so that no other profile may take its place.
    *unreadable*: the files cannot be used at the moment, so that nobody knows what they would say.
    """

    kind: SourceKind
    profile: str = ""
    why: str = ""
    hint: str = ""
    files: tuple[Path, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    requested: str = ""
    pinned: bool = False
    unreadable: bool = False

    @property
    def wanted(self) -> bool:
        """Return whether Bedrock is wanted: also by a profile that cannot be used, which is read again when mended."""
        return self.kind != "none" or bool(self.profile)

    @property
    def description(self) -> str:
        """Return its name for people."""
        names = {
            "environment": "keys of the environment",
            "bearer": "a Bedrock API key of the environment",
            "container": "the role of this container",
        }
        return names.get(self.kind, f"profile {self.profile}" if self.profile else "")


class Profiles(NamedTuple):
    """What the SDK's two files say: the profiles of both, where the credentials file precedes, and the sessions.

    *problem* is why one of them cannot be used. Then neither is, as in the SDK: the missing part might have named
    another account. *last_resort* are the profiles whose keys are not in the credentials file: to the SDK, a login or
    a program precede keys in the config file.
    """

    profiles: Sections
    sessions: Sections
    problem: Problem | None = None
    last_resort: frozenset[str] = frozenset()


def find_source(environ: Mapping[str, str], profile: str) -> KeySource:
    """Return the source to use: a Bedrock API key, keys of the environment, or a profile.

    In every AWS SDK, a Bedrock API key precedes all else, and the environment's keys precede a profile.
    """
    copy = dict(environ)
    files = config_files(environ)
    if environ.get("AWS_BEARER_TOKEN_BEDROCK"):
        return KeySource("bearer", environ=copy, requested=profile)
    if environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY"):
        return KeySource("environment", environ=copy, requested=profile)
    profiles, _, problem, _ = read_profiles(files)
    if problem is not None:
        return unusable_source(problem, environ, profile, files)
    if name := profile_to_use(profile, profiles, environ):
        return KeySource("profile", name, files=files, environ=copy, requested=profile, pinned=name == profile)
    if chains.of_container(environ) is not None:
        return KeySource("container", environ=copy, requested=profile)
    hint = f"aws configure sso --profile {quote(profile)}"
    if profile == "default" and profile in profiles:
        why = "there are no AWS keys in the environment, and profile default has no settings to get any"
    else:
        meant, edit = how_meant(profile, files, profiles)
        why = f"there are no AWS keys in the environment, and no profile {profile}{meant}"
        hint = edit or hint
    return KeySource("none", why=why, hint=hint, files=files, environ=copy, requested=profile)


def how_meant(profile: str, files: tuple[Path, ...], profiles: Sections) -> tuple[str, str]:
    """Return what may be wrong with a profile that does not exist, and the command that helps; "" if unknown.

    It is its name, or its section's header: [profile NAME] in the config file, [NAME] in the credentials file.
    """
    in_config = profile if profile == "default" else f"profile {_quoted(profile)}"
    for file, wanted in zip(files, (in_config, profile), strict=True):
        for section in ini.read_sections(file):
            if _named_in(section) == profile and section != wanted:
                why = f" ({file} has [{section}], which has to be [{wanted}])"
                return why, f"${{EDITOR:-vi}} {quote(str(file))}"
    return chains.did_you_mean(profile, profiles), ""


def _quoted(name: str) -> str:
    return f'"{name}"' if len(name.split()) > 1 else name


def _named_in(section: str) -> str:
    """Return the profile that a person means by a section, whether AWS's tools see it or not."""
    word, _, rest = section.strip().partition(" ")
    return (rest.strip() if word.lower() == "profile" and rest.strip() else section.strip()).strip("\"'")


def profile_to_use(profile: str, profiles: Sections, environ: Mapping[str, str]) -> str:
    """Return *profile* if it exists, else "default" if that has an account, else "".

    Many have a [default] with only a region or an output format: nobody wants Bedrock because of it.
    """
    if profile in profiles and profile != "default":
        return profile
    return "default" if "default" in profiles and chains.has_account(profiles["default"], environ) else ""


def unusable_source(
    problem: Problem, environ: Mapping[str, str], profile: str, files: tuple[Path, ...] = ()
) -> KeySource:
    """Return that there is no source because the AWS configuration is broken."""
    why = f"{problem.where} {problem.message}"
    return KeySource("none", profile, why, problem.hint, files, dict(environ), profile, unreadable=True)


def find_again(before: KeySource) -> KeySource:
    """Return the source to use now. If the requested profile was there and is gone, no other takes its place."""
    now = find_source(before.environ, before.requested)
    if not before.pinned or now.pinned:
        return now
    if now.unreadable:
        return replace(now, pinned=True)
    name = before.requested
    why = f"there is no longer a profile {name} in {before.files[0]}"
    if name in read_profiles(before.files).profiles:
        why = f"profile {name} no longer has settings to get keys in {before.files[0]}"
    return replace(now, kind="none", profile=name, why=why, hint=f"aws configure sso --profile {quote(name)}",
                   files=before.files, pinned=True)  # fmt: skip


def ca_bundle(environ: Mapping[str, str], profile: str) -> tuple[CaFile, ...]:
    """Return the certificate file that AWS's own tools would use for a profile, if one is configured."""
    if named := environ.get("AWS_CA_BUNDLE"):
        return (CaFile("environment AWS_CA_BUNDLE", named),)
    profiles = read_profiles(config_files(environ)).profiles if profile else {}
    for name in chains.source_profiles(profile, profiles):
        if named := profiles.get(name, {}).get("ca_bundle"):
            return (CaFile(f"profile {name}: ca_bundle", str(expanduser(named, environ))),)
    return ()


def with_credential_process(environ: Mapping[str, str], profile: str) -> str:
    """Return the profile, *profile* or one that it leads to, whose keys come from a credential_process, "" for none."""
    found = find_source(environ, profile)
    profiles = read_profiles(found.files).profiles if found.kind == "profile" else {}
    names = chains.source_profiles(found.profile, profiles)
    return next((name for name in names if "credential_process" in profiles.get(name, {})), "")


def config_files(environ: Mapping[str, str]) -> tuple[Path, Path]:
    """Return the SDK's two files, whether they exist or not."""
    return (
        _path(environ.get("AWS_CONFIG_FILE") or "~/.aws/config", environ),
        _path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials", environ),
    )


def _path(text: str, environ: Mapping[str, str]) -> Path:
    """Return a path as botocore takes it: with $NAME and ~, which a service manager leaves as they are."""
    return expanduser(_VARIABLE.sub(lambda found: environ.get(found[1] or found[2], found[0]), text), environ)


def read_profiles(files: tuple[Path, ...]) -> Profiles:
    """Return what the two files say. Raises nothing: whatever is wrong with them is in `problem`."""
    try:
        config, credentials = (ini.read_sections(file) for file in files)
    except ini.FileUnusable as error:
        return Profiles({}, {}, error.problem)
    named: dict[str, dict[str, str]] = {}
    sessions: dict[str, Section] = {}
    for section, values in config.items():
        if section.startswith("profile"):
            named |= {name: dict(values) for name in _second_word(section)}
        elif section.startswith("sso-session"):
            sessions |= dict.fromkeys(_second_word(section), values)
        elif section == "default":
            named[section] = dict(values)
    for name, values in credentials.items():
        named.setdefault(name, {}).update(values)
    last_resort = frozenset(name for name in named if static_keys.KEY_ID not in credentials.get(name, {}))
    return Profiles(named, sessions, last_resort=last_resort)


def _second_word(section: str) -> list[str]:
    """Return the name in `profile NAME` or `sso-session NAME`, by botocore's rules; nothing if there are other words.

    A name with blanks needs quotes: `[profile "my account"]`.
    """
    try:
        words = shlex.split(section)
    except ValueError:
        return []
    return words[1:] if len(words) == 2 else []


def file_versions(files: tuple[Path, ...]) -> tuple[tuple[int, int, int], ...]:
    """Return a value that differs if one of the files changed."""
    return tuple(_file_version(file) for file in files)


def _file_version(file: Path) -> tuple[int, int, int]:
    try:
        status = os.stat(file)
    except OSError:
        return 0, 0, 0
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino
