"""The file that keeps what AWS has listed: the newest list of each account and region. Pure."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from claude_gatewayd.bedrock.listing.profiles import MOST_PROFILES, InferenceProfile, Listing

LONGEST_STORED: Final = 512 * 1024  # bytes of the file
_MOST_STORED: Final = 8  # accounts and regions
_KEPT_FOR: Final = 30 * 86400.0


@dataclass(frozen=True, slots=True, eq=False)
class StoredListing:
    """A listing, *at* a time, as *account* has it in *region* at *url*; *source* is where its keys came from."""

    at: float
    account: str
    source: str
    region: str
    url: str
    listing: Listing

    def is_of(self, other: "StoredListing") -> bool:
        """Say whether it is for the same. Until STS was asked, the account is known by the source of its keys."""
        if (self.region, self.url) != (other.region, other.url):
            return False
        if self.account and other.account:
            return self.account == other.account
        return self.source == other.source


def read(text: bytes) -> list[StoredListing]:
    """Return what `content` has written. Raises ValueError."""
    try:
        document = json.loads(text)
        return [
            StoredListing(
                _time(one["at"]),
                _text(one["account"]),
                _text(one["source"]),
                _text(one["region"]),
                _text(one["url"]),
                Listing(
                    tuple(_read_profile(entry) for entry in one["profiles"][:MOST_PROFILES]),
                    {_text(arn): _text(base) for arn, base in one["applications"].items()},
                ),
            )
            for one in document["listings"][:_MOST_STORED]
        ]
    except (AttributeError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise ValueError(f"not a list of models: {type(error).__name__}") from None


def content(listings: Iterable[StoredListing], newest: StoredListing) -> bytes:
    """Return the content of a file: the *newest* listing, and those of before that are of something else."""
    others = [one for one in listings if not one.is_of(newest) and 0 <= newest.at - one.at < _KEPT_FOR]
    kept = [newest, *sorted(others, key=lambda one: -one.at)][:_MOST_STORED]
    return json.dumps({"listings": [_as_json(one) for one in kept]}).encode()


def is_usable(found: StoredListing, now: float) -> bool:
    """Say whether a listing still counts. A time in the future is from a clock that was wrong."""
    return 0 <= now - found.at < _KEPT_FOR


def _as_json(one: StoredListing) -> dict[str, Any]:
    return {
        "at": one.at,
        "account": one.account,
        "source": one.source,
        "region": one.region,
        "url": one.url,
        "profiles": [list(profile) for profile in one.listing.profiles],
        "applications": dict(one.listing.applications),
    }


def _read_profile(entry: Any) -> InferenceProfile:
    name, base, created = map(_text, entry)
    return InferenceProfile(name, base, created)


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError
    return raw


def _time(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise TypeError
    return float(raw)
