"""Anthropic's lane: the caller's own credential, byte for byte; and when Anthropic cannot, Bedrock at once.

What an outcome means is decided by `policy`, whether Anthropic is worth a try by the circuit. Here it is done.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.anthropic.headers import own_limits, patience, reset_of, retry_after, should_retry
from claude_gatewayd.anthropic.refusals import TOLD_BY_WORDS, read_refusal
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.http1.head import IDEMPOTENT_METHODS
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.network.connect import Origin
from claude_gatewayd.worker.gateway.authorization import Spending
from claude_gatewayd.worker.gateway.call import NO_RETRY, Call, Refused
from claude_gatewayd.worker.gateway.lanes import policy
from claude_gatewayd.worker.gateway.lanes.bedrock import BedrockLane
from claude_gatewayd.worker.gateway.lanes.circuit import Circuits, Key
from claude_gatewayd.worker.relay.kept_answer import KeptAnswer
from claude_gatewayd.worker.relay.outgoing import Outgoing, outgoing
from claude_gatewayd.worker.relay.relay import Answer, Relay
from claude_gatewayd.worker.tally import Tally

logger = logging.getLogger(__name__)

_PINGS_HELD = 5.0  # a stream that begins with pings is not held back longer, whatever comes after them
_PINGS_LAST = 3  # times the longest silence: Anthropic thinks for long, and says so by pings
_TOLD_WITHIN = 2.0  # the words of a refusal
_STATUS = b"anthropic-ratelimit-unified-status"
_PATIENCE = b"x-stainless-timeout"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the lane goes by. Times in seconds."""

    origin: Origin
    rules: policy.Rules
    first_byte_timeout: float
    response_timeout: float


class _Last(NamedTuple):
    """What Anthropic said last: an answer that is still to be read, one that was *kept*, or how it *failed*."""

    outcome: policy.Answered | policy.Failed
    answer: Answer | None
    kept: KeptAnswer | None
    failed: UpstreamFailed | None
    falls_back: bool = False

    @property
    def is_limit(self) -> bool:
        """Say whether it is a 429, whatever its limit is of."""
        return isinstance(self.outcome, policy.Answered) and policy.status_of(self.outcome) == 429


class _Obstacle(NamedTuple):
    """Why a call cannot fall back. *only_here*: nobody but Anthropic can do what it asks for."""

    why: str
    only_here: bool


class AnthropicLane:
    """Answer calls from Anthropic, or in its place from Bedrock.

    *bedrock* is None where there is no falling back. *alarm* is called at each sign that Anthropic may soon not answer.
    """

    def __init__(
        self,
        settings: Settings,
        relay: Relay,
        bedrock: BedrockLane | None,
        spending: Spending,
        circuits: Circuits,
        tally: Tally,
        alarm: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._relay = relay
        self._bedrock = bedrock
        self._spending = spending
        self._circuits = circuits
        self._tally = tally
        self._alarm = alarm
        self._now = asyncio.get_running_loop().time  # asked for once: it is a system call up to Python 3.11

    async def answer(self, call: Call) -> int:
        """Answer a call. Raises Refused, BodyCut."""
        second = self._second(call)
        if second is None:
            return await self._finish(call, await self._ask(call, None, None), None)
        said: BedrockFailure | None = None
        key = _circuit_of(call)
        standing = self._circuits.ask(key)
        if standing == "open" and await self._obstacle(call, second) is None:
            call.way.fallback = f"circuit open ({self._circuits.why(key)})"
            answered = await self._from_bedrock(call, second, key)
            if isinstance(answered, int):
                return answered
            said = answered  # so Anthropic is tried after all
        try:
            last = await self._ask(call, second if said is None else None, key)
        finally:
            if standing == "probe":
                self._circuits.released(key)  # if it came to no verdict
        if not last.falls_back:
            return await self._finish(call, last, said)
        # Read while Bedrock is asked: what Anthropic said is the answer if both fail.
        keeping = asyncio.create_task(last.answer.keep()) if last.answer is not None else None
        try:
            answered = await self._from_bedrock(call, second, key)
            if isinstance(answered, int):
                return answered
            kept = await keeping if keeping is not None else None
        finally:
            if keeping is not None:
                keeping.cancel()
        return await self._finish(call, last._replace(answer=None, kept=kept), answered)

    def _second(self, call: Call) -> BedrockLane | None:
        """Return Bedrock's lane where a call may fall back to it."""
        return self._bedrock if call.is_messages and call.held is not None else None

    async def _obstacle(self, call: Call, second: BedrockLane) -> _Obstacle | None:
        """Say why a call cannot fall back; None: it can. Anthropic's last word may have shown who the caller is."""
        if not self._spending.may(call):
            return _Obstacle("this credential may not spend AWS money yet", only_here=False)
        try:
            lacks = await second.why_not(call)
        except Exception as error:
            logger.exception("whether Bedrock could answer is not known: this is a fault of the gateway")
            lacks = f"this request, for a fault of the gateway ({type(error).__name__})"
        return None if lacks is None else _Obstacle(f"Bedrock does not serve {lacks}", only_here=True)

    async def _from_bedrock(self, call: Call, second: BedrockLane, key: Key) -> int | BedrockFailure:
        call.way.cause = self._circuits.why(key) or call.way.fallback
        answered = await self._within(call, second)
        if not isinstance(answered, int):
            call.way.fallback = f"{call.way.fallback}; {bedrock_errors.summary(answered)}"
        return answered

    async def _within(self, call: Call, second: BedrockLane) -> int | BedrockFailure:
        """Let Bedrock's lane answer. What is raised there before a byte was sent costs nobody Anthropic's answer."""
        try:
            return await second.answer(call)
        except Exception as error:
            if call.exchange.started:
                raise
            logger.exception("Bedrock could not be asked: this is a fault of the gateway")
            why = f"cannot ask Bedrock: a fault of the gateway ({type(error).__name__})"
            return BedrockFailure("EngineFailed", 503, why, "claude-gatewayctl logs")

    async def _ask(self, call: Call, second: BedrockLane | None, key: Key | None) -> _Last:
        """Ask, and ask again as long as `policy` says so.

        *second* is there to fall back to. *key* is that of the circuit, None where there is never a way to fall back:
        else it makes a difference what an answer begins with.
        """
        settings = self._settings
        now = self._now
        request = call.exchange.head
        way = outgoing(request, call.target, call.held, settings.origin, call.not_upstream, call.instead)
        repeatable = call.is_messages or request.method in IDEMPOTENT_METHODS
        begun = now()
        retries, refreshed = 0, False
        last: _Last | None = None
        while True:
            rest = None
            if last is not None and second is None:
                # What was said is at hand: a retry must be over with its time. The first try has all of the client's.
                rest = settings.rules.timeout - (now() - begun)
                if rest <= 0:
                    return last
            tried = await self._try(call, way, second, begun, rest, look=key is not None, fresh=refreshed)
            if tried.answer is not None and policy.is_success(tried.outcome):
                self._learn_success(call, tried.answer, key)
                return tried
            attempt = policy.Attempt(
                way.body is not None, repeatable, retries, now() - begun, refreshed, second is not None
            )
            if second is not None and tried.is_limit:
                attempt = attempt._replace(bought=self._spending.bought_lately(call))
            decision = policy.decide(tried.outcome, attempt, settings.rules)
            if decision.act == "refresh":
                refreshed = True
                continue
            self._learn(call, tried, key if decision.act != "retry first" else None)
            if decision.act in ("fallback", "retry first") and second is not None:
                obstacle = await self._obstacle(call, second)
                if obstacle is None and decision.act == "fallback":
                    call.way.fallback = policy.reason(tried.outcome)
                    if tried.is_limit and not retries:
                        self._spending.buys(call)
                    return tried._replace(falls_back=True)
                if obstacle is not None:
                    call.way.fallback = f"none; {obstacle.why}"
                    second = None
                    attempt = attempt._replace(fallback=False, only_here=obstacle.only_here)
                    decision = policy.decide(tried.outcome, attempt, settings.rules)
            if decision.act == "pass":
                # An answer that was kept says more than a later failure to get one.
                return tried._replace(kept=last.kept) if last is not None and tried.answer is None else tried
            kept = await tried.answer.keep() if tried.answer is not None else None
            last = tried._replace(answer=None, kept=kept or (last.kept if last is not None else None))
            retries += 1
            self._tally.retried()
            await asyncio.sleep(decision.after)

    async def _try(
        self,
        call: Call,
        way: Outgoing,
        second: BedrockLane | None,
        begun: float,
        rest: float | None,
        *,
        look: bool,
        fresh: bool,
    ) -> _Last:
        """Ask once: for as long as the client waits, which *begun* then, but where *second* can answer in its place.

        *rest* is what is left of the time for retries. With *look* the first event of a stream is looked at, and the
        words of a refusal.
        """
        settings = self._settings
        longer = None
        if second is None:
            seconds = self._patience(call, begun)
            if rest is not None:
                seconds = min(seconds, rest)
        else:
            seconds = settings.first_byte_timeout if call.asked.stream else settings.response_timeout
            longer = partial(self._longer, call, second, begun)
        try:
            answer = await self._relay.ask(call.exchange, way, seconds=seconds, fresh=fresh, longer=longer)
            fields = answer.head.fields
            status = answer.head.status
            first_error = refusal = None
            if look and status == 200 and answer.is_stream:
                first = await answer.first_event(_PINGS_HELD)
                if first.verdict == "error":
                    first_error = first.error
                    kind, message = anthropic_errors.read_error(first.data)
                    refusal = read_refusal(policy.status_of_error(kind), fields, kind, message, reset_of(fields))
            elif look and status in TOLD_BY_WORDS:
                kind, message = await answer.error(_TOLD_WITHIN)
                refusal = read_refusal(status, fields, kind, message, reset_of(fields))
        except UpstreamFailed as failed:
            timeout = failed.kind == "timeout"
            outcome = policy.Failed(failed.stale, failed.kind == "certificate", timeout, timeout and failed.asked)
            return _Last(outcome, None, None, failed)
        if status < 300 and first_error is None:
            return _Last(policy.Answered(status), answer, None, None)
        return _Last(
            policy.Answered(
                status,
                retry_after(fields.get(b"retry-after")),
                should_retry(fields.get(b"x-should-retry")),
                first_error,
                refusal,
            ),
            answer,
            None,
            None,
        )

    def _patience(self, call: Call, begun: float) -> float:
        """Return how much longer a client waits for a first byte, which *begun* then."""
        says = call.exchange.head.fields.get(_PATIENCE)
        waited = self._now() - begun
        return patience(says, self._settings.response_timeout) - waited

    async def _longer(self, call: Call, second: BedrockLane, begun: float) -> float:
        """Say how much longer Anthropic's first byte is waited for; not at all where Bedrock steps in."""
        if policy.falls_back_on_timeout(self._settings.rules):
            obstacle = await self._obstacle(call, second)
            if obstacle is None:
                return 0.0
            call.way.fallback = f"none; {obstacle.why}"
        return self._patience(call, begun)

    def _learn_success(self, call: Call, answer: Answer, key: Key | None) -> None:
        """Tell that Anthropic answers."""
        head = answer.head
        self._spending.learn(call, head.status, head.fields)
        if self._tally.anthropic_ok():
            logger.info("Anthropic answers again")
        if head.fields.get(_STATUS) == b"allowed_warning":
            self._alarm()
        if call.is_messages:
            self._tally.served.by_anthropic((call.digest, call.model))
        if key is not None and self._spending.may(call):
            self._circuits.succeeded(key)

    def _learn(self, call: Call, tried: _Last, key: Key | None) -> None:
        """Tell what came of a try that is no success: the tally, the spending, the engine, and the circuit *key*."""
        outcome = tried.outcome
        if isinstance(outcome, policy.Failed):
            assert tried.failed is not None
            self._fails(tried.failed.detail)
            self._alarm()
        else:
            assert tried.answer is not None
            head = tried.answer.head
            is_account = outcome.refusal is not None and outcome.refusal.scope == "account" and head.status != 429
            self._spending.learn(call, head.status, head.fields, is_account=is_account)
            troubled = policy.is_trouble(outcome)
            if head.status >= 500 or (policy.is_outage(outcome) and head.status != 200):
                self._fails(f"answered {head.status}")
            elif troubled and head.status == 200:
                self._fails(policy.reason(outcome))
            elif self._tally.anthropic_ok():
                logger.info("Anthropic answers again")
            if troubled or head.fields.get(_STATUS) == b"allowed_warning":
                self._alarm()
            if call.is_messages and head.status < 300 and not troubled:
                self._tally.served.by_anthropic((call.digest, call.model))
        # A circuit is for those who have somewhere else to go.
        if key is not None and self._spending.may(call):
            self._tell_circuit(key, outcome, own_circuit=key[1] != call.model)

    def _tell_circuit(self, key: Key, outcome: policy.Outcome, *, own_circuit: bool) -> None:
        verdict = policy.verdict(outcome, self._settings.rules, own_circuit=own_circuit)
        if verdict == "good":
            self._circuits.succeeded(key)
        elif verdict == "failed":
            wished = outcome.retry_after if isinstance(outcome, policy.Answered) else None
            self._circuits.failed(key, policy.reason(outcome), wished)
        elif verdict == "limit" and isinstance(outcome, policy.Answered) and outcome.refusal is not None:
            why = "limit reached" if policy.status_of(outcome) == 429 else policy.reason(outcome)
            self._circuits.rejected(key, outcome.refusal.reset, why)

    async def _finish(self, call: Call, last: _Last, said: BedrockFailure | None) -> int:
        """Send on what came last of Anthropic, or what says more where Bedrock failed too."""
        if said is not None and (last.failed is not None or policy.is_trouble(last.outcome)):
            if last.answer is not None:  # it was asked last, for the circuit was open
                last = last._replace(answer=None, kept=await last.answer.keep())
            return self._both_failed(call, last, said)
        if last.answer is not None:
            return await self._pass_on(call, last.answer)
        if last.kept is not None:
            last.kept.pass_on(call.exchange, call.way.lines)
            return last.kept.head.status
        assert last.failed is not None
        raise self._unreachable(call, last.failed, "")

    def _both_failed(self, call: Call, last: _Last, said: BedrockFailure) -> int:
        """Tell the person what helps most; who fell back to what is in the headers."""
        if not bedrock_errors.is_client_fixable(said):
            self._tally.served.by_nobody(
                (call.digest, call.model), call.way.cause, bedrock_errors.describe(said), said.hint
            )
        exchange = call.exchange
        answered = last.kept is not None or last.failed is None
        whose = policy.after_both_failed(heals=bedrock_errors.is_client_fixable(said), answered=answered)
        if whose == "bedrock" and self._bedrock is not None:  # the client mends its request by these words
            return self._bedrock.tell(call, said)
        mends = bedrock_errors.recovery_hint(said)
        kept = last.kept
        if kept is not None:
            if mends:
                # Claude Code would try for minutes what only a person can mend.
                kept.pass_on_with(exchange, [*call.way.lines, NO_RETRY], mends)
            else:
                kept.pass_on(exchange, call.way.lines)
            return kept.head.status
        if last.failed is not None:
            raise self._unreachable(call, last.failed, mends)
        assert isinstance(last.outcome, policy.Answered)
        status = policy.status_of(last.outcome)
        told = [*call.way.lines, *([NO_RETRY] if mends else [])]
        raise Refused(status, f"Anthropic answered {status}. {mends}".strip(), *told)

    def _unreachable(self, call: Call, failed: UpstreamFailed, mends: str) -> Refused:
        hint = f" ({failed.hint})" if failed.hint else ""
        told = [*call.way.lines]
        if failed.kind == "certificate" or mends:
            told.append(NO_RETRY)  # Claude Code would try again for three minutes
        status = 504 if failed.kind == "timeout" else 502
        return Refused(status, f"cannot reach Anthropic: {failed.detail}{hint}. {mends}".rstrip(" ."), *told)

    async def _pass_on(self, call: Call, answer: Answer) -> int:
        silence = self._settings.response_timeout
        if answer.is_stream:
            self._tally.stream_began()
            try:
                watched = call.is_messages and answer.head.status == 200
                failure = await answer.pass_on(
                    call.exchange, call.way.lines, silence=silence, watched=watched, only_pings=_PINGS_LAST * silence
                )
            finally:
                self._tally.stream_ended()
        else:
            failure = await answer.pass_on(call.exchange, call.way.lines, silence=silence, watched=False)
        if failure is not None:
            self._fails(failure.detail)
        return answer.head.status

    def _fails(self, what: str) -> None:
        if self._tally.anthropic_failed(what):
            logger.warning("Anthropic fails: %s", what)


def _circuit_of(call: Call) -> Key:
    """Return which circuit a call goes by. What is asked for by a beta with limits of its own has one of its own."""
    betas = call.exchange.head.fields.all_of(b"anthropic-beta")
    own = own_limits(betas) if betas else ""
    return (call.digest, f"{call.model} with {own}") if own else (call.digest, call.model)
