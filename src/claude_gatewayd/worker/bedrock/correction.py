"""How a model at Bedrock is asked, and how it is asked again after a refusal: without what it refuses. Pure."""

import logging
from typing import Any, Final, NamedTuple

from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock import request as bedrock_request
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.bedrock.features import TABLE
from claude_gatewayd.bedrock.models import Target
from claude_gatewayd.bedrock.refused import SCHEMA, RefusedFeature, without
from claude_gatewayd.bedrock.refused import read as read_refusal
from claude_gatewayd.bedrock.request import BedrockRequest

_MOST_CORRECTIONS: Final = 3  # of one request


class Question(NamedTuple):
    """What is asked: Anthropic's request as *document*, with its header *beta*. A *large* one is handled in threads."""

    document: dict[str, Any]
    beta: str
    stream: bool
    large: bool


class BedrockAttempt(NamedTuple):
    """A question as it is put to a model: without what it has *refused*, by LiteLLM if *through_litellm*.

    *is_bound*: the answer is bound to a schema, if the question has one; else a tool stands in for it.
    """

    question: Question
    target: Target
    refused: tuple[RefusedFeature, ...]
    through_litellm: bool
    is_bound: bool
    has_thinking: bool = True
    corrections: int = 0

    @classmethod
    def first(
        cls, question: Question, target: Target, known: tuple[RefusedFeature, ...], *, through_litellm: bool
    ) -> "BedrockAttempt":
        """Return the first attempt. *known* is what the model has refused before."""
        attempt = cls(question, target, known, through_litellm, is_bound=True)
        return attempt._replace(is_bound=SCHEMA not in known or not attempt.may_go_by_tool)

    @property
    def is_direct(self) -> bool:
        """Whether Bedrock has to be asked directly."""
        # LiteLLM writes thinking as its own list of models has it
        return not self.through_litellm or any(feature.kind == "thinking" for feature in self.refused)

    @property
    def may_go_by_tool(self) -> bool:
        """Whether there is a schema that a tool can stand in for."""
        return TABLE[self.target.family].schema and bedrock_request.goes_by_tool(self.question.document)

    def shaped(self) -> BedrockRequest:
        """Return the request to send."""
        question = self.question
        shaped = bedrock_request.shape(
            question.document, question.beta, self.target.family, bound=self.is_bound, refused=self.refused
        )
        # LiteLLM cannot send betas in the header, so that none of them can be refused
        return shaped if self.is_direct else shaped._replace(header_betas=())


class Correction(NamedTuple):
    """What to try after a failure, and *why*, for the log."""

    attempt: BedrockAttempt
    why: str
    level: int = logging.INFO


def correct(attempt: BedrockAttempt, shaped: BedrockRequest, failure: BedrockFailure) -> Correction | None:
    """Return what to try after a failure that is not about keys; None if nothing else can help.

    *shaped* is what was sent.
    """
    name, refused = attempt.target.name, attempt.refused
    if failure.kind == "EngineFailed" and not attempt.is_direct:
        why = f"LiteLLM does not answer ({failure.message}): asking Bedrock directly"
        return Correction(attempt._replace(through_litellm=False), why, logging.WARNING)
    if attempt.has_thinking and bedrock_errors.is_signature_failure(failure):
        document = bedrock_request.without_thinking(attempt.question.document)
        lesser = attempt._replace(question=attempt.question._replace(document=document), has_thinking=False)
        return Correction(lesser, "Bedrock refuses a signature of thinking: asking once more without the thinking")
    if attempt.is_bound and attempt.may_go_by_tool and bedrock_errors.is_schema_failure(failure):
        why = f"Bedrock does not bind {name} to a schema: asking once more with a tool"
        return Correction(attempt._replace(is_bound=False, refused=(*refused, SCHEMA)), why)
    named = _named_by(failure, attempt, shaped)
    more = tuple(feature for feature in named if feature not in refused)
    if named and not more and not attempt.is_direct:
        why = f"LiteLLM sends what {name} has refused: asking Bedrock directly"
        return Correction(attempt._replace(through_litellm=False), why)
    if more and attempt.corrections < _MOST_CORRECTIONS:
        why = f"Bedrock refuses {', '.join(map(str, more))}: asking once more without"
        return Correction(attempt._replace(refused=(*refused, *more), corrections=attempt.corrections + 1), why)
    return None


def _named_by(failure: BedrockFailure, attempt: BedrockAttempt, shaped: BedrockRequest) -> tuple[RefusedFeature, ...]:
    """Return what a failure names that a request can do without."""
    if failure.status != 400 or bedrock_errors.is_credential_failure(failure):
        return ()
    takes = without(TABLE[attempt.target.family], attempt.refused)
    return read_refusal(failure.message, takes, dict.fromkeys((*shaped.betas, *shaped.header_betas)))
