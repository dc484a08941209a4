"""Asking a model at Bedrock, and asking again where that helps: with new keys, or without what it refuses."""

import asyncio
import logging
from collections.abc import Mapping
from typing import NamedTuple

from claude_gatewayd.aws.keeper.keeper import Keeper
from claude_gatewayd.aws.keeper.rejections import KeyRejections
from claude_gatewayd.aws.keys import KeysUnavailable
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.bedrock.models import Target
from claude_gatewayd.bedrock.request import BedrockRequest
from claude_gatewayd.worker.bedrock.correction import BedrockAttempt, Question, correct
from claude_gatewayd.worker.bedrock.learned import LearnedRefusals
from claude_gatewayd.worker.bedrock.transport import WHOLE_TIMEOUT
from claude_gatewayd.worker.bedrock.transports import Transports
from claude_gatewayd.worker.relay.relay import Answer

logger = logging.getLogger(__name__)


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
        rejections = KeyRejections(self._keeper)
        direct, chosen, known = self._transports.direct, self._transports.current(), self._learned.by(target.model)
        attempt = BedrockAttempt.first(question, target, known, through_litellm=chosen is not direct)
        shaped = await _shape(attempt)
        texts: list[str] = []  # of the refusals
        while True:
            transport = direct if attempt.is_direct else chosen
            stream = question.stream and shaped.schema is None
            seconds = self._timeout if stream else max(self._timeout, WHOLE_TIMEOUT)
            try:
                keys = await self._keeper.keys()  # those that LiteLLM will sign with, nearly always
                answer = await transport.ask(shaped, target, keys, stream=stream, large=question.large, seconds=seconds)
                if not isinstance(answer, BedrockFailure):
                    if texts:
                        self._learned.learn(target.model, attempt.refused[len(known) :], "; ".join(texts))
                    return BedrockAnswered(answer, shaped.schema, transport.name)
                answer = answer._replace(transport=transport.name)
                if bedrock_errors.is_key_refused(answer):
                    if not await rejections.has_other_keys(keys, answer.message):
                        return answer._replace(hint=self._keeper.snapshot().hint)
                    logger.info("Bedrock refuses the AWS keys (%s): asking once more with new ones", answer.kind)
                    continue
            except KeysUnavailable as problem:
                return bedrock_errors.no_keys(problem, passing=problem.passing)
            correction = correct(attempt, shaped, answer)
            if correction is None:
                return answer
            before, attempt, sent = attempt, correction.attempt, shaped
            shaped = await _shape(attempt)
            if shaped == sent and attempt.is_direct == before.is_direct:  # the request has nothing of it
                return answer
            logger.log(correction.level, "%s", correction.why)
            if attempt.refused != before.refused:
                texts.append(answer.message)


async def _shape(attempt: BedrockAttempt) -> BedrockRequest:
    return await asyncio.to_thread(attempt.shaped) if attempt.question.large else attempt.shaped()
