"""LiteLLM's lane: the routes in OpenAI's format, and the models of the person's own LiteLLM configuration.

LiteLLM never has a caller's credential, and decides nothing: a request for one of Claude's models comes back to this
worker with a ticket, and is handled there like any other.
"""

from typing import Any, NamedTuple

import msgspec

from claude_gatewayd.anthropic import context_length
from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.anthropic.request import COUNT_TOKENS, MESSAGES
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.http1 import content_coding, head
from claude_gatewayd.http1.head import HOP_BY_HOP, Lines
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.worker.engine import Engine, EngineFailed, middleware
from claude_gatewayd.worker.gateway import message_threads
from claude_gatewayd.worker.gateway.authorization import Authorization
from claude_gatewayd.worker.gateway.call import JSON, NO_RETRY, Call, NotJson, Refused, parse_json
from claude_gatewayd.worker.gateway.lanes import body_fields
from claude_gatewayd.worker.gateway.lanes.left_out import LeftOutFields
from claude_gatewayd.worker.gateway.tickets import Tickets
from claude_gatewayd.worker.relay.outgoing import OutgoingRequest
from claude_gatewayd.worker.relay.relay import Answer, Relay
from claude_gatewayd.worker.relay.rewriting import Passthrough, rewrite_stream

ROUTES = frozenset(route.encode() for route in middleware.OPENAI_ROUTES)
TICKET = b"x-gateway-ticket"

_LOAD_TIMEOUT = 60.0
_PING_AFTER = 10.0
_MOST_REPORTED = 20
_NOT_LISTED = "allow one by allowed_openai_params of the model, in the file of [litellm] config"
_FORWARDED = (b"accept", b"anthropic-version", b"anthropic-beta")
_NOT_RETURNED = HOP_BY_HOP | frozenset(
    (
        b"x-litellm-model-api-base",
        b"x-gateway-upstream",
        b"x-gateway-fallback",
        b"server",
        b"vary",
        b"access-control-allow-origin",
        b"access-control-allow-credentials",
        b"access-control-expose-headers",
    )
)

_ABOUT_BODY = frozenset((b"content-type", b"content-length", b"content-encoding", b"transfer-encoding"))


class LiteLLMLaneSettings(NamedTuple):
    """The lane's settings. *response_timeout* is in seconds."""

    response_timeout: float


class LiteLLMLane:
    """Answer calls through LiteLLM's own routes."""

    def __init__(
        self,
        settings: LiteLLMLaneSettings,
        engine: Engine,
        relay: Relay,
        authorization: Authorization,
        tickets: Tickets,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._relay = relay
        self._authorization = authorization
        self._tickets = tickets
        self._left_out = LeftOutFields("LiteLLM", _NOT_LISTED)

    def may_serve(self, call: Call) -> bool:
        """Whether a call may be for a model of the person's own: of nearly all it is clear at once."""
        return self._engine.has_config and bool(call.model) and not bedrock_models.is_reserved(call.model)

    async def serves(self, call: Call) -> bool:
        """Whether a call is for a model of the person's own. Waits until LiteLLM has read the configuration."""
        if not self.may_serve(call):
            return False
        try:
            await self._engine.ready(_LOAD_TIMEOUT)
        except EngineFailed:
            if self._engine.state != "ready":  # where it hangs, the configuration is known
                return True  # `answer` reports it; the request is not for Anthropic
        return call.model in self._engine.model_names

    async def answer(self, call: Call) -> int:
        """Answer a call. Raises Refused."""
        call.route.upstream = "litellm"
        if call.path == COUNT_TOKENS:
            raise Refused(501, "cannot count tokens for a model of [litellm] config", NO_RETRY, *call.route.lines)
        document = await self._document(call)
        try:
            await self._engine.ready(_LOAD_TIMEOUT)
        except EngineFailed as problem:
            hint = f" ({problem.hint})" if problem.hint else ""
            raise Refused(
                503, f"cannot serve: {problem.message}{hint}", b"retry-after: 10", *call.route.lines
            ) from None
        is_own_model = call.model in self._engine.model_names
        if is_own_model:
            await self._authorization.require(call)  # the person pays for it, not the caller
            if call.path == MESSAGES and call.document is not None and message_threads.is_partial(call.document):
                return message_threads.reply_unknown_thread(call, call.model[:100])
        elif not bedrock_models.is_claude(call.model):  # given several, by commas, LiteLLM would ask each
            raise Refused(404, _unknown(call.model, self._engine.model_names), NO_RETRY, *call.route.lines)
        body, left_out = self._body(call, document)
        ticket = self._tickets.issue(call)
        try:
            answer = await self._relay.ask(
                call.exchange,
                self._request(call, body, ticket, spends=is_own_model),
                seconds=self._settings.response_timeout,
                fresh=False,
            )
        except UpstreamFailed as failed:
            raise Refused(502, f"cannot serve: LiteLLM {failed.detail}", *call.route.lines) from None
        finally:
            self._tickets.recall(ticket)
        self._left_out.report(call, body_fields.to_report(call.path, left_out)[:_MOST_REPORTED])
        if is_own_model and not call.route.api_base:
            call.route.api_base = answer.head.fields.get(b"x-litellm-model-api-base").decode("latin-1")
        if answer.head.status >= 400:
            return await _pass_error_on(
                call, answer, nobody_asked=not is_own_model and call.route.upstream == "litellm"
            )
        if call.path == MESSAGES and answer.is_stream:
            return await self._pass_messages_on(call, answer)
        await answer.pass_on(
            call.exchange,
            call.route.lines,
            meter=call.route.meter,
            drop=_NOT_RETURNED,
            silence=self._settings.response_timeout,
            watched=False,
        )
        return answer.head.status

    async def _pass_messages_on(self, call: Call, answer: Answer) -> int:
        """Pass on a stream of messages: as an error if it begins with one, and with one at the end if it breaks off."""
        silence = self._settings.response_timeout
        try:
            first = await answer.first_event(silence)
        except UpstreamFailed as failed:
            raise Refused(502, f"cannot serve: {call.model} failed: {failed.detail}", *call.route.lines) from None
        if first.verdict == "waiting":
            answer.abort()
            raise Refused(504, f"cannot serve: {call.model} sent nothing in time", *call.route.lines)
        lines = [*answer.head.without(_NOT_RETURNED | _ABOUT_BODY), *call.route.lines]
        if first.verdict == "error":
            answer.abort()
            failure = bedrock_errors.read_event(first.data)
            status, body = _as_anthropic_error(failure.status, first.data)
            call.exchange.reply(status, anthropic_errors.reason(status), [JSON, *lines], body)
            return status
        lines.append(b"content-type: text/event-stream; charset=utf-8")
        await rewrite_stream(
            answer,
            call.exchange,
            lines,
            Passthrough(call.model),
            meter=call.route.meter,
            silence=silence,
            ping_after=_PING_AFTER,
        )
        return 200

    async def _document(self, call: Call) -> dict[str, Any]:
        """Return the body as an object that names a model. Raises Refused."""
        try:
            document = await parse_json(call)
        except NotJson:
            raise Refused(400, "cannot read the request: its body is not JSON", NO_RETRY, *call.route.lines) from None
        if not isinstance(document, dict) or not isinstance(document.get("model"), str):
            raise Refused(400, 'cannot read the request: its body names no "model"', NO_RETRY, *call.route.lines)
        if not isinstance(document.get("stream"), bool | None):
            message = 'cannot read the request: its "stream" is neither true nor false'
            raise Refused(400, message, NO_RETRY, *call.route.lines)
        if call.model:
            document["model"] = call.model  # an alias has another name
        call.document = document
        return document

    def _body(self, call: Call, document: dict[str, Any]) -> tuple[bytes, list[str]]:
        """Return the body for LiteLLM, and the names of the fields that are left out of it."""
        allowed = body_fields.allowed(call.path, self._engine.allowed_fields(call.model))
        sent = {name: value for name, value in document.items() if name in allowed}
        return msgspec.json.encode(sent), [name for name in document if name not in allowed]

    def _request(self, call: Call, body: bytes, ticket: bytes, *, spends: bool) -> OutgoingRequest:
        fields = call.exchange.head.fields
        lines: Lines = [
            b"Host: litellm",
            b"Authorization: " + self._engine.authorization,
            b"Content-Type: application/json",  # whatever the caller's is named: it is written anew
        ]
        lines += [name + b": " + fields[name] for name in _FORWARDED if name in fields]
        lines += [TICKET + b": " + ticket, b"Content-Length: %d" % len(body)]
        lines.append(b"x-gateway-caller: " + (call.digest or "key").encode())
        if spends:
            lines.append(middleware.SPENDS)
        return OutgoingRequest(head.write_request(b"POST", call.path, lines), body, False)


async def _pass_error_on(call: Call, answer: Answer, *, nobody_asked: bool) -> int:
    """Pass on an error, in the envelope that the client's SDK expects: LiteLLM and its server have others, too.

    If *nobody_asked*, LiteLLM could not translate the request. It answers 500 to some that are malformed, and clients
    would retry those.
    """
    kept = await answer.keep()
    status, body = answer.head.status, b""
    if kept is not None:
        coding = b"" if kept.plain else answer.head.fields.get(b"content-encoding")
        body = content_coding.decoded(coding, kept.body)
    lines = [*answer.head.without(_NOT_RETURNED | _ABOUT_BODY), JSON, *call.route.lines]
    if nobody_asked and status == 500:
        status, body = 400, anthropic_errors.openai_error_body(400, anthropic_errors.message_of(status, body))
        lines.append(NO_RETRY)
    if call.path == MESSAGES:
        status, body = _as_anthropic_error(status, body)
    else:
        body = anthropic_errors.as_openai_error(status, body)
    call.exchange.reply(status, anthropic_errors.reason(status), lines, body)
    return status


def _as_anthropic_error(status: int, body: bytes) -> tuple[int, bytes]:
    """Return an error in Anthropic's envelope. If the request is too long, it is worded as Claude Code knows it."""
    message = anthropic_errors.message_of(status, body)
    length = context_length.for_claude_code(message) if status in (400, 413, 422, 500) else None
    if length is not None:
        return 400, anthropic_errors.error_body(400, length)
    return status, anthropic_errors.error_body(status, message)


def _unknown(model: str, names: frozenset[str]) -> str:
    known = ", ".join(sorted(names)[:20])
    own = f"; [litellm] config has {known}" if known else "; [litellm] config may name more"
    return f"cannot serve the model {model[:100]!r}: known are claude-*, claude-*-bedrock{own}"
