"""Asking Bedrock through LiteLLM, which translates, signs and sends."""

import asyncio
from typing import Final

import msgspec

from claude_gatewayd.anthropic.request import MESSAGES
from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.bedrock.models import Target
from claude_gatewayd.bedrock.request import BedrockRequest
from claude_gatewayd.http1 import head
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.worker.bedrock.transport import request_id
from claude_gatewayd.worker.engine import Engine, middleware
from claude_gatewayd.worker.relay.outgoing import OutgoingRequest
from claude_gatewayd.worker.relay.relay import Answer, Relay

# LiteLLM is looked at while there is no answer. A loop that takes no turn for so long is blocked, not busy.
_LOOKS_EVERY: Final = 5.0
_RESPONDS_WITHIN: Final = 10.0

_encoder: Final = msgspec.json.Encoder()


class LiteLLMTransport:
    """Ask Bedrock through *engine*, over *relay*."""

    name = "litellm"

    def __init__(self, engine: Engine, relay: Relay) -> None:
        self._engine = engine
        self._relay = relay

    async def ask(
        self,
        request: BedrockRequest,
        target: Target,
        keys: AwsKeys,  # noqa: ARG002 - LiteLLM asks the keeper itself
        *,
        stream: bool,
        large: bool,
        seconds: float,
    ) -> Answer | BedrockFailure:
        """See `BedrockTransport`."""
        make = self._request
        outgoing = (
            await asyncio.to_thread(make, request, target, stream=stream)
            if large
            else make(request, target, stream=stream)
        )
        clock = asyncio.get_running_loop().time
        until, look, hangs = clock() + seconds, min(seconds / 2, _LOOKS_EVERY), False

        async def longer() -> float:
            nonlocal hangs
            if (left := until - clock()) <= 0:
                return 0.0
            hangs = not await self._engine.responds(min(left, _RESPONDS_WITHIN))
            return 0.0 if hangs else min(look, max(until - clock(), 0.0))

        try:
            answer = await self._relay.ask(None, outgoing, seconds=look, fresh=False, longer=longer)
        except UpstreamFailed as failed:
            if failed.kind == "timeout":
                hung = BedrockFailure("EngineFailed", 503, "its event loop is blocked")
                return hung if hangs else bedrock_errors.TIMEOUT
            return BedrockFailure("EngineFailed", 503, failed.detail) if failed.silent else bedrock_errors.BROKEN
        if answer.head.status == 200:
            return answer
        kept = await answer.keep()
        failure = bedrock_errors.read(answer.head.status, kept.body if kept is not None else b"")
        return failure._replace(request_id=request_id(answer.head))

    def _request(self, request: BedrockRequest, target: Target, *, stream: bool) -> OutgoingRequest:
        model, model_id = _litellm_model(target)
        body = _encoder.encode({"model": f"bedrock/{model}", "stream": stream, **request.body})
        lines = [
            b"Host: litellm",
            b"Authorization: " + self._engine.authorization,
            b"Content-Type: application/json",
            b"Content-Length: %d" % len(body),
            middleware.SPENDS,
        ]
        if model_id:
            lines.append(b"x-gateway-model-id: " + model_id.encode("ascii", "replace"))
        if request.betas:
            lines.append(b"anthropic-beta: " + ",".join(request.betas).encode())
        return OutgoingRequest(head.write_request(b"POST", MESSAGES, lines), body, False)


def _litellm_model(target: Target) -> tuple[str, str]:
    """Return the model to name to LiteLLM, and the id to send to Bedrock, "" if it is the same.

    LiteLLM chooses how to translate by the name: given an ARN, say, it would send another request.
    """
    if "claude" in target.behind:
        return target.behind, target.model
    if "claude" in target.model and not target.model.startswith("arn:"):
        return target.model, ""
    name = target.name if target.name.startswith("claude-") else bedrock_models.NAMES[-1]
    return f"anthropic.{name}", target.model
