"""Bedrock's lane: a request for a message, brought to what Bedrock takes, answered through LiteLLM."""

import asyncio
import functools
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.anthropic.request import MESSAGES
from claude_gatewayd.aws.keeper.keeper import Keeper
from claude_gatewayd.aws.keys import KeysUnavailable
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.bedrock import request as bedrock_request
from claude_gatewayd.bedrock import stream as bedrock_stream
from claude_gatewayd.bedrock import structured_output
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.bedrock.models import Target
from claude_gatewayd.bedrock.request import Shaped
from claude_gatewayd.http1 import head
from claude_gatewayd.http1.head import Lines, ResponseHead
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.worker.engine import Engine, EngineFailed, middleware
from claude_gatewayd.worker.gateway import message_threads
from claude_gatewayd.worker.gateway.call import JSON, LARGE, NO_RETRY, Call, NotJson, Refused, parse_json
from claude_gatewayd.worker.gateway.lanes.left_out import LeftOutFields
from claude_gatewayd.worker.relay.outgoing import OutgoingRequest
from claude_gatewayd.worker.relay.relay import Answer, Relay
from claude_gatewayd.worker.relay.rewriting import rewrite_stream
from claude_gatewayd.worker.tally import Tally

logger = logging.getLogger(__name__)

_LOADED_WITHIN = 60.0
_WHOLE = 32 * 1024 * 1024
_WHOLE_WITHIN = 600.0
_PING_AFTER = 10.0
_EVENTS = b"content-type: text/event-stream; charset=utf-8"
_REQUEST_ID = b"llm_provider-x-amzn-requestid"
_BROKEN = BedrockFailure("Broken", 502, "")
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class BedrockLaneSettings:
    """What Bedrock is asked by. *fallbacks* name the models to ask in the place of one, *timeout* is in seconds."""

    region: str
    geography: str
    models: Mapping[str, str]
    fallbacks: Mapping[str, Sequence[str]]
    timeout: float
    api_base: str


class BedrockLane:
    """Answer calls from Bedrock."""

    def __init__(
        self,
        settings: BedrockLaneSettings,
        engine: Engine,
        relay: Relay,
        keeper: Keeper,
        tally: Tally,
        look: Callable[[], Awaitable[UpstreamFailed | None]],
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._relay = relay
        self._keeper = keeper
        self._tally = tally
        self._look = look
        self._left_out = LeftOutFields("Bedrock", "the gateway does not know them")

    async def unsupported(self, call: Call) -> str | None:
        """Say why Bedrock cannot answer a call, whatever its state; None: it can. Reads the body, once."""
        if call.document is None:
            try:
                document = await parse_json(call)
            except NotJson:
                return "a body that is no JSON"
            if not isinstance(document, dict):
                return "a body that is no JSON object"
            call.document = document
        targets = self._targets(call)
        if not targets:
            return f"the model {call.model[:100]}"
        lacks = [await self._lacks(call, target) for target in targets]
        return None if None in lacks else lacks[0]

    async def _lacks(self, call: Call, target: Target) -> str | None:
        assert call.document is not None
        if call.body is not None and len(call.body) > LARGE:
            return await asyncio.to_thread(bedrock_request.why_not, call.document, target.family)
        return bedrock_request.why_not(call.document, target.family)

    async def answer(self, call: Call) -> int | BedrockFailure:
        """Answer a call of which `why_not` has said nothing. Return the status, or why there was no answer."""
        try:
            await self._keeper.keys()
            await self._engine.ready(_LOADED_WITHIN)
        except KeysUnavailable as problem:
            return self._failed(bedrock_errors.no_keys(problem, passing=problem.passing))
        except EngineFailed as problem:
            return self._failed(BedrockFailure("EngineFailed", 503, problem.message, problem.hint))
        assert call.document is not None
        if message_threads.is_partial(call.document):
            return message_threads.reply_unknown_thread(call, "Bedrock")
        self._left_out.report(call, bedrock_request.unknown_fields(call.document))
        said: int | BedrockFailure = BedrockFailure("", 404, "")
        targets = self._targets(call)
        for target in targets:
            if len(targets) > 1 and await self._lacks(call, target) is not None:
                continue
            said = await self._ask(call, target)
            if isinstance(said, int) or not bedrock_errors.is_worth_another_model(said):
                break
        return said if isinstance(said, int) else self._failed(await self._explained(said))

    async def serve(self, call: Call) -> int:
        """Answer a call that is for Bedrock, whatever comes of it. Raises Refused."""
        self._is_from_here(call)
        lacks = await self.unsupported(call)
        if lacks is not None:
            raise Refused(400, f"cannot ask Bedrock: it does not serve {lacks}", NO_RETRY, *call.route.lines)
        said = await self.answer(call)
        if isinstance(said, int):
            return said
        return self.reply_failure(call, said)

    def reply_failure(self, call: Call, trouble: BedrockFailure) -> int:
        """Answer a call with why Bedrock did not. Return the status."""
        self._is_from_here(call)
        meaning = bedrock_errors.error_reply(trouble)
        text = anthropic_errors.error_body(meaning.status, meaning.message)
        lines = [JSON, *meaning.lines, *call.route.lines]
        call.exchange.reply(meaning.status, anthropic_errors.reason(meaning.status), lines, text)
        return meaning.status

    def _targets(self, call: Call) -> list[Target]:
        settings = self._settings
        name = bedrock_models.bare(call.model)
        wanted = settings.fallbacks.get(call.model) or settings.fallbacks.get(name) or [call.model]
        found = (bedrock_models.find(model, settings.region, settings.geography, settings.models) for model in wanted)
        return [target for target in found if target is not None]

    async def _ask(self, call: Call, target: Target) -> int | BedrockFailure:
        """Ask; and once more where the keys or the thinking were refused, and there is something else to ask with."""
        assert call.document is not None
        document = call.document
        thinks = may_renew = was_first = bound = True
        beta = call.exchange.head.fields.all_of(b"anthropic-beta")
        large = call.body is not None and len(call.body) > LARGE
        while True:
            make = functools.partial(
                bedrock_request.shape, document, beta.decode("latin-1"), target.family, bound=bound
            )
            shaped = await asyncio.to_thread(make) if large else make()
            stream = bool(call.parsed.stream) and shaped.schema is None
            patience = self._settings.timeout if stream else max(self._settings.timeout, _WHOLE_WITHIN)
            if large:
                way = await asyncio.to_thread(self._outgoing, shaped, target, stream=stream)
            else:
                way = self._outgoing(shaped, target, stream=stream)
            try:
                keys = await self._keeper.keys()  # what LiteLLM is about to sign with, as good as always
                answer = await self._relay.ask(None, way, seconds=patience, fresh=False)
                if answer.head.status == 200:
                    if shaped.schema is not None:
                        return await self._tell_structured(call, answer, shaped.schema)
                    return await self._tell(call, answer)
                kept = await answer.keep()
            except KeysUnavailable as problem:
                return bedrock_errors.no_keys(problem, passing=problem.passing)
            except UpstreamFailed as failed:
                if failed.kind == "timeout":
                    return BedrockFailure("Timeout", 504, "")
                return (
                    BedrockFailure("EngineFailed", 503, failed.detail)
                    if failed.silent
                    else BedrockFailure("Broken", 502, "")
                )
            said = bedrock_errors.read(answer.head.status, kept.body if kept is not None else b"")
            if bedrock_errors.is_key_refused(said):
                try:
                    self._keeper.check_rejection(said.message)
                except KeysUnavailable as problem:
                    return bedrock_errors.no_keys(problem, passing=problem.passing)
                if was_first and self._keeper.has_other_keys_than(keys):
                    was_first = False  # these came while it was asked: which of them were refused, nobody knows
                    continue
                if not (may_renew and await self._keeper.renew_after_rejection(keys)):
                    return said._replace(hint=self._keeper.snapshot().hint)
                logger.info("Bedrock refuses the AWS keys (%s): asked once more with new ones", said.kind)
                may_renew = False
            elif thinks and bedrock_errors.is_signature_failure(said):
                logger.info("Bedrock refuses a signature of thinking: asked once more without the thinking")
                thinks, document = False, bedrock_request.without_thinking(document)
            elif bound and bedrock_errors.is_schema_failure(said) and bedrock_request.goes_by_tool(document):
                logger.info("Bedrock does not bind %s to a schema: asked once more by a tool", target.name)
                bound = False
            else:
                return said

    async def _explained(self, trouble: BedrockFailure) -> BedrockFailure:
        """Say who it is that stands between us and Bedrock, which LiteLLM does not tell: by a handshake."""
        if trouble.kind not in bedrock_errors.NOT_REACHED:
            return trouble
        failed = await self._look()
        return trouble if failed is None else trouble._replace(message=failed.detail, hint=failed.hint)

    def _outgoing(self, shaped: Shaped, target: Target, *, stream: bool) -> OutgoingRequest:
        model, model_id = _carried(target)
        body = _encoder.encode({"model": f"bedrock/{model}", "stream": stream, **shaped.body})
        lines = [
            b"Host: litellm",
            b"Authorization: " + self._engine.authorization,
            b"Content-Type: application/json",
            b"Content-Length: %d" % len(body),
            middleware.SPENDS,
        ]
        if model_id:
            lines.append(b"x-gateway-model-id: " + model_id.encode("ascii", "replace"))
        if shaped.betas:
            lines.append(b"anthropic-beta: " + ",".join(shaped.betas).encode())
        return OutgoingRequest(head.write_request(b"POST", MESSAGES, lines), body, False)

    async def _tell(self, call: Call, answer: Answer) -> int | BedrockFailure:
        """Send a good answer on, unless its stream begins with an error."""
        asked = call.parsed.model or call.model
        if not answer.is_stream:
            kept = await answer.keep(most=_WHOLE, within=_WHOLE_WITHIN)
            message = bedrock_stream.whole(kept.body, asked) if kept is not None and not call.parsed.stream else None
            if message is None:
                return _BROKEN
            self._succeeded(call)
            call.exchange.reply(200, b"OK", [JSON, *call.route.lines], message)
            return 200
        first = await answer.first_event(self._settings.timeout)
        if first.verdict == "waiting":
            answer.abort()
            return BedrockFailure("Timeout", 504, "")
        if first.verdict == "error":
            answer.abort()
            return bedrock_errors.read_event(first.data)
        if not call.parsed.stream or first.name not in (b"", b"message_start"):
            answer.abort()
            return _BROKEN
        self._succeeded(call)
        rewriter = bedrock_stream.Rewriter(asked)
        self._tally.stream_began()
        try:
            await rewrite_stream(
                answer,
                call.exchange,
                [_EVENTS, b"cache-control: no-cache", *_request_id(answer.head), *call.route.lines],
                rewriter,
                silence=self._settings.timeout,
                ping_after=_PING_AFTER,
            )
        finally:
            self._tally.stream_ended()
        if rewriter.failure is not None:
            self._failed(rewriter.failure)
        return 200

    async def _tell_structured(self, call: Call, answer: Answer, schema: Mapping[str, object]) -> int | BedrockFailure:
        """Send an answer on that a tool was called with, if it fits the schema that was asked for."""
        kept = await answer.keep(most=_WHOLE, within=_WHOLE_WITHIN)
        text = bedrock_stream.whole(kept.body, call.parsed.model or call.model) if kept is not None else None
        if text is None:
            return _BROKEN
        message = await asyncio.to_thread(structured_output.as_asked, msgspec.json.decode(text), schema)
        if message is None:
            return BedrockFailure("NotAsAsked", 502, "")
        self._succeeded(call)
        if call.parsed.stream:
            lines, told = [_EVENTS, b"cache-control: no-cache"], structured_output.events(message)
        else:
            lines, told = [JSON], _encoder.encode(message)
        call.exchange.reply(200, b"OK", [*lines, *call.route.lines], told)
        return 200

    def _is_from_here(self, call: Call) -> None:
        call.route.upstream = "bedrock"
        call.route.api_base = self._settings.api_base

    def _succeeded(self, call: Call) -> None:
        self._is_from_here(call)
        self._keeper.note_accepted()
        if call.route.cause:
            self._tally.fell_back((call.digest, call.model), call.route.cause)
        if self._tally.bedrock_ok():
            logger.info("Bedrock answers again")

    def _failed(self, trouble: BedrockFailure) -> BedrockFailure:
        if self._tally.bedrock_failed(bedrock_errors.describe(trouble)):
            logger.warning("Bedrock cannot answer: %s", bedrock_errors.describe(trouble))
        return trouble


def _request_id(answer: ResponseHead) -> Lines:
    """Return Bedrock's own id of a request, for whoever asks AWS about it. LiteLLM tells that of streams only."""
    named = answer.fields.get(_REQUEST_ID)
    return [b"request-id: " + named] if re.fullmatch(rb"[\w-]{1,64}", named) else []


def _carried(target: Target) -> tuple[str, str]:
    """Return the model that LiteLLM is told, and the id that it is to ask Bedrock for, "" where that is the same.

    By an id that does not say what it is, an ARN above all, LiteLLM would go another way, and change the request.
    """
    if "claude" in target.model and not target.model.startswith("arn:"):
        return target.model, ""
    name = target.name if target.name.startswith("claude-") else bedrock_models.NAMES[-1]
    return f"anthropic.{name}", target.model
