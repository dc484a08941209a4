"""Which Bedrock model answers for an Anthropic one: its id there, and its family. Pure: nothing is asked of AWS.

What AWS lists, where that is known, goes before the table and the rules.

A name has many forms: dated or not, "-latest", "[1m]" (Claude Code's mark for a long context), "-bedrock" (ours: to
Bedrock, whatever Anthropic can), or Bedrock's own. They all mean the model that the bare name is of.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

from claude_gatewayd.bedrock.listing.profiles import NOTHING, Listing

BEDROCK_SUFFIX: Final = "-bedrock"
GEOGRAPHIES: Final = ("us", "us-gov", "eu", "apac", "jp", "au", "global")


class Family(StrEnum):
    """Models of which Bedrock takes the same requests, from old to new. `bedrock` has what each of them takes."""

    CLAUDE_3 = "3"
    CLAUDE_3_7 = "3.7"
    CLAUDE_4 = "4"
    CLAUDE_4_5 = "4.5"
    HAIKU_4_5 = "haiku-4.5"
    CLAUDE_4_6 = "4.6"
    CLAUDE_4_7 = "4.7"
    CLAUDE_5 = "5"  # and Opus 4.8
    CLAUDE_5_1 = "5.1"  # and the 5.5 models, and what comes after


class _Row(NamedTuple):
    name: str
    bedrock: str
    geographies: str


# From the model map of LiteLLM 1.106.2; from old to new, as Claude Code 2.1.330 orders them.
_TABLE: Final = (
    _Row("claude-3-opus", "claude-3-opus-20240229-v1:0", "us eu"),
    _Row("claude-3-5-sonnet", "claude-3-5-sonnet-20240620-v1:0", "us eu"),
    _Row("claude-3-5-sonnet", "claude-3-5-sonnet-20241022-v2:0", "us eu"),
    _Row("claude-3-5-haiku", "claude-3-5-haiku-20241022-v1:0", "us eu"),
    _Row("claude-3-7-sonnet", "claude-3-7-sonnet-20250219-v1:0", "us eu"),
    _Row("claude-opus-4", "claude-opus-4-20250514-v1:0", "us eu"),
    _Row("claude-sonnet-4", "claude-sonnet-4-20250514-v1:0", "us eu apac global"),
    _Row("claude-opus-4-1", "claude-opus-4-1-20250805-v1:0", "us eu"),
    _Row("claude-sonnet-4-5", "claude-sonnet-4-5-20250929-v1:0", "us-gov us eu jp au global"),
    _Row("claude-haiku-4-5", "claude-haiku-4-5-20251001-v1:0", "us eu apac jp au global"),
    _Row("claude-opus-4-5", "claude-opus-4-5-20251101-v1:0", "us eu global"),
    _Row("claude-opus-4-6", "claude-opus-4-6-v1", "us eu au global"),
    _Row("claude-sonnet-4-6", "claude-sonnet-4-6", "us eu apac jp au global"),
    _Row("claude-mythos-preview", "claude-mythos-preview", "us apac au"),
    _Row("claude-opus-4-7", "claude-opus-4-7", "us eu apac jp au global"),
    _Row("claude-opus-4-8", "claude-opus-4-8", "us-gov us eu apac jp au global"),
    _Row("claude-mythos-5", "claude-mythos-5", "us"),
    _Row("claude-fable-5", "claude-fable-5", "us eu apac au global"),
    _Row("claude-sonnet-5", "claude-sonnet-5", "us-gov us eu apac jp au global"),
    _Row("claude-opus-5", "claude-opus-5", "us-gov us eu apac jp au global"),
    _Row("claude-mythos-5-1", "claude-mythos-5-1", "us global"),
    _Row("claude-fable-5-1", "claude-fable-5-1", "us-gov us eu global"),
    _Row("claude-opus-5-5", "claude-opus-5-5", "us-gov us eu apac jp au global"),
    _Row("claude-sonnet-5-5", "claude-sonnet-5-5", "us-gov us eu apac jp au global"),
    _Row("claude-haiku-5-5", "claude-haiku-5-5", "us-gov us eu apac jp au global"),
)
_VERSION = re.compile(r"-v\d+(?::\d+)?\Z", re.ASCII)
_BY_NAME: Final = {row.name: row for row in _TABLE} | {_VERSION.sub("", row.bedrock): row for row in _TABLE}

NAMES: Final = tuple(dict.fromkeys(row.name for row in _TABLE))
ALIASES: Final = {
    alias: max((name for name in NAMES if name.startswith(f"{alias}-")), key=NAMES.index)
    for alias in ("claude-haiku", "claude-sonnet", "claude-opus")
}

_MARK = re.compile(r"(?:\[1m\]|-bedrock)+\Z")
_NATIVE = re.compile(rf"\A(?:(?:(?:{'|'.join(GEOGRAPHIES)})\.)?anthropic\.|arn:)", re.ASCII)
_DATE = re.compile(r"-(?:20\d{6}|latest)\Z", re.ASCII)
_SPELLED = re.compile(r"claude-[a-z0-9.-]{1,100}\Z", re.ASCII)
_NUMBERS = re.compile(r"claude-(?:[a-z]+-)?v?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)", re.ASCII)
_SINCE: Final = (
    ((5, 1), Family.CLAUDE_5_1),
    ((4, 8), Family.CLAUDE_5),
    ((4, 7), Family.CLAUDE_4_7),
    ((4, 6), Family.CLAUDE_4_6),
    ((4, 5), Family.CLAUDE_4_5),
    ((4, 0), Family.CLAUDE_4),
    ((3, 7), Family.CLAUDE_3_7),
    ((0, 0), Family.CLAUDE_3),
)


# The person's own entry in [bedrock.models], what AWS lists, the table, the rules, or the id that was asked for.
Origin = Literal["own", "live", "table", "rule", "asked"]


@dataclass(frozen=True, slots=True)
class Target:
    """What to ask of Bedrock: *model* is an id or an ARN there, *name* the Anthropic name that it answers for.

    *found* is how it was found; *behind* is the id of the model behind an application's ARN, where AWS has named it.
    """

    name: str
    model: str
    family: Family
    found: Origin = field(default="table", compare=False)
    behind: str = field(default="", compare=False)


def priced(target: Target) -> str:
    """Return the name of a model that prices and sums go by: an ARN says nothing, and has an account's number."""
    name = target.behind or target.model
    return target.name.rpartition("/")[2] if name.startswith("arn:") else name


def bare(asked: str) -> str:
    """Return a name without the marks at its end, an alias as the newest model that we know of."""
    name = _MARK.sub("", asked)
    return ALIASES.get(name, name)


def without_marks(asked: str) -> str:
    """Return a name without the marks at its end, otherwise as it is."""
    return _MARK.sub("", asked)


def geography_of(asked: str) -> str:
    """Return the geography that a profile of Bedrock's has in its id, "" for any other name."""
    prefix, dot, rest = asked.partition(".")
    return prefix if dot and prefix in GEOGRAPHIES and rest.startswith("anthropic.") else ""


def is_bedrock_only(asked: str) -> bool:
    """Say whether a name asks for Bedrock, whatever Anthropic can."""
    if BEDROCK_SUFFIX not in asked and "anthropic." not in asked and not asked.startswith("arn:"):
        return False  # nearly always, without a search
    marks = _MARK.search(asked)
    return is_native(asked) or (marks is not None and BEDROCK_SUFFIX in marks[0])


def is_native(asked: str) -> bool:
    """Say whether a name is Bedrock's own, an id or an ARN, as settings for Bedrock have it."""
    return _NATIVE.match(asked) is not None


def is_reserved(name: str) -> bool:
    """Say whether a name is the gateway's own: no model of a person's may take it."""
    return name.startswith("claude-") or "*" in name or "bedrock/" in name or is_bedrock_only(name)


def is_claude(asked: str) -> bool:
    """Say whether a name is spelled as Anthropic spells them, marks aside."""
    return _SPELLED.match(_MARK.sub("", asked)) is not None


def called(asked: str) -> str:
    """Bring any form of a name, Bedrock's ids too, to the one that a model is called by: no date, no version."""
    name = _MARK.sub("", asked).rpartition("/")[2]
    name = _DATE.sub("", _VERSION.sub("", _NATIVE.sub("", name)))
    return ALIASES.get(name, name.removesuffix("-0") if name.endswith("-4-0") else name)


def find(
    asked: str,
    region: str,
    geography: str = "auto",
    overrides: Mapping[str, str] | None = None,
    listed: Listing = NOTHING,
) -> Target | None:
    """Find the Bedrock model for a name; None: it is no name of Anthropic's.

    *overrides* is `[bedrock.models]`. It goes before all else, by the name as it is asked for and then by any form
    of it, and gives an id, an ARN, or another name of Anthropic's. Then comes what AWS has *listed*, then the table. A
    name that both lack is spelled by the rules, so that a new model works before anybody knows it.
    """
    name, given = called(asked), _MARK.sub("", asked)
    # What "claude-opus" means changes with the next Opus: its override is for that name alone.
    by_name = {called(key): value for key, value in (overrides or {}).items() if _MARK.sub("", key) not in ALIASES}
    own = (overrides or {}).get(given) or by_name.get(name)
    if own is not None:
        there = find(own, region, geography, listed=listed) or Target(name, own, family_of(name))
        is_known = "claude" in own or own in listed.applications
        return Target(name, there.model, there.family if is_known else family_of(name), "own", there.behind)
    if _NATIVE.match(given):
        base = listed.applications.get(given, "")
        return Target(called(base) if base else name, given, family_of(base or given), "asked", base)
    if (live := _listed(given, name, region, geography, listed)) is not None:
        return Target(name, live, family_of(name), "live")
    row = _BY_NAME.get(given) or _BY_NAME.get(name)
    if row is not None:
        usable = row.geographies.split()
        prefixes = [p for p in _prefixes(region, geography) if p in usable or p == geography]
        return Target(row.name, ".".join((*prefixes[:1], "anthropic", row.bedrock)), family_of(row.name), "table")
    spelled = _by_rule(given, name)
    if spelled is None:
        return None
    return Target(name, f"{_prefixes(region, geography)[0]}.anthropic.{spelled}", family_of(name), "rule")


def known(region: str, geography: str, overrides: Mapping[str, str], listed: Listing) -> list[Target]:
    """Return all models that are known: the person's own, then the newest first. An own one has the name of its entry.

    Those that only AWS knows are newer than the table.
    """
    found = []
    own = {}
    for given in (_MARK.sub("", key) for key in overrides):
        if (target := find(given, region, geography, overrides, listed)) is not None:
            own[given] = replace(target, name=given)
    new = sorted(set(_by_name(listed)) - set(NAMES), reverse=True)
    for name in (*new, *reversed(NAMES)):
        target = find(name, region, geography, overrides, listed)
        if target is not None and target.found != "own":
            found.append(target)
    return [*own.values(), *found]


def servable(targets: Sequence[Target], listed: Listing) -> list[Target]:
    """Return those that Bedrock can be expected to serve: where AWS has listed its models, no others."""
    return [target for target in targets if target.found in ("own", "live")] if listed.profiles else list(targets)


def as_row(target: Target) -> dict[str, Any]:
    """Return a model for `claude-gatewayctl models`."""
    return {"name": target.name, "model": target.model, "found": target.found}


def public_id(target: Target) -> str:
    """Return the id that Anthropic has for a model: with its date, where Bedrock's has one."""
    base = target.model.partition("anthropic.")[2] if target.found != "own" else ""
    return _VERSION.sub("", base) or target.name


def family_of(name: str) -> Family:
    """Return the family of any name or id. What has no number that we know is taken for the newest."""
    found = _NUMBERS.search(name)
    if found is None:
        return Family.CLAUDE_4_6 if "mythos-preview" in name else Family.CLAUDE_5_1
    version = int(found[1]), int(found[2] or 0)
    if version == (4, 5) and "haiku" in name:
        return Family.HAIKU_4_5
    return next(family for since, family in _SINCE if version >= since)


@lru_cache(maxsize=4)
def _by_name(listed: Listing) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Return what is listed by the name of the model: the ids of its profiles, by the model's base id."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for profile in listed.profiles:
        if (name := called(profile.base)).startswith("claude-"):
            of_name = found.setdefault(name, {})
            of_name[profile.base] = (*of_name.get(profile.base, ()), profile.id)
    return found


def _listed(given: str, name: str, region: str, geography: str, listed: Listing) -> str | None:
    """Return the id of the nearest profile that is listed for a model; None where there is none."""
    bases = _by_name(listed).get(name, {})
    dated = {_VERSION.sub("", base.removeprefix("anthropic.")): base for base in bases}
    base = dated.get(given) or (max(bases, default="") if given not in _BY_NAME or given == name else "")
    by_prefix = {profile.partition("anthropic.")[0].rstrip("."): profile for profile in bases.get(base, ())}
    if geography != "auto":
        return by_prefix.get(geography)
    near = [prefix for prefix in _prefixes(region, geography) if prefix != "global"]
    wider = sorted(prefix for prefix in by_prefix if prefix != "global")  # AWS lists what can be used from the region
    return next((by_prefix[prefix] for prefix in (*near, *wider, "global") if prefix in by_prefix), None)


def _by_rule(given: str, name: str) -> str | None:
    """Spell the base id of a model that the table lacks: with date and version up to 4.5, bare from then on."""
    if not _SPELLED.match(given):
        return None
    if family_of(name) in (Family.CLAUDE_4_6, Family.CLAUDE_4_7, Family.CLAUDE_5, Family.CLAUDE_5_1):
        return name
    return f"{given}-v1:0" if given != name and not given.endswith("-latest") else None


def _prefixes(region: str, geography: str) -> tuple[str, ...]:
    """Return the prefixes for a region, the preferred one first: near the person, then anywhere."""
    if geography != "auto":
        return (geography,)
    if region.startswith("us-gov-"):
        return ("us-gov",)
    nearer = {"ap-northeast-1": "jp", "ap-northeast-3": "jp", "ap-southeast-2": "au", "ap-southeast-4": "au"}
    wide = {"us": "us", "eu": "eu", "ap": "apac"}.get(region.partition("-")[0])
    return tuple(p for p in (nearer.get(region), wide, "global") if p)
