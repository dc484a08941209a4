"""The lane of clients that speak Bedrock's own API, such as Claude Code in Bedrock mode.

Their requests pass through byte for byte, signed with the keeper's keys in place of the client's.
"""

import logging
import re
from typing import Final, Literal, NamedTuple
from urllib.parse import quote, unquote

from claude_gatewayd.aws.keeper.keeper import Keeper
from claude_gatewayd.aws.keeper.rejections import KeyRejections
from claude_gatewayd.aws.keys import AwsKeys, KeysUnavailable
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.http1.head import HOP_BY_HOP
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.worker.bedrock.direct import failure_of
from claude_gatewayd.worker.bedrock.endpoint import BedrockEndpoint
from claude_gatewayd.worker.gateway.call import NO_RETRY, Call, Refused
from claude_gatewayd.worker.gateway.caller import FOR_ANTHROPIC
from claude_gatewayd.worker.relay.kept_answer import KeptAnswer
from claude_gatewayd.worker.relay.outgoing import FOR_THE_GATEWAY
from claude_gatewayd.worker.relay.relay import Answer
from claude_gatewayd.worker.tally import Tally

logger = logging.getLogger(__name__)

PREFIX: Final = b"/bedrock/"

_INVOKE: Final = re.compile(
    rb"/bedrock/model/(?P<id>[^?#]{1,2048})/(?P<operation>invoke(?:-with-response-stream)?|count-tokens)\Z"
)
_PROFILES: Final = re.compile(
    rb"/bedrock/inference-profiles(?:/(?P<id>[^?#]{1,2048}))?(?P<query>\?[\w=&%.~+/:-]{0,1024})?\Z", re.ASCII
)
# The client's signature is for us, and its host is ours. Bedrock's answer is not compressed, so none is asked for.
_NOT_FORWARDED: Final = (
    HOP_BY_HOP
    | FOR_THE_GATEWAY
    | frozenset(FOR_ANTHROPIC)
    | frozenset((b"host", b"content-length", b"expect", b"accept-encoding", b"cookie"))
)
_AMAZONS: Final = b"x-amz-"
_WHOLE_TIMEOUT: Final = 600.0


class _Operation(NamedTuple):
    endpoint: Literal["runtime", "control"]
    target: str


class BedrockModeLane:
    """Pass requests on to the *runtime* and the *control* plane. *timeout* is in seconds, for a pause of an answer."""

    def __init__(
        self, runtime: BedrockEndpoint, control: BedrockEndpoint, keeper: Keeper, tally: Tally, timeout: float
    ) -> None:
        self._endpoints = {"runtime": runtime, "control": control}
        self._keeper = keeper
        self._tally = tally
        self._timeout = timeout

    async def answer(self, call: Call) -> int:
        """Answer a call whose body has been read. Raises Refused."""
        call.route.upstream, call.route.bedrock = "bedrock", "direct"
        operation = _operation(call.exchange.head.method, call.target)
        if operation is None:
            raise Refused(404, "cannot serve: Bedrock mode has no such operation", NO_RETRY, *call.route.lines)
        if not call.caller.has_key:
            why = "cannot use Bedrock: the header x-gateway-key is missing, or not this gateway's key"
            hint = "run `claude-gatewayctl configure-claude --bedrock`, and start Claude Code again"
            raise Refused(403, f"{why}; {hint}", NO_RETRY, *call.route.lines)
        try:
            answer = await self._ask_until_keys_are_accepted(call, operation)
        except KeysUnavailable as problem:
            raise self._refused(call, bedrock_errors.no_keys(problem, passing=problem.passing)) from None
        except UpstreamFailed as failed:
            raise self._refused(call, failure_of(failed)) from None
        if isinstance(answer, KeptAnswer):
            answer.pass_on(call.exchange, call.route.lines)
            return answer.head.status
        if answer.head.status == 200:
            self._keeper.note_accepted()
            if self._tally.bedrock_ok():
                logger.info("Bedrock answers again")
        await answer.pass_on(call.exchange, call.route.lines, silence=self._timeout, watched=False)
        return answer.head.status

    async def _ask_until_keys_are_accepted(self, call: Call, operation: _Operation) -> Answer | KeptAnswer:
        """Ask, and again with new keys if Bedrock refuses these. Return its answer; one with status 401 or 403 kept."""
        rejections = KeyRejections(self._keeper)
        while True:
            keys = await self._keeper.keys()
            answer = await self._ask(call, operation, keys)
            if answer.head.status not in (401, 403):
                return answer
            kept = await answer.keep()
            error_type = answer.head.fields.get(b"x-amzn-errortype")
            failure = bedrock_errors.of_answer(answer.head.status, error_type, kept.body if kept is not None else b"")
            if not bedrock_errors.is_key_refused(failure):
                if kept is None:
                    raise self._refused(call, failure)
                return kept
            if not await rejections.has_other_keys(keys, failure.message):
                raise self._refused(call, failure._replace(hint=self._keeper.snapshot().hint))
            logger.info("Bedrock refuses the AWS keys (%s): asking once more with new ones", failure.kind)

    async def _ask(self, call: Call, operation: _Operation, keys: AwsKeys) -> Answer:
        request = call.exchange.head
        dropped = _NOT_FORWARDED | {name for name in request.fields if name.startswith(_AMAZONS)}
        return await self._endpoints[operation.endpoint].ask(
            request.method.decode(),
            operation.target,
            request.without(dropped),
            call.body or b"",
            keys,
            seconds=max(self._timeout, _WHOLE_TIMEOUT),
        )

    def _refused(self, call: Call, failure: BedrockFailure) -> Refused:
        description = bedrock_errors.describe(failure)
        if self._tally.bedrock_failed(description):
            logger.warning("Bedrock cannot answer: %s", description)
        reply = bedrock_errors.error_reply(failure)
        return Refused(reply.status, reply.message, *reply.lines, *call.route.lines)


def _operation(method: bytes, target: bytes) -> _Operation | None:
    """Return what a request asks of Bedrock. Its model's id is encoded anew: Claude Code leaves a colon as it is."""
    path = target.partition(b"?")[0]
    if method == b"POST" and (found := _INVOKE.match(path)) is not None:
        return _Operation("runtime", f"/model/{_encoded(found['id'])}/{found['operation'].decode()}")
    if method == b"GET" and (found := _PROFILES.match(target)) is not None:
        one = f"/{_encoded(found['id'])}" if found["id"] else ""
        return _Operation("control", f"/inference-profiles{one}{(found['query'] or b'').decode()}")
    return None


def _encoded(name: bytes) -> str:
    return quote(unquote(name.decode("latin-1")), safe="")
