"""What the gateway answers itself: the proof of who it is, metrics, whose a key is, health checks; and refusals.

Only refusals are counted.
"""

from typing import TYPE_CHECKING, Final

from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.ipc import proof
from claude_gatewayd.worker.gateway.call import JSON, NO_RETRY, NO_UPSTREAM, Refused
from claude_gatewayd.worker.gateway.caller import SEND_KEY
from claude_gatewayd.worker.gateway.guard import Rejection
from claude_gatewayd.worker.gateway.introduction import Introduction
from claude_gatewayd.worker.gateway.keys import own_page
from claude_gatewayd.worker.gateway.keys.own_page import KeyPage
from claude_gatewayd.worker.gateway.lanes import bedrock_mode
from claude_gatewayd.worker.gateway.lanes.litellm import ROUTES
from claude_gatewayd.worker.metrics.metrics import PATH as METRICS
from claude_gatewayd.worker.metrics.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LIVE: Final = b"/healthz"
READY: Final = b"/readyz"
PATHS: Final = frozenset((proof.PATH, METRICS, LIVE, READY, own_page.PATH))


class OwnPages:
    """Answer by path. *key* is the gateway's; with *open_metrics* nobody needs it to see the metrics."""

    def __init__(self, key: str, metrics: Metrics, key_page: KeyPage, *, open_metrics: bool) -> None:
        self._key = key
        self._metrics = metrics
        self._open_metrics = open_metrics
        self._is_leaving = False
        self._pages: dict[bytes, Callable[[Exchange, Introduction], Awaitable[None]]] = {
            proof.PATH: self._prove,
            METRICS: self._show_metrics,
            own_page.PATH: key_page.show,
        }

    def leave(self) -> None:
        """Have load balancers send new requests elsewhere.

        Not so while a generation gives way to another: a balancer knows no generations, and the port serves on.
        """
        self._is_leaving = True

    async def answer(
        self, exchange: Exchange, path: bytes, introduction: Introduction, rejection: Rejection | None
    ) -> int:
        """Answer a request for one of PATHS. Return 0: it is not counted. Raises Refused.

        *rejection* is the guard's. Health checks are answered in spite of it: a kubelet's Host is the address of a pod,
        and there is nothing in the answer to be stolen.
        """
        if path in (LIVE, READY):
            is_well = path == LIVE or not self._is_leaving
            status, reason, text = (200, b"OK", b"ok\n") if is_well else (503, b"Service Unavailable", b"leaving\n")
            exchange.reply(status, reason, [b"content-type: text/plain", *NO_UPSTREAM], text)
            return 0
        if rejection is not None:
            raise refused_by_guard(rejection)
        await self._pages[path](exchange, introduction)
        return 0

    async def _prove(self, exchange: Exchange, _: Introduction) -> None:
        """Prove to whoever asks that this is the gateway of whom the key belongs to."""
        challenge = exchange.head.fields.get(proof.CHALLENGE, b"")
        proven = proof.answer(self._key, challenge, exchange.connection.ends[1])
        if not proven:
            raise Refused(400, "cannot prove anything: x-gateway-challenge must be 32 bytes in hexadecimal", NO_RETRY)
        exchange.reply(200, b"OK", [proof.PROOF + b": " + proven, *NO_UPSTREAM], b"")

    async def _show_metrics(self, exchange: Exchange, introduction: Introduction) -> None:
        """Answer with the metrics. Raises Refused if the key is required, and missing."""
        if not self._open_metrics and not introduction.caller.has_key:
            raise Refused(401, f"cannot show metrics: the gateway key is missing or wrong; {SEND_KEY}", NO_RETRY)
        try:
            page = await self._metrics.page(exchange.head.fields.all_of(b"accept").decode("latin-1"))
        except GatewayError as problem:
            raise Refused(503, f"{problem.message}; run: {problem.hint}", NO_RETRY) from None
        exchange.reply(200, b"OK", [b"content-type: " + page.content_type.encode(), *NO_UPSTREAM], page.body)


def refused_by_guard(rejection: Rejection) -> Refused:
    """Return the refusal of a request that the guard rejects."""
    return Refused(rejection.status, rejection.message, NO_RETRY)


def error(path: bytes, refused: Refused) -> tuple[list[bytes], bytes]:
    """Return the header lines and the body of an error, in the envelope that the clients of a path expect."""
    lines = [JSON, *refused.lines]
    if path in ROUTES:
        return lines, anthropic_errors.openai_error_body(refused.status, refused.message)
    if path.startswith(bedrock_mode.PREFIX):
        more, body = bedrock_errors.as_aws(refused.status, refused.message)
        return [*lines, *more], body
    return lines, anthropic_errors.error_body(refused.status, refused.message)


def no_credential() -> Refused:
    """Return the refusal of a request that has none."""
    hint = "log in with `claude` and /login, or set ANTHROPIC_API_KEY"
    return Refused(401, f"cannot serve: the request has no credential for Anthropic; {hint}", NO_RETRY)
