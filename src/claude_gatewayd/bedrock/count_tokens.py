"""Bedrock's CountTokens: the model that it takes, its path and body, and its answer. Pure."""

import base64
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from claude_gatewayd.bedrock import invoke
from claude_gatewayd.bedrock.features import CLAUDE_CODE
from claude_gatewayd.bedrock.models import GEOGRAPHIES, Family
from claude_gatewayd.bedrock.refused import RefusedFeature
from claude_gatewayd.bedrock.request import BedrockRequest, shape

_FOUNDATION: Final = re.compile(
    r"(?:arn:aws[a-z-]*:bedrock:[a-z0-9-]*:\d*:(?:foundation-model|inference-profile)/)?"
    rf"(?:(?:{'|'.join(GEOGRAPHIES)})\.)?(anthropic\.[\w.:-]{{1,200}})\Z",
    re.ASCII,
)
_encoder: Final = msgspec.json.Encoder()


class _Counted(msgspec.Struct, frozen=True):
    tokens: int = msgspec.field(name="inputTokens")


_decoder: Final = msgspec.json.Decoder(_Counted)


def foundation_model(model: str) -> str | None:
    """Return the id of the foundation model that an id or ARN names; None for an application inference profile.

    CountTokens takes no profile: "The provided model doesn't support counting tokens."
    """
    found = _FOUNDATION.match(model)
    return found[1] if found is not None else None


def path(foundation: str) -> str:
    """Return the path for a foundation model's id, percent-encoded as AWS's SDKs do it."""
    return f"/model/{quote(foundation, safe='')}/count-tokens"


def body(
    document: Mapping[str, Any], beta: str | None, family: Family, refused: Iterable[RefusedFeature] = ()
) -> bytes:
    """Return the body that counts Anthropic's request *document*, with its header *beta*.

    Of the betas, only the one that Claude Code itself sends Bedrock on a count goes along (CC 4.2, 4.3), and what only
    the others allow is left out. `max_tokens`, which a count has not, is above any thinking's budget.
    """
    asked = [name.strip() for name in (beta or "").split(",")]
    shaped = shape(
        {**document, "max_tokens": sys.maxsize}, CLAUDE_CODE if CLAUDE_CODE in asked else None, family, refused=refused
    )
    budget = shaped.body.get("thinking", {}).get("budget_tokens")
    most = budget + 1 if type(budget) is int else 1
    request = BedrockRequest({**shaped.body, "max_tokens": most}, (*shaped.header_betas, *shaped.betas))
    inner = base64.b64encode(invoke.body(request)).decode()
    return _encoder.encode({"input": {"invokeModel": {"body": inner}}})


def read(answer: bytes) -> int | None:
    """Return how many tokens an answer counts; None if it is none of CountTokens'."""
    try:
        return _decoder.decode(answer).tokens
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
