"""Asking Bedrock directly: its InvokeModel."""

import asyncio
from typing import Final

from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock import invoke
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.bedrock.models import Target
from claude_gatewayd.bedrock.request import BedrockRequest
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.http1.upstream.no_answer import is_page, why_no_answer
from claude_gatewayd.worker.bedrock.endpoint import BedrockEndpoint
from claude_gatewayd.worker.bedrock.transport import read_error, request_id
from claude_gatewayd.worker.relay.relay import Answer

_ERROR_WITHIN: Final = 5.0  # seconds, for the text of an error

# How a connection fails, by the names of `bedrock_errors`. All else breaks an answer off.
_KINDS: Final = {
    "offline": ("Unreachable", 503),
    "connect": ("Unreachable", 503),
    "tls": ("Unreachable", 503),
    "certificate": ("Certificate", 503),
    "proxy": ("Proxy", 503),
}


class DirectTransport:
    """Ask Bedrock's *runtime*."""

    name = "direct"

    def __init__(self, runtime: BedrockEndpoint) -> None:
        self._runtime = runtime

    def load(self) -> None:
        """Begin to load what the first request needs."""
        self._runtime.load()

    async def ask(
        self, request: BedrockRequest, target: Target, keys: AwsKeys, *, stream: bool, large: bool, seconds: float
    ) -> Answer | BedrockFailure:
        """See `BedrockTransport`."""
        path = invoke.path(target.model, stream=stream)
        body = await asyncio.to_thread(invoke.body, request) if large else invoke.body(request)
        lines = [b"Content-Type: application/json", b"Accept: application/json"]
        if request.header_betas:
            lines.append(b"anthropic-beta: " + ",".join(request.header_betas).encode())
        try:
            answer = await self._runtime.ask("POST", path, lines, body, keys, seconds=seconds)
        except UpstreamFailed as failed:
            return failure_of(failed)
        if answer.head.status != 200 or is_not_bedrocks(answer):
            return await read_failure(answer)
        if answer.head.fields.get(b"content-encoding").strip().lower() not in (b"", b"identity"):
            answer.abort()
            compressed = "its answer is compressed, which was not asked for"
            return BedrockFailure("", 502, compressed, request_id=request_id(answer.head))
        return answer


def is_not_bedrocks(answer: Answer) -> bool:
    """Say whether somebody else has answered, between us and Bedrock: with a page, a redirect, or nothing."""
    return is_page(answer.head.fields.get(b"content-type").decode("latin-1")) or bool(_why_no_answer(answer))


async def read_failure(answer: Answer) -> BedrockFailure:
    """Read an answer whose status is not 200, or that is a page."""
    body = await answer.start_of_body(_ERROR_WITHIN)
    why = _why_no_answer(answer)
    failure = BedrockFailure("", 502, why) if why else read_error(answer.head, body)
    return failure._replace(request_id=request_id(answer.head))


def _why_no_answer(answer: Answer) -> str:
    fields = answer.head.fields
    location = fields.get(b"location").decode("latin-1") if b"location" in fields else None
    return why_no_answer(answer.head.status, fields.get(b"content-type").decode("latin-1"), location, "")


def failure_of(failed: UpstreamFailed) -> BedrockFailure:
    """Return how an upstream failed, in Bedrock's terms."""
    if failed.kind == "timeout":
        return bedrock_errors.TIMEOUT if failed.asked else BedrockFailure("Unreachable", 503, failed.detail)
    kind, status = _KINDS.get(failed.kind, ("", 0))
    return BedrockFailure(kind, status, failed.detail, failed.hint) if kind else bedrock_errors.BROKEN
