"""What Bedrock's control plane lists: which inference profiles there are, and the models behind them. Pure.

ListInferenceProfiles has those of AWS, for a region; GetInferenceProfile has one, such as an application's by its ARN.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import quote

MOST_PROFILES: Final = 1000
_PAGE: Final = 1000  # the most that AWS takes

_MODEL_ARN: Final = re.compile(r"arn:aws[a-z-]*:bedrock:[^:]*:[^:]*:foundation-model/([\w.:-]{1,140})\Z", re.ASCII)
_APPLICATION: Final = re.compile(
    r"arn:aws[a-z-]*:bedrock:[a-z0-9-]{0,20}:\d{0,12}:application-inference-profile/[\w.:-]{1,100}\Z", re.ASCII
)
_ID: Final = re.compile(r"[a-zA-Z0-9.:-]{1,64}\Z")
_TOKEN: Final = re.compile(r"[\x21-\x7e]{0,2048}\Z")


class NotAListing(ValueError):
    """What came is not what the control plane answers."""


class InferenceProfile(NamedTuple):
    """A profile of AWS's: its *id*, the *base* id of the model behind it, and when it was *created*, "" if unknown."""

    id: str
    base: str
    created: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """What was listed: AWS's own *profiles*, and by the ARN of an application's profile the base id behind it."""

    profiles: tuple[InferenceProfile, ...] = ()
    applications: Mapping[str, str] = field(default_factory=dict)


NOTHING: Final = Listing()


def is_application(name: str) -> bool:
    """Say whether a name is the ARN of an application inference profile."""
    return _APPLICATION.match(name) is not None


def list_target(token: str) -> str:
    """Return the target of a request for a page."""
    after = f"&nextToken={quote(token, safe='')}" if token else ""
    return f"/inference-profiles?maxResults={_PAGE}{after}&type=SYSTEM_DEFINED"


def get_target(arn: str) -> str:
    """Return the target of a request for one profile."""
    return f"/inference-profiles/{quote(arn, safe='')}"


def read_page(body: bytes) -> tuple[list[InferenceProfile], str]:
    """Return the profiles of a page, and the token of the next one, "" after the last. Raises NotAListing."""
    document = _document(body)
    summaries, token = document.get("inferenceProfileSummaries"), document.get("nextToken")
    if not isinstance(summaries, list):
        raise NotAListing("no list of inference profiles")
    if token is not None and not (isinstance(token, str) and _TOKEN.match(token)):
        raise NotAListing("a list whose token is none")
    profiles = (_profile(one) for one in summaries[:MOST_PROFILES])
    return [profile for profile in profiles if profile is not None], token or ""


def read_profile(body: bytes) -> str:
    """Return the base id of the model behind one profile. Raises NotAListing."""
    base = _base(_document(body))
    if not base:
        raise NotAListing("an inference profile without a model")
    return base


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise NotAListing("not JSON") from None
    if not isinstance(document, dict):
        raise NotAListing("not an object")
    return document


def _profile(summary: object) -> InferenceProfile | None:
    """Return a profile that can be used; None for any other, and for those of models that are not Anthropic's."""
    if not isinstance(summary, dict) or summary.get("status") != "ACTIVE":
        return None
    name, created, base = summary.get("inferenceProfileId"), summary.get("createdAt"), _base(summary)
    if not isinstance(name, str) or not _ID.match(name) or not base.startswith("anthropic."):
        return None
    return InferenceProfile(name, base, created if isinstance(created, str) and len(created) <= 40 else "")


def _base(summary: Mapping[str, Any]) -> str:
    """Return the base id of a profile's model. It has an ARN for each region, all of the same model."""
    models = summary.get("models")
    for model in models if isinstance(models, list) else ():
        arn = model.get("modelArn") if isinstance(model, dict) else None
        if isinstance(arn, str) and (found := _MODEL_ARN.match(arn)):
            return found[1]
    return ""
