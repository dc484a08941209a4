"""Counting the tokens of a request at Bedrock, which costs nothing."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

from claude_gatewayd.bedrock import count_tokens
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.bedrock.models import Target
from claude_gatewayd.worker.bedrock.direct import read_failure
from claude_gatewayd.worker.bedrock.keyed import KeyedEndpoint
from claude_gatewayd.worker.bedrock.learned import LearnedRefusals
from claude_gatewayd.worker.bedrock.transport import read_error
from claude_gatewayd.worker.relay.kept_answer import KeptAnswer

logger = logging.getLogger(__name__)

_WITHIN: Final = 15.0  # seconds: somebody waits for `/context`, and Claude Code can estimate
_LINES: Final = [b"Content-Type: application/json", b"Accept: application/json"]
_MOST_LOGGED: Final = 100
_LONGEST_KIND: Final = 60


class BedrockCounting:
    """Count at Bedrock's *runtime*. A failure says nothing about messages: counting has a permission of its own."""

    def __init__(self, runtime: KeyedEndpoint, learned: LearnedRefusals) -> None:
        self._runtime = runtime
        self._learned = learned
        self._logged: set[tuple[str, str]] = set()

    async def count(self, document: Mapping[str, Any], beta: str, target: Target, *, large: bool) -> int | str:
        """Return how many tokens a request has for a model, or why that is not known.

        A *large* request is encoded in a thread.
        """
        foundation = count_tokens.foundation_model(target.behind or target.model)
        if foundation is None:
            return "it counts for foundation models only, and not for an application inference profile"
        refused = self._learned.by(target.model)
        body = (
            await asyncio.to_thread(count_tokens.body, document, beta, target.family, refused)
            if large
            else count_tokens.body(document, beta, target.family, refused)
        )
        answer = await self._runtime.ask("POST", count_tokens.path(foundation), _LINES, body, seconds=_WITHIN)
        if isinstance(answer, BedrockFailure):
            return self._failed(foundation, answer)
        if isinstance(answer, KeptAnswer):
            return self._failed(foundation, read_error(answer.head, answer.decoded))
        if answer.head.status != 200:
            return self._failed(foundation, await read_failure(answer))
        kept = await answer.keep()
        tokens = count_tokens.read(kept.body) if kept is not None else None
        return self._failed(foundation, bedrock_errors.BROKEN) if tokens is None else tokens

    def _failed(self, model: str, failure: BedrockFailure) -> str:
        """Log the first failure of a kind: `/context` makes dozens at once."""
        why = bedrock_errors.describe(failure)
        key = model, failure.kind[:_LONGEST_KIND]
        if key not in self._logged and len(self._logged) < _MOST_LOGGED:
            self._logged.add(key)
            logger.info("cannot count tokens at Bedrock for %s: %s", model, why)
        return why
