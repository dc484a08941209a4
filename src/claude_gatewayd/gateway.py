"""One request's way through the gateway: guard, who, lane, relay, outcome, told.

Anthropic's lane. The caller's own credential goes to Anthropic as it came, and nowhere else.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from claude_gatewayd import auth, body, envelope, guard, policy
from claude_gatewayd.http1 import head
from claude_gatewayd.http1.connect import Origin
from claude_gatewayd.http1.exchange import BodyCut, BodyTooLarge, Exchange
from claude_gatewayd.http1.flow import Budget, Bytes, OverBudget
from claude_gatewayd.http1.head import Malformed
from claude_gatewayd.http1.upstream import UpstreamFailed
from claude_gatewayd.relay import Answer, KeptAnswer, Outgoing, Relay, outgoing
from claude_gatewayd.tally import CLIENT_GONE, Tally

logger = logging.getLogger(__name__)

_MESSAGES = b"/v1/messages"
_LARGE = 256 * 1024
_HELD = frozenset((_MESSAGES, b"/v1/messages/count_tokens"))
_HELLO = frozenset((b"/", b"/api/hello"))  # what Claude Code warms its connection up with
_PREFIX = b"/anthropic"  # a base URL of older set-ups: http://127.0.0.1:47000/anthropic

_JSON = b"content-type: application/json"
_NO_RETRY = b"x-should-retry: false"
_TOLD = [b"x-gateway-upstream: anthropic"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What one generation goes by. *key* is required of every caller where it is not empty."""

    origin: Origin
    hosts: frozenset[str]
    key: str
    aliases: Mapping[str, str]
    rules: policy.Rules
    max_body: int
    first_byte_timeout: float
    response_timeout: float


class _Refused(Exception):
    """A request that goes nowhere: the answer it gets."""

    def __init__(self, status: int, message: str, *lines: bytes) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.lines = lines


class Gateway:
    """Answer requests, each by `handle`."""

    def __init__(self, settings: Settings, anthropic: Relay, budget: Budget, tally: Tally) -> None:
        self._settings = settings
        self._anthropic = anthropic
        self._budget = budget
        self._tally = tally

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request, whatever happens."""
        tally = self._tally
        tally.under_way += 1
        try:
            tally.answered(await self._answer(exchange))
        except (_Refused, BodyCut, BodyTooLarge, OverBudget) as problem:
            refused = problem if isinstance(problem, _Refused) else self._body_refused(problem)
            text = envelope.error_body(refused.status, refused.message)
            exchange.reply(refused.status, envelope.reason(refused.status), [_JSON, *refused.lines], text)
            tally.answered(refused.status)
        except asyncio.CancelledError:
            if not exchange.finished:
                tally.answered(CLIENT_GONE)
            raise
        finally:
            tally.under_way -= 1

    def refusal(self, problem: Malformed) -> bytes:
        """Return the whole answer to what is not a request at all."""
        self._tally.answered(problem.status)
        text = envelope.error_body(problem.status, f"cannot read the request: {problem.why}")
        lines = [_JSON, b"content-length: %d" % len(text), _NO_RETRY, b"Connection: close"]
        return head.write_response(problem.status, envelope.reason(problem.status), lines) + text

    async def _answer(self, exchange: Exchange) -> int:
        request = exchange.head
        authority, target = guard.authority_of(request.target)
        refusal = guard.judge(request.fields, authority, self._settings.hosts)
        if refusal is not None:
            raise _Refused(refusal.status, refusal.message, _NO_RETRY)
        if target.startswith(_PREFIX) and target[len(_PREFIX) :][:1] in (b"/", b"?", b""):
            target = target[len(_PREFIX) :] or b"/"
        path = target.partition(b"?")[0]
        if request.method == b"HEAD" and path in _HELLO:
            exchange.reply(200, b"OK", [], b"")
            return 200
        self._admit(exchange)
        is_messages = path == _MESSAGES and request.method == b"POST"
        held: Bytes | None = None
        asked = body.UNREADABLE
        if request.method == b"POST" and path in _HELD and _may_be_json(request.fields):
            held = await exchange.hold(self._settings.max_body, self._budget)
            asked = body.read(held)
            if self._settings.aliases and asked.model is not None:
                alias = self._settings.aliases.get(body.routing_name(asked.model))
                if alias is not None:
                    if len(held) > _LARGE:  # it is read through sign by sign: not on the loop
                        held = await asyncio.to_thread(body.with_model, held, alias)
                    else:
                        held = body.with_model(held, alias)
        elif exchange.body_done and not request.length and not request.chunked:
            held = b""
        way = outgoing(request, target, held, self._settings.origin)
        return await self._ask_anthropic(exchange, way, is_messages=is_messages, streams=bool(asked.stream))

    def _admit(self, exchange: Exchange) -> None:
        """Refuse who brings no credential, and on a remote gateway who does not know its key."""
        fields = exchange.head.fields
        if self._settings.key and not auth.has_gateway_key(fields, self._settings.key):
            hint = "send the header x-gateway-key with what `claude-gatewayctl key` shows on the gateway's machine"
            raise _Refused(401, f"cannot serve: the gateway key is missing or wrong; {hint}", _NO_RETRY)
        if not auth.has_credential(fields):
            hint = "log in with `claude` and /login, or set ANTHROPIC_API_KEY"
            raise _Refused(401, f"cannot serve: the request has no credential for Anthropic; {hint}", _NO_RETRY)

    def _body_refused(self, problem: BodyCut | BodyTooLarge | OverBudget) -> _Refused:
        if isinstance(problem, BodyTooLarge):
            limit = f"{self._settings.max_body // 1024} KiB"
            return _Refused(413, f"cannot take the request: its body is over [listen] max_body, {limit}")
        if isinstance(problem, OverBudget):
            busy = "cannot take the request now: the requests under way fill the memory set aside for them"
            return _Refused(503, busy, b"retry-after: 1")
        return _Refused(400, "cannot take the request: the connection ended before its body did")

    async def _ask_anthropic(self, exchange: Exchange, way: Outgoing, *, is_messages: bool, streams: bool) -> int:
        """Ask, and ask again as long as `policy` says so; then send on what came last."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        seconds = settings.first_byte_timeout if streams else settings.response_timeout
        repeatable = is_messages or exchange.head.method in policy.IDEMPOTENT_METHODS
        begun = loop.time()
        retries, refreshed = 0, False
        kept: KeptAnswer | None = None
        while True:
            answer: Answer | None = None
            failed: UpstreamFailed | None = None
            outcome: policy.Answered | policy.Failed
            # A retry must be over with its time; the first try has all of its own.
            rest = settings.rules.timeout - (loop.time() - begun)
            if retries and rest <= 0:
                break
            patience = min(seconds, rest) if retries else seconds
            try:
                answer = await self._anthropic.ask(exchange, way, seconds=patience, fresh=refreshed)
                self._note(answer.head.status)
                if answer.head.status not in policy.RETRIED_STATUSES:
                    break
                outcome = _answered(answer)
            except UpstreamFailed as problem:
                failed = problem
                outcome = policy.Failed(problem.stale, lasting=problem.kind == "tls")
            attempt = policy.Attempt(way.body is not None, repeatable, retries, loop.time() - begun, refreshed)
            decision = policy.decide(outcome, attempt, settings.rules)
            if decision.act == "refresh":
                refreshed = True
                continue
            if failed is not None:
                self._note_failure(failed)
            if decision.act == "pass":
                break
            if answer is not None:
                kept = await answer.keep() or kept
            retries += 1
            self._tally.retried()
            await asyncio.sleep(decision.after)
        if answer is not None:
            return await self._pass_on(exchange, answer, is_messages=is_messages)
        if kept is not None:
            kept.pass_on(exchange, _TOLD)
            return kept.head.status
        assert failed is not None
        hint = f" ({failed.hint})" if failed.hint else ""
        told = () if failed.kind != "tls" else (_NO_RETRY,)  # Claude Code would try again for three minutes
        status = 504 if failed.kind == "timeout" else 502
        raise _Refused(status, f"cannot reach Anthropic: {failed.detail}{hint}", *told)

    async def _pass_on(self, exchange: Exchange, answer: Answer, *, is_messages: bool) -> int:
        silence = self._settings.response_timeout
        if answer.is_stream:
            self._tally.stream_began()
            try:
                watched = is_messages and answer.head.status == 200
                failure = await answer.pass_on(exchange, _TOLD, silence=silence, watched=watched)
            finally:
                self._tally.stream_ended()
        else:
            failure = await answer.pass_on(exchange, _TOLD, silence=silence, watched=False)
        if failure is not None:
            self._note_failure(failure)
        return answer.head.status

    def _note(self, status: int) -> None:
        if status < 500:
            if self._tally.anthropic_ok():
                logger.info("Anthropic answers again")
        elif self._tally.anthropic_failed(f"answered {status}"):
            logger.warning("Anthropic answers %d", status)

    def _note_failure(self, failure: UpstreamFailed) -> None:
        if self._tally.anthropic_failed(failure.detail):
            logger.warning("Anthropic cannot be reached: %s", failure.detail)


def _answered(answer: Answer) -> policy.Answered:
    fields = answer.head.fields
    return policy.Answered(
        answer.head.status,
        policy.retry_after(fields.get(b"retry-after")),
        policy.should_retry(fields.get(b"x-should-retry")),
    )


def _may_be_json(fields: Mapping[bytes, bytes]) -> bool:
    return b"json" in fields.get(b"content-type", b"json").lower()
