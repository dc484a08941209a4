"""A request inside the gateway: its caller, its body, and the route that it takes.

Both are Structs and no dataclasses: they are made for each request, in a third of the time.
"""

import asyncio
import re
from typing import Any

import msgspec

from claude_gatewayd.anthropic.request import COUNT_TOKENS, MESSAGES, UNREADABLE, ParsedRequest
from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.http1.head import Lines
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.ledger.keys.named_key import NamedKey
from claude_gatewayd.worker.gateway.caller import Caller
from claude_gatewayd.worker.metering.meter import Meter
from claude_gatewayd.worker.relay.outgoing import KeptLines

_LARGE = 256 * 1024  # bytes: larger bodies are parsed and written in a thread
NO_RETRY = b"x-should-retry: false"
JSON = b"content-type: application/json"
NO_UPSTREAM: Lines = [b"x-gateway-upstream: none", b"x-gateway-fallback: none"]
_USUAL: Lines = [b"x-gateway-upstream: anthropic", b"x-gateway-fallback: none"]
_decoder = msgspec.json.Decoder()
_NOT_PLAIN = re.compile(r"[^ -~]")


class NotJson(Exception):
    """The body is not JSON."""


class Refused(Exception):
    """The gateway refuses a request itself: the status, the message and the header lines of its answer."""

    def __init__(self, status: int, message: str, *lines: bytes) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.lines = lines

    def anew(self) -> "Refused":
        """Return the same, never raised: each raise adds frames to an exception, which keep a request and its body."""
        return Refused(self.status, self.message, *self.lines)


class Route(msgspec.Struct):
    """The route of a request, as the headers of the answer report it.

    *upstream* answered; *fallback* is why it was not the first choice; *api_base* is where LiteLLM sent the request.
    *cause* is why Bedrock is asked in Anthropic's place, for the status; "" if it is not. *bedrock* is the transport by
    which it answered: "litellm" or "direct".

    The ledger has more of it: the *lane*, *why* there was a fallback in one of few words, the *model* at Bedrock, how
    often Anthropic was asked again, and the *meter* that reads the tokens of the answer. *refused_by_key* says why the
    caller's named key has no fallback, for the person who waits.
    """

    upstream: str = "anthropic"
    fallback: str = "none"
    api_base: str = ""
    cause: str = ""
    bedrock: str = ""
    lane: str = ""
    why: str = ""
    model: str = ""
    retries: int = 0
    refused_by_key: str = ""
    meter: Meter = msgspec.field(default_factory=Meter)

    @property
    def lines(self) -> Lines:
        """The header lines that report it."""
        if self.upstream == "anthropic" and self.fallback == "none" and not self.api_base:
            return _USUAL
        lines = [b"x-gateway-upstream: " + _plain(self.upstream), b"x-gateway-fallback: " + _plain(self.fallback)]
        if self.bedrock:
            lines.append(b"x-gateway-bedrock: " + self.bedrock.encode())
        if self.api_base:
            lines.append(b"x-litellm-model-api-base: " + _plain(self.api_base))
        return lines


class HeaderFacts(msgspec.Struct, frozen=True):
    """What the lanes need to know of a request's header lines; for all requests of a connection that have the same.

    *own_limits* are features with limits of their own, by the betas. *client_timeout* is the header's. *kept* are the
    lines as they are sent on.
    """

    own_limits: str
    client_timeout: bytes
    kept: KeptLines


class Call(msgspec.Struct):
    """A request. *body* is None if it has not been read; *document* is the parsed JSON, where that was needed.

    *parsed* are the fields of the body that decide the route; *model* is the model to route by: after an alias,
    without "[1m]". No upstream gets the *dropped_headers*. The *replaced_headers* are lines that take the place of the
    request's own. A request that LiteLLM makes for a caller shares the *route* of the caller's request, whose exchange
    is *asked_for*. *facts* are None where nobody has looked for them. *key* is the caller's named key.
    """

    exchange: Exchange
    caller: Caller
    path: bytes
    target: bytes
    digest: str = ""
    body: Bytes | None = None
    parsed: ParsedRequest = UNREADABLE
    model: str = ""
    document: dict[str, Any] | None = None
    dropped_headers: frozenset[bytes] = frozenset()
    replaced_headers: Lines = msgspec.field(default_factory=list)
    route: Route = msgspec.field(default_factory=Route)
    asked_for: Exchange | None = None
    facts: HeaderFacts | None = None
    key: NamedKey | None = None

    @property
    def from_caller(self) -> Exchange:
        """The exchange with the caller, also where LiteLLM makes the request."""
        return self.asked_for or self.exchange

    @property
    def is_large(self) -> bool:
        """Whether its body is one that is parsed, translated and written in a thread."""
        return self.body is not None and len(self.body) > _LARGE

    @property
    def beta(self) -> str:
        """Its header `anthropic-beta`, all lines of it."""
        return self.exchange.head.fields.all_of(b"anthropic-beta").decode("latin-1")

    @property
    def is_messages(self) -> bool:
        """Whether it asks for a message: only then there is a circuit, and a fallback that costs money."""
        return self.path == MESSAGES and self.exchange.head.method == b"POST"

    @property
    def is_count(self) -> bool:
        """Whether it asks how many tokens a message has: Bedrock may count, but no circuit counts it."""
        return self.path == COUNT_TOKENS and self.exchange.head.method == b"POST"


async def parse_json(call: Call) -> Any:
    """Return the parsed body; a large one is parsed in a thread. Raises NotJson."""
    body = call.body or b""
    try:
        return await asyncio.to_thread(_decoder.decode, body) if call.is_large else _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotJson from None


def _plain(text: str) -> bytes:
    """Make a text safe for a header: a caller's model name must not be able to add lines."""
    return _NOT_PLAIN.sub("?", text)[:200].encode()
