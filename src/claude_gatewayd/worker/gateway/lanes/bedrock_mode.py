"""The lane of clients that speak Bedrock's own API, such as Claude Code in Bedrock mode.

Their requests pass through byte for byte, signed with the keeper's keys in place of the client's.
"""

import re
from typing import Final, Literal, NamedTuple
from urllib.parse import quote, unquote

from claude_gatewayd.aws.keeper.keeper import Keeper
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.http1.head import HOP_BY_HOP
from claude_gatewayd.worker.bedrock.direct import failure_of
from claude_gatewayd.worker.bedrock.keyed import KeyedEndpoint
from claude_gatewayd.worker.bedrock.transport import WHOLE_TIMEOUT
from claude_gatewayd.worker.gateway.call import NO_RETRY, Call, Refused
from claude_gatewayd.worker.gateway.caller import FOR_ANTHROPIC
from claude_gatewayd.worker.models.catalog import ModelCatalog
from claude_gatewayd.worker.relay import forwarding_loops
from claude_gatewayd.worker.relay.kept_answer import KeptAnswer
from claude_gatewayd.worker.relay.outgoing import FOR_THE_GATEWAY
from claude_gatewayd.worker.tally import Tally

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
    | frozenset(
        (
            b"host",
            b"content-length",
            b"transfer-encoding",
            b"expect",
            b"accept-encoding",
            b"cookie",
            forwarding_loops.HEADER,
        )
    )
)
_AMAZONS: Final = b"x-amz-"


class Operation(NamedTuple):
    """What a call asks of Bedrock.

    *invokes* is the model that answers, and that AWS bills, "" for none; *seconds* to wait for the first byte are the
    setting's at least.
    """

    endpoint: Literal["runtime", "control"]
    target: str
    invokes: str = ""
    seconds: float = 0.0


class BedrockModeLane:
    """Pass requests on to the *runtime* and the *control* plane. *timeout* is in seconds, for a pause of an answer."""

    def __init__(
        self,
        runtime: KeyedEndpoint,
        control: KeyedEndpoint,
        catalog: ModelCatalog,
        keeper: Keeper,
        tally: Tally,
        timeout: float,
    ) -> None:
        self._endpoints = {"runtime": runtime, "control": control}
        self._catalog = catalog
        self._keeper = keeper
        self._tally = tally
        self._timeout = timeout

    def admit(self, call: Call) -> Operation:
        """Return what a call asks for, before its body is read. Raises Refused."""
        call.route.upstream, call.route.bedrock = "bedrock", "direct"
        operation = _operation(call.exchange.head.method, call.target)
        if operation is None:
            raise Refused(404, "cannot serve: Bedrock mode has no such operation", NO_RETRY, *call.route.lines)
        if not call.caller.has_key and call.key is None:
            why = "cannot use Bedrock: the header x-gateway-key is missing, or not this gateway's key"
            hint = "run `claude-gatewayctl configure-claude --bedrock`, and start Claude Code again"
            raise Refused(403, f"{why}; {hint}", NO_RETRY, *call.route.lines)
        if operation.invokes:
            target = self._catalog.find(operation.invokes) if operation.invokes.startswith("arn:") else None
            call.route.model = bedrock_models.priced(target) if target is not None else operation.invokes
        return operation

    async def answer(self, call: Call, operation: Operation) -> int:
        """Answer a call that was admitted, and whose body has been read. Raises Refused."""
        request = call.exchange.head
        answer = await self._endpoints[operation.endpoint].ask(
            request.method.decode(),
            operation.target,
            request.without(_NOT_FORWARDED | {name for name in request.fields if name.startswith(_AMAZONS)}),
            call.body or b"",
            seconds=max(self._timeout, operation.seconds),
        )
        if isinstance(answer, BedrockFailure):
            raise self._refused(call, operation, answer)
        status = answer.head.status
        if status == 200:
            self._keeper.note_accepted()
        if operation.invokes:
            self._note(operation.invokes, status, answer.head.fields.get(b"x-amzn-errortype"))
        if isinstance(answer, KeptAnswer):
            answer.pass_on(call.exchange, [*call.route.lines, *bedrock_errors.final_lines(status)])
            return status
        if answer.is_stream:
            self._tally.stream_began()
        try:
            failed = await answer.pass_on(
                call.exchange, call.route.lines, meter=call.route.meter, silence=self._timeout, watched=False
            )
        finally:
            if answer.is_stream:
                self._tally.stream_ended()
        if failed is not None and operation.invokes:
            self._failed(failure_of(failed))
        return status

    def _note(self, model: str, status: int, error_type: bytes) -> None:
        """Note what an answer of a model shows: a refused request shows nothing about Bedrock."""
        if status == 200:
            self._catalog.note_answer(model)
            self._tally.bedrock_ok()
        elif status in (403, 408, 424, 429) or status >= 500:
            self._failed(bedrock_errors.of_answer(status, error_type, b""))

    def _failed(self, failure: BedrockFailure) -> None:
        self._tally.bedrock_failed(bedrock_errors.describe(failure))

    def _refused(self, call: Call, operation: Operation, failure: BedrockFailure) -> Refused:
        if operation.invokes:
            self._failed(failure)
        reply = bedrock_errors.error_reply(failure)
        return Refused(reply.status, reply.message, *reply.lines, *call.route.lines)


def _operation(method: bytes, target: bytes) -> Operation | None:
    """Return what a request asks of Bedrock. All names in it are encoded anew: Claude Code leaves a colon as it is.

    AWS signs what it reads, in its own spelling: in another one it would take our keys for wrong.
    """
    path = target.partition(b"?")[0]
    found = {b"POST": _INVOKE.match(path), b"GET": _PROFILES.match(target)}.get(method)
    if found is None:
        return None
    name = _encoded(found["id"] or b"")
    if name in (".", ".."):  # no names in a path, and another path in the signature
        return None
    if method == b"GET":
        one = f"/{name}" if name else ""
        return Operation("control", f"/inference-profiles{one}{_query(found['query'] or b'')}")
    operation = found["operation"].decode()
    seconds = WHOLE_TIMEOUT if operation == "invoke" else 0.0
    return Operation(
        "runtime", f"/model/{name}/{operation}", unquote(name) if operation != "count-tokens" else "", seconds
    )


def _query(query: bytes) -> str:
    pairs = [pair.partition(b"=") for pair in query.removeprefix(b"?").split(b"&") if pair]
    return ("?" if pairs else "") + "&".join(f"{_encoded(name)}={_encoded(value)}" for name, _, value in pairs)


def _encoded(name: bytes) -> str:
    return quote(unquote(name.decode("latin-1")), safe="")
