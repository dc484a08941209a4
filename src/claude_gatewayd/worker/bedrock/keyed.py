"""Asking one of Bedrock's endpoints with the keeper's keys, and again with new ones if these are refused."""

import logging

from claude_gatewayd.aws.keeper.keeper import Keeper
from claude_gatewayd.aws.keeper.rejections import KeyRejections
from claude_gatewayd.aws.keys import KeysUnavailable
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.http1.head import Lines
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.worker.bedrock.direct import failure_of, is_not_bedrocks, read_failure
from claude_gatewayd.worker.bedrock.endpoint import BedrockEndpoint
from claude_gatewayd.worker.bedrock.transport import read_error
from claude_gatewayd.worker.relay.kept_answer import KeptAnswer
from claude_gatewayd.worker.relay.relay import Answer

logger = logging.getLogger(__name__)


class KeyedEndpoint:
    """Ask *endpoint* with the keys of *keeper*."""

    def __init__(self, endpoint: BedrockEndpoint, keeper: Keeper) -> None:
        self._endpoint = endpoint
        self._keeper = keeper

    async def ask(
        self, method: str, target: str, lines: Lines, body: Bytes, *, seconds: float
    ) -> Answer | KeptAnswer | BedrockFailure:
        """Return the answer to a request, whatever its status; one with 401 or 403 has been read.

        For *target* and *lines* see `BedrockEndpoint.ask`. It is a failure if nothing was answered, or not by
        Bedrock, or if AWS refuses the keys and there are no others.
        """
        rejections = KeyRejections(self._keeper)
        while True:
            try:
                keys = await self._keeper.keys()
                answer = await self._endpoint.ask(method, target, lines, body, keys, seconds=seconds)
                if is_not_bedrocks(answer):
                    return await read_failure(answer)
                if answer.head.status not in (401, 403):
                    return answer
                kept = await answer.keep()
                failure = read_error(answer.head, kept.decoded if kept is not None else b"")
                if not bedrock_errors.is_key_refused(failure):
                    return kept or failure
                if not await rejections.has_other_keys(keys, failure.message):
                    return failure._replace(hint=self._keeper.snapshot().hint)
            except KeysUnavailable as problem:
                return bedrock_errors.no_keys(problem, passing=problem.passing)
            except UpstreamFailed as failed:
                return failure_of(failed)
            logger.info("Bedrock refuses the AWS keys (%s): asking once more with new ones", failure.kind)
