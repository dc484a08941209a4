"""One of Bedrock's endpoints: requests are signed here, and sent over the relay's own connections."""

import asyncio
from functools import partial
from typing import Final

from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.errors import describe_exception
from claude_gatewayd.http1 import head
from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.http1.head import Lines
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.network.connect import Origin
from claude_gatewayd.worker.bedrock import signing
from claude_gatewayd.worker.relay.outgoing import OutgoingRequest
from claude_gatewayd.worker.relay.relay import Answer, Relay

_LARGE: Final = 256 * 1024  # bytes that are not hashed on the event loop


class BedrockEndpoint:
    """Bedrock's runtime, or its control plane, at *url* in *region*."""

    def __init__(self, url: str, region: str, relay: Relay) -> None:
        self._origin = Origin.of(url)
        self._host = self._origin.authority.decode()
        self._region = region
        self._relay = relay
        self._base = url.rstrip("/")
        self._loading: asyncio.Task[str] | None = None

    def load(self) -> asyncio.Task[str]:
        """Begin to import what signs requests, unless that has begun. Return what ends with it: why not, or ""."""
        if self._loading is None:
            self._loading = asyncio.create_task(_load())
        return self._loading

    async def ask(
        self, method: str, target: str, lines: Lines, body: Bytes, keys: AwsKeys, *, seconds: float
    ) -> Answer:
        """Sign a request, and return its answer, whatever its status, when the head has been received.

        *target* is the path, percent-encoded, with its query; *lines* are header lines besides those of signature, host
        and length. Raises UpstreamFailed.
        """
        if why := await asyncio.shield(self.load()):  # a client that goes away takes it from nobody else
            self._loading = None
            detail = f"botocore, which signs requests, cannot be loaded: {why}"
            raise UpstreamFailed("connect", detail, hint="claude-gatewayctl upgrade")
        sign = partial(signing.signature, keys, self._region, method, self._base + target, self._host, body)
        signed = await asyncio.to_thread(sign) if len(body) > _LARGE else sign()
        lines = [b"Host: " + self._origin.authority, *lines, *signed]
        if body or method != "GET":
            lines.append(b"Content-Length: %d" % len(body))
        written = head.write_request(method.encode(), self._origin.prefix + target.encode(), lines)
        request = OutgoingRequest(written, body, False)
        try:
            return await self._relay.ask(None, request, seconds=seconds, fresh=False)
        except UpstreamFailed as failed:
            if failed.kind == "offline":
                why, hint = bedrock_errors.name_not_resolved(self._origin.host, failed.detail)
                raise UpstreamFailed("offline", why, hint=hint) from None
            if not failed.stale:
                raise
        return await self._relay.ask(None, request, seconds=seconds, fresh=True)


async def _load() -> str:
    try:
        await asyncio.to_thread(signing.load)
    except Exception as error:  # a broken installation, or one that was replaced under this process
        return describe_exception(error)
    return ""
