"""The control plane of the fake Bedrock: ListInferenceProfiles, in pages, and GetInferenceProfile."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from tests.fakes.anthropic_model import Answer, json_answer
from tests.fakes.bedrock_model import ACCOUNT
from tests.fakes.bedrock_models import Model
from tests.fakes.bedrock_sigv4 import Refusal

PROFILES: Final = "/inference-profiles"
_CREATED: Final = "2026-10-01T00:00:00Z"
_TAKEN: Final = frozenset(("maxResults", "nextToken", "type"))


class ControlRefusedError(Exception):
    """The control plane would refuse this."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def serve(target: str, models: Mapping[str, Model], *, region: str, page: int) -> Answer | None:
    """Answer a GET; None: it is for no operation of the control plane's. Raises ControlRefusedError."""
    parts = urlsplit(target)
    if parts.path == PROFILES:
        return _list(parts.query, models, region=region, page=page)
    if parts.path.startswith(f"{PROFILES}/"):
        name = unquote(parts.path.removeprefix(f"{PROFILES}/"))
        if parts.path != f"{PROFILES}/{quote(name, safe='')}":
            raise _invalid("the identifier is not encoded as one part of the path")
        if name not in models or not _is_profile(name):
            raise ControlRefusedError(Refusal("ResourceNotFoundException", "Could not find the inference profile."))
        return json_answer(_summary(name, models[name], region))
    return None


def _list(query: str, models: Mapping[str, Model], *, region: str, page: int) -> Answer:
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    given = dict(pairs)
    if len(given) != len(pairs) or not given.keys() <= _TAKEN:
        raise _invalid(f"the query {query!r}")
    kind = given.get("type", "")
    most = given.get("maxResults", "1000")
    if kind not in ("", "SYSTEM_DEFINED", "APPLICATION") or not most.isdecimal() or not 1 <= int(most) <= 1000:
        raise _invalid("1 validation error detected")
    token = given.get("nextToken", "page/0==")
    if not (token.startswith("page/") and token.endswith("==")):
        raise _invalid("The pagination token is invalid.")
    begin = int(token.removeprefix("page/").removesuffix("=="))
    names = [name for name in models if _is_profile(name) and kind in ("", _type(name))]
    end = begin + min(int(most), page)
    answer: dict[str, Any] = {
        "inferenceProfileSummaries": [_summary(name, models[name], region) for name in names[begin:end]]
    }
    if end < len(names):
        answer["nextToken"] = f"page/{end}=="
    return json_answer(answer)


def _is_profile(name: str) -> bool:
    return name.startswith("arn:") or not name.startswith("anthropic.")


def _type(name: str) -> str:
    return "APPLICATION" if name.startswith("arn:") else "SYSTEM_DEFINED"


def _summary(name: str, model: Model, region: str) -> dict[str, Any]:
    """Return a profile as the service writes it: an ARN of its model for each region that it leads to."""
    regions = (region, "us-east-2") if _type(name) == "SYSTEM_DEFINED" else (region,)
    arn = name if name.startswith("arn:") else f"arn:aws:bedrock:{region}:{ACCOUNT}:inference-profile/{name}"
    return {
        "createdAt": _CREATED,
        "description": "Routes requests.",
        "inferenceProfileArn": arn,
        "inferenceProfileId": arn.rpartition("/")[2],
        "inferenceProfileName": f"{name[:2].upper()} Anthropic Claude",
        "models": [{"modelArn": f"arn:aws:bedrock:{one}::foundation-model/{model.base}"} for one in regions],
        "status": "ACTIVE",
        "type": _type(name),
        "updatedAt": _CREATED,
    }


def _invalid(what: str) -> ControlRefusedError:
    return ControlRefusedError(Refusal("ValidationException", what))
