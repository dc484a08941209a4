"""Anthropic's lane: the caller's own credential, byte for byte; and when Anthropic cannot, Bedrock at once.

What an outcome means is decided by `policy`, whether Anthropic is worth a try by the circuit. Here it is done.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from claude_gatewayd import bedrock_errors, circuit, policy
from claude_gatewayd.bedrock_errors import Trouble
from claude_gatewayd.bedrock_lane import BedrockLane
from claude_gatewayd.call import NO_RETRY, Call, Refused
from claude_gatewayd.circuit import Circuits
from claude_gatewayd.http1.connect import Origin
from claude_gatewayd.http1.upstream import UpstreamFailed
from claude_gatewayd.kept_answer import KeptAnswer
from claude_gatewayd.relay import Answer, Outgoing, Relay, outgoing
from claude_gatewayd.spending import Spending
from claude_gatewayd.tally import Tally

logger = logging.getLogger(__name__)

_PINGS_HELD = 5.0  # a stream that begins with pings is not held back longer, whatever comes after them
_PINGS_LAST = 3  # times the longest silence: Anthropic thinks for long, and says so by pings
_STATUS = b"anthropic-ratelimit-unified-status"


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

    async def answer(self, call: Call) -> int:
        """Answer a call. Raises Refused, BodyCut."""
        second = self._second(call)
        if second is None:
            return await self._finish(call, await self._ask(call, None, look=False), None)
        said: Trouble | None = None
        key = (call.digest, call.model)
        standing = self._circuits.ask(key)
        if standing == "open" and await self._why_not(call, second) is None:
            call.way.fallback = f"circuit open ({self._circuits.why(key)})"
            answered = await self._from_bedrock(call, second)
            if isinstance(answered, int):
                return answered
            said = answered  # so Anthropic is tried after all
        try:
            last = await self._ask(call, second if said is None else None, look=True)
        finally:
            if standing == "probe":
                self._circuits.released(key)  # if it came to no verdict
        if not last.falls_back:
            return await self._finish(call, last, said)
        # Read while Bedrock is asked: what Anthropic said is the answer if both fail.
        keeping = asyncio.create_task(last.answer.keep()) if last.answer is not None else None
        try:
            answered = await self._from_bedrock(call, second)
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

    async def _why_not(self, call: Call, second: BedrockLane) -> str | None:
        """Say why a call cannot fall back; None: it can. Anthropic's last word may have shown who the caller is."""
        if not self._spending.may(call):
            return "this credential may not spend AWS money yet"
        lacks = await second.why_not(call)
        return None if lacks is None else f"Bedrock does not serve {lacks}"

    async def _from_bedrock(self, call: Call, second: BedrockLane) -> int | Trouble:
        call.way.cause = self._circuits.why((call.digest, call.model)) or call.way.fallback
        answered = await second.answer(call)
        if not isinstance(answered, int):
            call.way.fallback = f"{call.way.fallback}; {bedrock_errors.said(answered)}"
        return answered

    async def _ask(self, call: Call, second: BedrockLane | None, *, look: bool) -> _Last:
        """Ask, and ask again as long as `policy` says so. *second* is there to fall back to.

        With *look* it makes a difference what a stream begins with.
        """
        settings = self._settings
        loop = asyncio.get_running_loop()
        way = outgoing(call.exchange.head, call.target, call.held, settings.origin, call.not_upstream, call.instead)
        repeatable = call.is_messages or call.exchange.head.method in policy.IDEMPOTENT_METHODS
        begun = loop.time()
        retries, refreshed = 0, False
        last: _Last | None = None
        while True:
            # A retry must be over with its time; the first try has all of its own.
            rest = settings.rules.timeout - (loop.time() - begun)
            if last is not None and rest <= 0:
                return last
            tried = await self._try(call, way, rest if last is not None else None, look=look, fresh=refreshed)
            attempt = policy.Attempt(
                way.body is not None, repeatable, retries, loop.time() - begun, refreshed, second is not None
            )
            decision = policy.decide(tried.outcome, attempt, settings.rules)
            if decision.act == "refresh":
                refreshed = True
                continue
            self._learn(call, tried)
            if decision.act == "fallback" and second is not None:
                why_not = await self._why_not(call, second)
                if why_not is None:
                    call.way.fallback = policy.reason(tried.outcome)
                    return tried._replace(falls_back=True)
                call.way.fallback = f"none; {why_not}"
                second, look = None, False
                decision = policy.decide(tried.outcome, attempt._replace(fallback=False), settings.rules)
            if decision.act == "pass":
                # An answer that was kept says more than a later failure to get one.
                return tried._replace(kept=last.kept) if last is not None and tried.answer is None else tried
            kept = await tried.answer.keep() if tried.answer is not None else None
            last = tried._replace(answer=None, kept=kept or (last.kept if last is not None else None))
            retries += 1
            self._tally.retried()
            await asyncio.sleep(decision.after)

    async def _try(self, call: Call, way: Outgoing, rest: float | None, *, look: bool, fresh: bool) -> _Last:
        """Ask once. With *look* the first event of a stream is looked at."""
        seconds = self._settings.first_byte_timeout if call.asked.stream else self._settings.response_timeout
        if rest is not None:
            seconds = min(seconds, rest)
        try:
            answer = await self._relay.ask(call.exchange, way, seconds=seconds, fresh=fresh)
            fields = answer.head.fields
            first_error = None
            if look and answer.is_stream and answer.head.status == 200:
                first = await answer.first_event(_PINGS_HELD)
                first_error = first.error if first.verdict == "error" else None
        except UpstreamFailed as failed:
            outcome = policy.Failed(failed.stale, failed.kind == "certificate", failed.kind == "timeout")
            return _Last(outcome, None, None, failed)
        return _Last(
            policy.Answered(
                answer.head.status,
                policy.retry_after(fields.get(b"retry-after")),
                policy.should_retry(fields.get(b"x-should-retry")),
                first_error,
            ),
            answer,
            None,
            None,
        )

    def _learn(self, call: Call, tried: _Last) -> None:
        """Tell what came of a try to whoever goes by it: the tally, the circuit, the spending, the engine."""
        key = (call.digest, call.model)
        outcome = tried.outcome
        if tried.answer is not None:
            self._spending.learn(call, tried.answer.head.status, tried.answer.head.fields)
        # A circuit is for those who have somewhere else to go.
        counts = self._second(call) is not None and self._spending.may(call)
        if tried.failed is not None:
            self._fails(tried.failed.detail)
            self._alarm()
            if counts and policy.opens_circuit(outcome, self._settings.rules):
                self._circuits.failed(key, policy.reason(outcome))
            return
        assert tried.answer is not None
        head = tried.answer.head
        troubled = policy.is_trouble(outcome)
        if head.status >= 500 or (troubled and head.status == 200):
            self._fails(f"answered {head.status}" if head.status >= 500 else policy.reason(outcome))
        elif self._tally.anthropic_ok():
            logger.info("Anthropic answers again")
        if troubled or head.fields.get(_STATUS) == b"allowed_warning":
            self._alarm()
        if call.is_messages and head.status < 300 and not troubled:
            self._tally.served.by_anthropic(key)
        if not counts or (troubled and not policy.opens_circuit(outcome, self._settings.rules)):
            return
        if head.status == 429 and head.fields.get(_STATUS) == b"rejected":
            self._circuits.rejected(key, circuit.reset_of(head.fields), "limit reached")
        elif troubled:
            self._circuits.failed(key, policy.reason(outcome), policy.retry_after(head.fields.get(b"retry-after")))
        elif head.status < 300:
            self._circuits.succeeded(key)

    async def _finish(self, call: Call, last: _Last, said: Trouble | None) -> int:
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

    def _both_failed(self, call: Call, last: _Last, said: Trouble) -> int:
        """Tell the person what helps most; who fell back to what is in the headers."""
        if not bedrock_errors.heals(said):
            self._tally.served.by_nobody(
                (call.digest, call.model), call.way.cause, bedrock_errors.told_to_person(said), said.hint
            )
        exchange = call.exchange
        answered = last.kept is not None or last.failed is None
        whose = policy.after_both_failed(heals=bedrock_errors.heals(said), answered=answered)
        if whose == "bedrock" and self._bedrock is not None:  # the client mends its request by these words
            return self._bedrock.tell(call, said)
        mends = bedrock_errors.mends(said)
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
