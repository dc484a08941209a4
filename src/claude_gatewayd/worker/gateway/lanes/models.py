"""The list of models: Anthropic's own, or what Bedrock can answer with while Anthropic does not answer."""

import json
from typing import NamedTuple

from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.anthropic import model_list
from claude_gatewayd.anthropic.model_list import NotAPage
from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.bedrock.models import BEDROCK_SUFFIX
from claude_gatewayd.worker.gateway.authorization import Authorization
from claude_gatewayd.worker.gateway.call import JSON, NO_RETRY, Call
from claude_gatewayd.worker.gateway.lanes.anthropic import AnthropicLane
from claude_gatewayd.worker.gateway.lanes.fallback import FallbackObstacle
from claude_gatewayd.worker.models.catalog import ModelCatalog


class _Reply(NamedTuple):
    status: int
    body: bytes


class ModelsLane:
    """Answer GET /v1/models, and /v1/models/{id}."""

    def __init__(self, anthropic: AnthropicLane, catalog: ModelCatalog, authorization: Authorization) -> None:
        self._anthropic = anthropic
        self._catalog = catalog
        self._authorization = authorization

    async def answer(self, call: Call) -> int:
        """Answer a call. Who has the gateway key alone can use no models but Bedrock's, which have names of their own.

        Raises Refused.
        """
        if call.caller.credential:
            return await self._anthropic.answer_or(call, self)
        return self._send(call, self._reply(call, BEDROCK_SUFFIX))

    async def obstacle(self, call: Call) -> FallbackObstacle | None:
        """Return why Anthropic's failure is the better answer; None if it is not."""
        if stranger := self._authorization.obstacle(call):
            return FallbackObstacle(stranger, only_anthropic=False)
        if self._reply(call).status != 200:
            return FallbackObstacle("Bedrock does not list what is asked for", only_anthropic=False)
        return None

    def reply(self, call: Call) -> int:
        """Answer a call with what Bedrock has. Return the status."""
        return self._send(call, self._reply(call))

    def _send(self, call: Call, reply: _Reply) -> int:
        call.route.upstream = "bedrock"
        lines = [JSON, *call.route.lines, *([NO_RETRY] if reply.status != 200 else [])]
        call.exchange.reply(reply.status, anthropic_errors.reason(reply.status), lines, reply.body)
        return reply.status

    def _reply(self, call: Call, suffix: str = "") -> _Reply:
        self._catalog.want()
        entries = self._catalog.entries(suffix)
        asked = model_list.model_of(call.path)
        if asked:
            target = self._catalog.find(asked)
            name = bedrock_models.public_id(target) + suffix if target is not None else ""
            found = next((entry for entry in entries if entry.id == name), None)
            if found is None:
                return _Reply(404, anthropic_errors.error_body(404, f"model: {asked[:100]}"))
            return _Reply(200, json.dumps(found.as_dict()).encode())
        try:
            return _Reply(200, model_list.page(entries, model_list.read_query(call.target.partition(b"?")[2])))
        except NotAPage as problem:
            return _Reply(400, anthropic_errors.error_body(400, str(problem)))
