"""Bedrock's lane: a request for a message is translated to what Bedrock accepts, and answered by it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.aws.keeper.keeper import Keeper
from claude_gatewayd.aws.keys import KeysUnavailable
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.bedrock import request as bedrock_request
from claude_gatewayd.bedrock import stream as bedrock_stream
from claude_gatewayd.bedrock import structured_output
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.bedrock.models import Target
from claude_gatewayd.http1.head import Lines
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.worker.bedrock.attempts import BedrockAttempts
from claude_gatewayd.worker.bedrock.correction import Question
from claude_gatewayd.worker.bedrock.counting import BedrockCounting
from claude_gatewayd.worker.bedrock.transport import WHOLE_TIMEOUT, request_id
from claude_gatewayd.worker.bedrock.unseen import UnseenAnswers
from claude_gatewayd.worker.gateway import message_threads
from claude_gatewayd.worker.gateway.call import JSON, NO_RETRY, Call, NotJson, Refused, parse_json
from claude_gatewayd.worker.gateway.lanes.left_out import LeftOutFields
from claude_gatewayd.worker.models.catalog import ModelCatalog
from claude_gatewayd.worker.relay.relay import Answer
from claude_gatewayd.worker.relay.rewriting import rewrite_stream
from claude_gatewayd.worker.tally import Tally

_LONGEST_WHOLE = 32 * 1024 * 1024  # bytes of an answer that is no stream
_PING_AFTER = 10.0
_EVENTS = b"content-type: text/event-stream; charset=utf-8"
_encoder = msgspec.json.Encoder()


class BedrockLaneSettings(NamedTuple):
    """The lane's settings. *fallbacks* lists the models to ask in place of one; *timeout* is in seconds."""

    fallbacks: Mapping[str, Sequence[str]]
    timeout: float
    api_base: str


class BedrockLane:
    """Answer calls from Bedrock. *diagnose* tries a connection, and returns why there is none."""

    def __init__(
        self,
        settings: BedrockLaneSettings,
        attempts: BedrockAttempts,
        counting: BedrockCounting,
        catalog: ModelCatalog,
        keeper: Keeper,
        tally: Tally,
        diagnose: Callable[[], Awaitable[UpstreamFailed | None]],
        unseen: UnseenAnswers,
    ) -> None:
        self._settings = settings
        self._attempts = attempts
        self._counting = counting
        self._catalog = catalog
        self._keeper = keeper
        self._tally = tally
        self._diagnose = diagnose
        self._unseen = unseen
        self._left_out = LeftOutFields("Bedrock", "the gateway does not know them")

    async def unsupported(self, call: Call) -> str | None:
        """Return what Bedrock does not serve of a call, in whatever state it is; None if it serves all of it."""
        if call.document is None:
            try:
                document = await parse_json(call)
            except NotJson:
                return "a body that is not JSON"
            if not isinstance(document, dict):
                return "a body that is not a JSON object"
            call.document = document
        targets = self._targets(call)
        if not targets:
            return f"the model {call.model[:100]}"
        found = [await self._unsupported_by(call, target) for target in targets]
        return None if None in found else found[0]

    async def _unsupported_by(self, call: Call, target: Target) -> str | None:
        assert call.document is not None
        if call.is_large:
            return await asyncio.to_thread(bedrock_request.unsupported, call.document, target.family)
        return bedrock_request.unsupported(call.document, target.family)

    async def answer(self, call: Call) -> int | BedrockFailure:
        """Answer a call for which `unsupported` is None. Return the status, or why there is no answer."""
        try:
            await self._keeper.keys()
        except KeysUnavailable as problem:
            return self._failed(bedrock_errors.no_keys(problem, passing=problem.passing))
        assert call.document is not None
        if message_threads.is_partial(call.document):
            return message_threads.reply_unknown_thread(call, "Bedrock")
        self._left_out.report(call, bedrock_request.unknown_fields(call.document))
        answered: int | BedrockFailure = BedrockFailure("", 404, "")
        targets = self._targets(call)
        for target in targets:
            if len(targets) > 1 and await self._unsupported_by(call, target) is not None:
                continue
            answered = await self._ask(call, target)
            if not isinstance(answered, int):
                answered = self._catalog.with_step(target, answered)
            if isinstance(answered, int) or not bedrock_errors.is_worth_another_model(answered):
                break
        return answered if isinstance(answered, int) else self._failed(await self._explain(answered))

    async def serve(self, call: Call) -> int:
        """Answer a call that nobody but Bedrock may answer. Raises Refused."""
        self._set_route(call)
        unsupported = await self.unsupported(call)
        if unsupported is not None:
            raise Refused(400, f"cannot ask Bedrock: it does not serve {unsupported}", NO_RETRY, *call.route.lines)
        answered = await self.answer(call)
        return answered if isinstance(answered, int) else self.reply_failure(call, answered)

    async def count(self, call: Call) -> int:
        """Answer a call that counts tokens. Return the status. Raises Refused: then Claude Code estimates."""
        self._set_route(call)
        unsupported = await self.unsupported(call)
        if unsupported is not None:
            raise cannot_count(call, f"it does not serve {unsupported}")
        assert call.document is not None
        target = self._targets(call)[0]
        counted = await self._counting.count(call.document, call.beta, target, large=call.is_large)
        if isinstance(counted, str):
            raise cannot_count(call, counted)
        self._keeper.note_accepted()
        call.route.bedrock, call.route.model = "direct", bedrock_models.priced(target)
        call.exchange.reply(200, b"OK", [JSON, *call.route.lines], _encoder.encode({"input_tokens": counted}))
        return 200

    def reply_failure(self, call: Call, failure: BedrockFailure) -> int:
        """Answer a call with Bedrock's failure. Return the status."""
        self._set_route(call)
        call.route.bedrock = failure.transport
        reply = bedrock_errors.error_reply(failure)
        text = anthropic_errors.error_body(reply.status, reply.message)
        lines = [JSON, *reply.lines, *_request_id(failure.request_id), *call.route.lines]
        call.exchange.reply(reply.status, anthropic_errors.reason(reply.status), lines, text)
        return reply.status

    def _targets(self, call: Call) -> list[Target]:
        settings = self._settings
        name = bedrock_models.bare(call.model)
        wanted = settings.fallbacks.get(call.model) or settings.fallbacks.get(name) or [call.model]
        found = (self._catalog.find(model) for model in wanted)
        return [target for target in found if target is not None]

    async def _ask(self, call: Call, target: Target) -> int | BedrockFailure:
        assert call.document is not None
        self._catalog.want(target)
        question = Question(call.document, call.beta, bool(call.parsed.stream), call.is_large)
        answered = await self._attempts.ask(question, target)
        if isinstance(answered, BedrockFailure):
            return answered
        call.route.bedrock, call.route.model = answered.transport, bedrock_models.priced(target)
        self._catalog.note_answer(target.model)
        found = request_id(answered.answer.head)
        try:
            if answered.schema is not None:
                replied = await self._reply_structured(call, answered.answer, answered.schema, found)
            else:
                replied = await self._reply(call, answered.answer, found)
        except UpstreamFailed as failed:
            replied = bedrock_errors.TIMEOUT if failed.kind == "timeout" else bedrock_errors.BROKEN
        if isinstance(replied, int):
            return replied
        return replied._replace(request_id=found, transport=answered.transport)

    async def _explain(self, failure: BedrockFailure) -> BedrockFailure:
        """Find out by a handshake what stands between us and Bedrock: LiteLLM does not report it."""
        if failure.kind not in bedrock_errors.NOT_REACHED:
            return failure
        cause = await self._diagnose()
        return failure if cause is None else failure._replace(message=cause.detail, hint=cause.hint)

    async def _reply(self, call: Call, answer: Answer, found: str) -> int | BedrockFailure:
        """Pass a successful answer on, unless its stream begins with an error."""
        model = call.parsed.model or call.model
        if not answer.is_stream:
            kept = await answer.keep(most=_LONGEST_WHOLE, within=WHOLE_TIMEOUT)
            message = (
                bedrock_stream.rewrite_message(kept.body, model)
                if kept is not None and not call.parsed.stream
                else None
            )
            if message is None:
                return bedrock_errors.BROKEN
            self._succeeded(call)
            call.route.meter.see_whole(message)
            call.exchange.reply(200, b"OK", [JSON, *_request_id(found), *call.route.lines], message)
            return 200
        first = await answer.first_event(self._settings.timeout)
        if first.verdict == "waiting":
            answer.abort()
            return bedrock_errors.TIMEOUT
        if first.verdict == "error":
            answer.abort()
            return bedrock_errors.read_event(first.data)
        if not call.parsed.stream or first.name not in (b"", b"message_start"):
            answer.abort()
            return bedrock_errors.BROKEN
        self._succeeded(call)
        rewriter = bedrock_stream.BedrockRewriter(model)
        self._tally.stream_began()
        try:
            await rewrite_stream(
                answer,
                call.exchange,
                [_EVENTS, b"cache-control: no-cache", *_request_id(found), *call.route.lines],
                rewriter,
                meter=call.route.meter,
                silence=self._settings.timeout,
                ping_after=_PING_AFTER,
            )
        finally:
            self._tally.stream_ended()
        if rewriter.failure is not None:
            self._failed(rewriter.failure)
        return 200

    async def _reply_structured(
        self, call: Call, answer: Answer, schema: Mapping[str, object], found: str
    ) -> int | BedrockFailure:
        """Pass on the input of the tool that stands for a schema, if it fits the schema of the request."""
        kept = await answer.keep(most=_LONGEST_WHOLE, within=WHOLE_TIMEOUT)
        text = bedrock_stream.rewrite_message(kept.body, call.parsed.model or call.model) if kept is not None else None
        if text is None:
            return bedrock_errors.BROKEN
        call.route.meter.see_whole(text)
        message = await asyncio.to_thread(structured_output.as_asked, msgspec.json.decode(text), schema)
        if message is None:
            return BedrockFailure("NotAsAsked", 502, "")
        self._succeeded(call)
        if call.parsed.stream:
            lines, body = [_EVENTS, b"cache-control: no-cache"], structured_output.events(message)
        else:
            lines, body = [JSON], _encoder.encode(message)
        call.exchange.reply(200, b"OK", [*lines, *_request_id(found), *call.route.lines], body)
        return 200

    def _set_route(self, call: Call) -> None:
        call.route.upstream = "bedrock"
        call.route.api_base = self._settings.api_base

    def _succeeded(self, call: Call) -> None:
        self._set_route(call)
        self._keeper.note_accepted()
        if call.route.bedrock != "litellm":
            self._unseen.count()
        if call.route.cause:
            self._tally.fell_back((call.digest, call.model), call.route.cause)
        self._tally.bedrock_ok()

    def _failed(self, failure: BedrockFailure) -> BedrockFailure:
        if not bedrock_errors.is_of_request(failure):
            self._tally.bedrock_failed(bedrock_errors.describe(failure))
        elif failure.request_id:  # else LiteLLM has refused it, and Bedrock was not asked
            self._keeper.note_accepted()
            self._tally.bedrock_refused(bedrock_errors.describe(failure))
        return failure


def cannot_count(call: Call, why: str) -> Refused:
    """Return the answer to a count of tokens that nobody can make."""
    return Refused(501, f"cannot count tokens at Bedrock: {why}", NO_RETRY, *call.route.lines)


def _request_id(found: str) -> Lines:
    return [b"request-id: " + found.encode()] if found else []
