"""Asking Bedrock directly: its InvokeModel, signed here, over the relay's own connections."""

import asyncio
from typing import Final

from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock import invoke
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.bedrock.models import Target
from claude_gatewayd.bedrock.request import BedrockRequest
from claude_gatewayd.http1 import head
from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.http1.head import Lines
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.network.connect import Origin
from claude_gatewayd.worker.bedrock import signing
from claude_gatewayd.worker.relay.outgoing import OutgoingRequest
from claude_gatewayd.worker.relay.relay import Answer, Relay

_LARGE: Final = 256 * 1024  # bytes that are not hashed on the event loop
# How a connection fails, by the names of `bedrock_errors`. All else breaks an answer off.
_KINDS: Final = {
    "offline": ("Unreachable", 503),
    "connect": ("Unreachable", 503),
    "tls": ("Unreachable", 503),
    "certificate": ("Certificate", 503),
    "proxy": ("Proxy", 503),
}


class DirectTransport:
    """Ask Bedrock's runtime endpoint at *url*, over *relay*."""

    name = "direct"

    def __init__(self, url: str, region: str, relay: Relay) -> None:
        self._origin = Origin.of(url)
        self._region = region
        self._relay = relay
        self._base = url.rstrip("/")
        self._loading: asyncio.Task[None] | None = None

    def load(self) -> asyncio.Task[None]:
        """Begin to import what signs requests, unless that has begun. Return what ends with it."""
        if self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(signing.load))
        return self._loading

    async def ask(
        self, request: BedrockRequest, target: Target, keys: AwsKeys, *, stream: bool, large: bool, seconds: float
    ) -> Answer | BedrockFailure:
        """See `BedrockTransport`."""
        path = invoke.path(target.model, stream=stream)
        body = await asyncio.to_thread(invoke.body, request) if large else invoke.body(request)
        lines: Lines = [b"Content-Type: application/json", b"Accept: application/json"]
        if request.header_betas:
            lines.append(b"anthropic-beta: " + ",".join(request.header_betas).encode())
        return await self.send("POST", path, lines, body, keys, seconds=seconds)

    async def send(
        self, method: str, path: str, lines: Lines, body: Bytes, keys: AwsKeys, *, seconds: float
    ) -> Answer | BedrockFailure:
        """Sign a request and send it. Return its answer with status 200, or why there is none."""
        await self.load()
        sign, url = signing.signature, self._base + path
        signed = (
            await asyncio.to_thread(sign, keys, self._region, method, url, body)
            if len(body) > _LARGE
            else sign(keys, self._region, method, url, body)
        )
        lines = [b"Host: " + self._origin.authority, *lines, b"Content-Length: %d" % len(body), *signed]
        written = head.write_request(method.encode(), self._origin.prefix + path.encode(), lines)
        request = OutgoingRequest(written, body, False)
        try:
            try:
                answer = await self._relay.ask(None, request, seconds=seconds, fresh=False)
            except UpstreamFailed as failed:
                if not failed.stale:
                    raise
                answer = await self._relay.ask(None, request, seconds=seconds, fresh=True)
        except UpstreamFailed as failed:
            return _failure(failed)
        if answer.head.status == 200:
            return answer
        kept = await answer.keep()
        error_type = answer.head.fields.get(b"x-amzn-errortype")
        return bedrock_errors.of_answer(answer.head.status, error_type, kept.body if kept is not None else b"")


def _failure(failed: UpstreamFailed) -> BedrockFailure:
    """Return how an upstream failed, in Bedrock's terms."""
    if failed.kind == "timeout":
        return bedrock_errors.TIMEOUT if failed.asked else BedrockFailure("Unreachable", 503, failed.detail)
    kind, status = _KINDS.get(failed.kind, ("", 0))
    return BedrockFailure(kind, status, failed.detail, failed.hint) if kind else bedrock_errors.BROKEN
