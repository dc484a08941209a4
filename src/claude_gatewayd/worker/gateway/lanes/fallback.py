"""The fallback from Anthropic to Bedrock: whether a call may take it, and an answer that never costs Anthropic's."""

import logging
from collections.abc import Callable
from typing import NamedTuple

from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.worker.gateway.authorization import Authorization
from claude_gatewayd.worker.gateway.call import Call
from claude_gatewayd.worker.gateway.lanes.bedrock import BedrockLane
from claude_gatewayd.worker.usage.budget import BudgetState

logger = logging.getLogger(__name__)


class FallbackObstacle(NamedTuple):
    """Why a call cannot fall back. *only_anthropic*: nobody else can do what it asks for."""

    reason: str
    only_anthropic: bool


class Fallback:
    """Answer calls from Bedrock in Anthropic's place."""

    def __init__(self, bedrock: BedrockLane, authorization: Authorization, budget: Callable[[], BudgetState]) -> None:
        self._bedrock = bedrock
        self._authorization = authorization
        self._budget = budget

    async def obstacle(self, call: Call) -> FallbackObstacle | None:
        """Return why a call cannot fall back, None if it can. The answer may change while Anthropic is asked."""
        if stranger := self._authorization.obstacle(call):
            call.route.refused_by_key = self._authorization.told(call, stranger)
            return FallbackObstacle(stranger, only_anthropic=False)
        if call.is_count:
            return None  # what Bedrock cannot count is answered at once, so that the client estimates; it costs nothing
        if self._budget().reached == 100:
            return FallbackObstacle("budget reached", only_anthropic=False)
        try:
            unsupported = await self._bedrock.unsupported(call)
        except Exception as error:
            logger.exception("cannot tell whether Bedrock serves a request: this is a fault of the gateway")
            unsupported = f"this request, for a fault of the gateway ({type(error).__name__})"
        return (
            None
            if unsupported is None
            else FallbackObstacle(f"Bedrock does not serve {unsupported}", only_anthropic=True)
        )

    async def answer(self, call: Call) -> int | BedrockFailure:
        """Answer a call. Return the status, or why there is no answer; an error before the first byte is one, too."""
        try:
            return await self._bedrock.answer(call)
        except Exception as error:
            if call.exchange.started:
                raise
            logger.exception("cannot ask Bedrock: this is a fault of the gateway")
            message = f"cannot ask Bedrock: a fault of the gateway ({type(error).__name__})"
            return BedrockFailure("EngineFailed", 503, message, "claude-gatewayctl logs")

    async def count(self, call: Call) -> int:
        """Answer a call that counts tokens. Return the status. Raises Refused."""
        return await self._bedrock.count(call)

    def reply_failure(self, call: Call, failure: BedrockFailure) -> int:
        """Answer a call with Bedrock's failure. Return the status."""
        return self._bedrock.reply_failure(call, failure)
