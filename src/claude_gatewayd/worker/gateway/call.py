"""One request on its way through the gateway: who asks for what, and what the answer will tell about its way."""

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from claude_gatewayd.anthropic.request import MESSAGES, UNREADABLE, Asked
from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.http1.head import Lines
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.worker.gateway.caller import Caller

LARGE = 256 * 1024  # bytes of a body: beyond it, reading and writing JSON take milliseconds, and not on the loop
NO_RETRY = b"x-should-retry: false"
JSON = b"content-type: application/json"
_USUAL: Lines = [b"x-gateway-upstream: anthropic", b"x-gateway-fallback: none"]
_decoder = msgspec.json.Decoder()
_NOT_PLAIN = re.compile(r"[^ -~]")


class NotJson(Exception):
    """A body that was to be read is no JSON."""


class Refused(Exception):
    """A request that goes no further: the answer it gets, and the header lines that come with it."""

    def __init__(self, status: int, message: str, *lines: bytes) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.lines = lines


@dataclass(slots=True)
class Route:
    """What an answer tells of its way: who answered, what was fallen back from, and where LiteLLM asked.

    *cause* is why Bedrock is asked in Anthropic's place, for the person; "" where it is not.
    """

    upstream: str = "anthropic"
    fallback: str = "none"
    api_base: str = ""
    cause: str = ""

    @property
    def lines(self) -> Lines:
        """The header lines that tell it."""
        if self.upstream == "anthropic" and self.fallback == "none" and not self.api_base:
            return _USUAL
        lines = [b"x-gateway-upstream: " + _plain(self.upstream), b"x-gateway-fallback: " + _plain(self.fallback)]
        if self.api_base:
            lines.append(b"x-litellm-model-api-base: " + _plain(self.api_base))
        return lines


@dataclass(slots=True)
class Call:
    """A request. *held* is its body where that was read, *document* that body parsed where that was needed.

    *asked* is what the body asks for as it came, *model* the name that counts: after an alias, without "[1m]".
    Where LiteLLM made it, for a caller of whom it knows nothing but a ticket, the lines of *instead* stand in for the
    request's own, and it shares its *way* with the caller's request. *not_upstream* are headers for no upstream.
    """

    exchange: Exchange
    caller: Caller
    path: bytes
    target: bytes
    digest: str = ""
    body: Bytes | None = None
    parsed: Asked = UNREADABLE
    model: str = ""
    document: dict[str, Any] | None = None
    dropped_headers: frozenset[bytes] = frozenset()
    replaced_headers: Lines = field(default_factory=list)
    route: Route = field(default_factory=Route)

    @property
    def is_messages(self) -> bool:
        """Say whether it is one for a message: what fallback and circuit are for."""
        return self.path == MESSAGES and self.exchange.head.method == b"POST"


async def parse_json(call: Call) -> Any:
    """Return a held body as what its JSON says, off the loop where that takes long. Raises NotJson."""
    held = call.body or b""
    try:
        return await asyncio.to_thread(_decoder.decode, held) if len(held) > LARGE else _decoder.decode(held)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotJson from None


def _plain(text: str) -> bytes:
    """Return what can stand in a header: a name that a caller made up is no way to write lines of its own."""
    return _NOT_PLAIN.sub("?", text)[:200].encode()
