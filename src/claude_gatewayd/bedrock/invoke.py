"""Bedrock's InvokeModel: the path and the body of a request, as Claude Code sends them in Bedrock mode. Pure."""

from typing import Final
from urllib.parse import quote

import msgspec

from claude_gatewayd.bedrock.request import BedrockRequest

VERSION: Final = "bedrock-2023-05-31"
_encoder: Final = msgspec.json.Encoder()


def path(model: str, *, stream: bool) -> str:
    """Return the path for a model's id or ARN, percent-encoded as AWS's SDKs do it."""
    operation = "invoke-with-response-stream" if stream else "invoke"
    return f"/model/{quote(model, safe='')}/{operation}"


def body(request: BedrockRequest) -> bytes:
    """Return the body."""
    betas = {"anthropic_beta": request.betas} if request.betas else {}
    return _encoder.encode({**request.body, **betas, "anthropic_version": VERSION})
