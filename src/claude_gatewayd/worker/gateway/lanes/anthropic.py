"""Anthropic's lane: the caller's own credential, byte for byte; and when Anthropic cannot answer, Bedrock at once.

`policy` decides what an outcome means, the circuit whether Anthropic is worth an attempt. Both are applied here.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Protocol

from claude_gatewayd.anthropic.headers import betas_with_own_limits
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.worker.gateway.authorization import Authorization
from claude_gatewayd.worker.gateway.call import NO_RETRY, Call, Refused
from claude_gatewayd.worker.gateway.lanes import policy
from claude_gatewayd.worker.gateway.lanes.attempts import AnthropicLaneSettings, Attempts, Obstacles, Result
from claude_gatewayd.worker.gateway.lanes.bedrock import BedrockLane
from claude_gatewayd.worker.gateway.lanes.circuit import CircuitKey, Circuits, circuit_key
from claude_gatewayd.worker.gateway.lanes.fallback import Fallback
from claude_gatewayd.worker.gateway.lanes.recorder import OutcomeRecorder
from claude_gatewayd.worker.relay.passing import Passing
from claude_gatewayd.worker.relay.relay import Answer, Relay, RequestSent
from claude_gatewayd.worker.tally import Tally
from claude_gatewayd.worker.usage.budget import BudgetState

_PING_SILENCES = 3  # longest silences with nothing but pings, which Anthropic sends while a model thinks


class StandIn(Obstacles, Protocol):
    """Who replies in Anthropic's place."""

    def reply(self, call: Call) -> int:
        """Answer a call. Return the status."""


class AnthropicLane:
    """Answer calls from Anthropic, or in its place from Bedrock.

    *bedrock* is None if there is no fallback, and *budget* is what that may cost. *alarm* is called at each sign that
    Anthropic may soon not answer.
    """

    def __init__(
        self,
        settings: AnthropicLaneSettings,
        relay: Relay,
        bedrock: BedrockLane | None,
        authorization: Authorization,
        circuits: Circuits,
        tally: Tally,
        alarm: Callable[[], None],
        budget: Callable[[], BudgetState],
    ) -> None:
        self._settings = settings
        self._fallback = Fallback(bedrock, authorization, budget) if bedrock is not None else None
        self._circuits = circuits
        self._tally = tally
        self._recorder = OutcomeRecorder(settings.rules, authorization, circuits, tally, alarm)
        self._attempts = Attempts(settings, relay, authorization, self._recorder, tally)

    def send(self, call: Call, on_head: Callable[[], None]) -> RequestSent | None:
        """Ask for a message as far as that goes without waiting; None where it has to wait. `answer` can go on.

        *on_head* is called once, when there may be a `success`.
        """
        if self._fallback is not None and self._circuits.is_known(_circuit_of(call)):
            return None
        return self._attempts.send(call, self._fallback, on_head)

    def success(self, sent: RequestSent) -> Answer | None:
        """Return Anthropic's answer, if it is a success as far as it is here; None if `answer` has to go on.

        It is to be recorded by `succeeded`, once the client has what is here of it.
        """
        return self._attempts.success(sent, inspect=self._fallback is not None)

    def succeeded(self, call: Call, answer: Answer) -> None:
        """Record a `success`."""
        self._recorder.success(call, answer.head, _circuit_of(call) if self._fallback is not None else None)

    async def answer(self, call: Call, sent: RequestSent | None = None) -> int:
        """Answer a call, which may have been *sent* by `send`. Raises Refused, BodyCut."""
        if call.is_count and call.body is not None and self._fallback is not None:
            return await self._count(call, self._fallback)
        fallback = self._fallback if call.is_messages and call.body is not None else None
        if fallback is None:
            return await self._finish(call, await self._attempts.ask(call, None, None, sent), None)
        failure: BedrockFailure | None = None
        circuit = _circuit_of(call)
        state = self._circuits.admit(circuit) if sent is None else "closed"
        if state == "open" and await fallback.obstacle(call) is None:
            call.route.fallback, call.route.why = f"circuit open ({self._circuits.reason(circuit)})", "circuit"
            answered = await self._from_bedrock(call, fallback, circuit)
            if isinstance(answered, int):
                return answered
            failure = answered  # so Anthropic is asked after all
        try:
            result = await self._attempts.ask(call, fallback if failure is None else None, circuit, sent)
        finally:
            if state == "probe":
                self._circuits.released(circuit)  # if it came to no verdict
        if not result.falls_back:
            return await self._finish(call, result, failure)
        # Read while Bedrock is asked: Anthropic's answer is the client's if both fail.
        keeping = asyncio.create_task(result.answer.keep()) if isinstance(result.answer, Answer) else None
        try:
            answered = await self._from_bedrock(call, fallback, circuit)
            if isinstance(answered, int):
                return answered
            kept = await keeping if keeping is not None else None
        finally:
            if keeping is not None:
                keeping.cancel()
        return await self._finish(call, result._replace(answer=kept), answered)

    async def _count(self, call: Call, fallback: Fallback) -> int:
        """Have Anthropic count tokens, and Bedrock where Anthropic cannot. Neither counts for a circuit.

        If Bedrock cannot, the client learns that at once and estimates: Anthropic's failure would have it retry.
        """
        circuit = _circuit_of(call)
        if self._circuits.is_open(circuit) and await fallback.obstacle(call) is None:
            call.route.fallback, call.route.why = f"circuit open ({self._circuits.reason(circuit)})", "circuit"
            return await fallback.count(call)
        result = await self._attempts.ask(call, fallback, None)
        if not result.falls_back:
            return await self._finish(call, result, None)
        keeping = asyncio.create_task(result.answer.keep()) if isinstance(result.answer, Answer) else None
        try:
            return await fallback.count(call)
        finally:
            if keeping is not None:
                keeping.cancel()

    async def answer_or(self, call: Call, stand_in: StandIn) -> int:
        """Answer a call that has no circuit; *stand_in* replies where Anthropic cannot serve. Raises Refused."""
        result = await self._attempts.ask(call, stand_in, None)
        if not result.falls_back:
            return await self._finish(call, result, None)
        if isinstance(result.answer, Answer):
            result.answer.abort()
        return stand_in.reply(call)

    async def _from_bedrock(self, call: Call, fallback: Fallback, circuit: CircuitKey) -> int | BedrockFailure:
        call.route.cause = self._circuits.reason(circuit) or call.route.fallback
        answered = await fallback.answer(call)
        if not isinstance(answered, int):
            call.route.fallback = f"{call.route.fallback}; {bedrock_errors.summary(answered)}"
        return answered

    def _finish(self, call: Call, result: Result, failure: BedrockFailure | None) -> Coroutine[None, None, int]:
        """Pass Anthropic's answer on, or what helps more if Bedrock failed, too, with *failure*."""
        if failure is None and isinstance(result.answer, Answer) and not call.route.refused_by_key:
            return self._pass_on(call, result.answer)
        return self._help(call, result, failure)

    async def _help(self, call: Call, result: Result, failure: BedrockFailure | None) -> int:
        answer = result.answer
        if failure is not None and (result.failure is not None or policy.is_failure(result.outcome)):
            if isinstance(answer, Answer):  # Anthropic was asked last, for the circuit was open
                result = result._replace(answer=await answer.keep())
            return self._both_failed(call, result, failure)
        if isinstance(answer, Answer) and (policy.is_success(result.outcome) or not call.route.refused_by_key):
            return await self._pass_on(call, answer)
        if isinstance(answer, Answer):
            answer = await answer.keep()
        if answer is not None:
            if call.route.refused_by_key:
                answer.pass_on_with(call.exchange, call.route.lines, call.route.refused_by_key)
            else:
                answer.pass_on(call.exchange, call.route.lines)
            return answer.head.status
        raise self._no_answer(call, result, "")

    def _both_failed(self, call: Call, result: Result, failure: BedrockFailure) -> int:
        """Answer with what helps the person most. The headers report what was tried."""
        fixable = bedrock_errors.is_client_fixable(failure)
        if not fixable:
            description = bedrock_errors.describe(failure)
            self._tally.serving.by_nobody((call.digest, call.model), call.route.cause, description, failure.hint)
        kept = result.answer
        answered = kept is not None or result.failure is None
        whose = policy.after_both_failed(is_client_fixable=fixable, answered=answered)
        if whose == "bedrock" and self._fallback is not None:
            return self._fallback.reply_failure(call, failure)
        recovery = bedrock_errors.recovery_hint(failure)
        if kept is None:
            raise self._no_answer(call, result, recovery)
        assert not isinstance(kept, Answer)
        if recovery:
            # Without NO_RETRY Claude Code would retry for minutes; where it is but about the model, Anthropic may help.
            lines = call.route.lines if failure.step else [*call.route.lines, NO_RETRY]
            kept.pass_on_with(call.exchange, lines, recovery)
        else:
            kept.pass_on(call.exchange, call.route.lines)
        return kept.head.status

    def _no_answer(self, call: Call, result: Result, recovery: str) -> Refused:
        """Return an answer of our own, as there is none of Anthropic's, or it could not be kept."""
        if result.failure is not None:
            return self._unreachable(call, result.failure, recovery)
        assert isinstance(result.outcome, policy.Answered)
        status = policy.status_of(result.outcome)
        lines = [*call.route.lines, *([NO_RETRY] if recovery else [])]
        return Refused(status, f"Anthropic answered {status}. {recovery or call.route.refused_by_key}".strip(), *lines)

    def _unreachable(self, call: Call, failure: UpstreamFailed, recovery: str) -> Refused:
        hint = f" ({failure.hint})" if failure.hint else ""
        lines = [*call.route.lines]
        if failure.kind == "certificate" or recovery:
            lines.append(NO_RETRY)  # Claude Code would retry for three minutes
        status, more = 504 if failure.kind == "timeout" else 502, recovery or call.route.refused_by_key
        return Refused(status, f"cannot reach Anthropic: {failure.detail}{hint}. {more}".rstrip(" ."), *lines)

    async def _pass_on(self, call: Call, answer: Answer) -> int:
        if answer.is_stream:
            self._tally.stream_began()
        try:
            self.passed_on(await self.begin_to_pass_on(call, answer).until_end())
        finally:
            if answer.is_stream:
                self._tally.stream_ended()
        return answer.head.status

    def begin_to_pass_on(self, call: Call, answer: Answer) -> Passing:
        """Pass on what is here of an answer. Return what passes on the rest."""
        silence = self._settings.response_timeout
        passing = answer.passing(call.exchange)
        lines, meter = call.route.lines, call.route.meter
        if answer.is_stream:
            watched = call.is_messages and answer.head.status == 200
            pings = _PING_SILENCES * silence
            passing.begin(lines, meter=meter, silence=silence, watched=watched, only_pings=pings)
        else:
            passing.begin(lines, meter=meter, silence=silence, watched=False)
        return passing

    def passed_on(self, failure: UpstreamFailed | None) -> None:
        """Record how Anthropic failed in the course of its answer, if it did."""
        if failure is not None:
            self._recorder.failed(failure.detail)


def _circuit_of(call: Call) -> CircuitKey:
    """Return the circuit of a call. A beta with limits of its own has its own circuit."""
    if call.facts is not None:
        return circuit_key(call.digest, call.model, call.facts.own_limits)
    betas = call.exchange.head.fields.all_of(b"anthropic-beta")
    return circuit_key(call.digest, call.model, betas_with_own_limits(betas) if betas else "")
