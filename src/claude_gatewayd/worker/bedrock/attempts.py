"""Asking a model at Bedrock, and asking again where that helps: with new keys, or without what it refuses."""

import asyncio
import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from claude_gatewayd.aws.keeper.keeper import Keeper
from claude_gatewayd.aws.keeper.rejections import KeyRejections
from claude_gatewayd.aws.keys import KeysUnavailable
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock import request as bedrock_request
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.bedrock.features import TABLE
from claude_gatewayd.bedrock.models import Target
from claude_gatewayd.bedrock.refused import SCHEMA, RefusedFeature, without
from claude_gatewayd.bedrock.refused import read as read_refusal
from claude_gatewayd.bedrock.request import BedrockRequest
from claude_gatewayd.worker.bedrock.learned import LearnedRefusals
from claude_gatewayd.worker.bedrock.transports import Transports
from claude_gatewayd.worker.relay.relay import Answer

logger = logging.getLogger(__name__)

_WHOLE_TIMEOUT: Final = 600.0
_MOST_CORRECTIONS: Final = 3  # of one request


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: Anthropic's request as *document*, with its header *beta*. A *large* one is handled in threads."""

    document: dict[str, Any]
    beta: str
    stream: bool
    large: bool


class BedrockAnswered(NamedTuple):
    """An answer with status 200. *schema* is what it has to fit, if a tool stands in for one."""

    answer: Answer
    schema: Mapping[str, object] | None
    transport: str


class BedrockAttempts:
    """Ask models at Bedrock. *timeout* is in seconds, for the first byte."""

    def __init__(self, transports: Transports, learned: LearnedRefusals, keeper: Keeper, timeout: float) -> None:
        self._transports = transports
        self._learned = learned
        self._keeper = keeper
        self._timeout = timeout

    async def ask(self, question: Question, target: Target) -> BedrockAnswered | BedrockFailure:
        """Ask a model; and again without what it refuses: these keys, the thinking, the schema, a feature."""
        document = question.document
        rejections = KeyRejections(self._keeper)
        transport = self._transports.current()
        refused = known = self._learned.by(target.model)
        has_thinking = True
        may_go_by_tool = TABLE[target.family].schema and bedrock_request.goes_by_tool(document)
        is_bound = SCHEMA not in known or not may_go_by_tool
        texts: list[str] = []  # of the refusals
        corrections = 0
        while True:
            if any(feature.kind == "thinking" for feature in refused):
                transport = self._transports.direct  # LiteLLM writes thinking as its own list of models has it
            is_direct = transport is self._transports.direct
            shape = functools.partial(
                _shape, document, question.beta, target, is_bound=is_bound, has_header_betas=is_direct
            )
            shaped = await asyncio.to_thread(shape, refused) if question.large else shape(refused)
            stream = question.stream and shaped.schema is None
            seconds = self._timeout if stream else max(self._timeout, _WHOLE_TIMEOUT)
            try:
                keys = await self._keeper.keys()  # those that LiteLLM will sign with, nearly always
            except KeysUnavailable as problem:
                return bedrock_errors.no_keys(problem, passing=problem.passing)
            answer = await transport.ask(shaped, target, keys, stream=stream, large=question.large, seconds=seconds)
            if not isinstance(answer, BedrockFailure):
                if texts:
                    self._learned.learn(target.model, refused[len(known) :], "; ".join(texts))
                return BedrockAnswered(answer, shaped.schema, transport.name)
            failure = answer
            named = _refused_by(failure, shaped, target, refused)
            more = [feature for feature in named if feature not in refused]
            if failure.kind == "EngineFailed" and not is_direct:
                logger.warning("LiteLLM does not answer (%s): asking Bedrock directly", failure.message)
                transport = self._transports.direct
            elif bedrock_errors.is_key_refused(failure):
                try:
                    again = await rejections.has_other_keys(keys, failure.message)
                except KeysUnavailable as problem:
                    return bedrock_errors.no_keys(problem, passing=problem.passing)
                if not again:
                    return failure._replace(hint=self._keeper.snapshot().hint)
                logger.info("Bedrock refuses the AWS keys (%s): asking once more with new ones", failure.kind)
            elif has_thinking and bedrock_errors.is_signature_failure(failure):
                logger.info("Bedrock refuses a signature of thinking: asking once more without the thinking")
                has_thinking, document = False, bedrock_request.without_thinking(document)
            elif is_bound and may_go_by_tool and bedrock_errors.is_schema_failure(failure):
                logger.info("Bedrock does not bind %s to a schema: asking once more with a tool", target.name)
                is_bound = False
                refused = (*refused, SCHEMA)
                texts.append(failure.message)
            elif named and not more and not is_direct:
                logger.info("LiteLLM sends what %s has refused: asking Bedrock directly", target.name)
                transport = self._transports.direct
            elif more and corrections < _MOST_CORRECTIONS:
                lesser = (*refused, *more)
                smaller = await asyncio.to_thread(shape, lesser) if question.large else shape(lesser)
                if smaller == shaped:  # the request has nothing of it
                    return failure
                logger.info("Bedrock refuses %s: asking once more without", ", ".join(str(feature) for feature in more))
                refused = lesser
                texts.append(failure.message)
                corrections += 1
            else:
                return failure


def _shape(
    document: dict[str, Any],
    beta: str,
    target: Target,
    refused: Sequence[RefusedFeature],
    *,
    is_bound: bool,
    has_header_betas: bool,
) -> BedrockRequest:
    """Shape a request for a model. LiteLLM cannot send betas in the header, so that none of them can be refused."""
    shaped = bedrock_request.shape(document, beta, target.family, bound=is_bound, refused=refused)
    return shaped if has_header_betas else replace(shaped, header_betas=())


def _refused_by(
    failure: BedrockFailure, shaped: BedrockRequest, target: Target, refused: Sequence[RefusedFeature]
) -> tuple[RefusedFeature, ...]:
    """Return what a failure names that a request can do without."""
    if failure.status != 400 or bedrock_errors.is_credential_failure(failure):
        return ()
    takes = without(TABLE[target.family], refused)
    return read_refusal(failure.message, takes, dict.fromkeys((*shaped.betas, *shaped.header_betas)))
