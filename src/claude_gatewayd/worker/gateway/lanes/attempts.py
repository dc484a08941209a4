"""Ask Anthropic: one attempt, and further ones as long as `policy` says so."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.anthropic.headers import CLIENT_TIMEOUT, client_timeout, reset_of, retry_after, should_retry
from claude_gatewayd.anthropic.refusals import READ_BY_MESSAGE, Refusal, read_refusal
from claude_gatewayd.http1.head import IDEMPOTENT_METHODS
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.network.connect import Origin
from claude_gatewayd.worker.gateway.authorization import Authorization
from claude_gatewayd.worker.gateway.call import Call
from claude_gatewayd.worker.gateway.lanes import policy
from claude_gatewayd.worker.gateway.lanes.circuit import CircuitKey
from claude_gatewayd.worker.gateway.lanes.fallback import FallbackObstacle
from claude_gatewayd.worker.gateway.lanes.recorder import OutcomeRecorder
from claude_gatewayd.worker.relay.kept_answer import KeptAnswer
from claude_gatewayd.worker.relay.outgoing import OutgoingRequest, outgoing_request
from claude_gatewayd.worker.relay.relay import Answer, Relay, RequestSent
from claude_gatewayd.worker.tally import Tally

_FIRST_EVENT_WITHIN = 5.0  # a stream that begins with pings is not held back longer
_REFUSAL_WITHIN = 2.0  # seconds to wait for the message of a refusal
_QUICK_WITHIN = 15.0  # seconds: somebody waits for `/context`, or for the list of models, and others can answer
_OK = policy.Answered(200)


@dataclass(frozen=True, slots=True)
class AnthropicLaneSettings:
    """The settings of Anthropic's lane. Times in seconds."""

    origin: Origin
    rules: policy.RouterRules
    first_byte_timeout: float
    response_timeout: float


class Obstacles(Protocol):
    """Who could answer in Anthropic's place."""

    async def obstacle(self, call: Call) -> FallbackObstacle | None:
        """Return why it cannot for a call; None if it can."""


class Attempt(NamedTuple):
    """The outcome of one attempt: an *answer* whose body has not been read, or a *failure* to get one."""

    outcome: policy.Outcome
    answer: Answer | None = None
    failure: UpstreamFailed | None = None

    @property
    def is_limit(self) -> bool:
        """Whether it is a 429, whatever the limit."""
        return isinstance(self.outcome, policy.Answered) and policy.status_of(self.outcome) == 429


class Result(NamedTuple):
    """The result of all attempts. *falls_back*: Bedrock is to answer instead.

    *outcome* and *failure* are the last attempt's. *answer* is the last one that was received; None if there is none,
    or if it could not be kept.
    """

    outcome: policy.Outcome
    answer: Answer | KeptAnswer | None = None
    failure: UpstreamFailed | None = None
    falls_back: bool = False


class Attempts:
    """Send calls to Anthropic, each with as many attempts as it needs."""

    def __init__(
        self,
        settings: AnthropicLaneSettings,
        relay: Relay,
        authorization: Authorization,
        recorder: OutcomeRecorder,
        tally: Tally,
    ) -> None:
        self._settings = settings
        self._relay = relay
        self._authorization = authorization
        self._recorder = recorder
        self._tally = tally
        self._now = asyncio.get_running_loop().time  # looked up once: it is a system call up to Python 3.11

    def send(self, call: Call, fallback: Obstacles | None, on_head: Callable[[], None]) -> RequestSent | None:
        """Make the first attempt as far as that goes without waiting; None where it has to wait. `ask` can go on."""
        seconds = self._first_byte_within(call) if fallback is not None else self._client_patience(call, self._now())
        return self._relay.send(call.exchange, self._request(call), seconds, on_head)

    def success(self, sent: RequestSent, *, inspect: bool) -> Answer | None:
        """Return the answer to what was sent, if it is a success as far as it is here; else `ask` has to go on.

        It is still to be recorded.
        """
        got = self._relay.answer(sent)
        if got is None or got.head.status != 200:
            return None
        return got if not (inspect and got.is_stream) or got.begins_well() else None

    async def ask(
        self, call: Call, fallback: Obstacles | None, circuit: CircuitKey | None, sent: RequestSent | None = None
    ) -> Result:
        """Ask until there is a success, a reason to fall back, or nothing else to try.

        *circuit* is None if nothing is to count for one. Without a fallback either, answers need not be inspected. The
        first attempt may have been *sent*.
        """
        settings = self._settings
        now = self._now
        request = sent.request if sent is not None else self._request(call)
        repeatable = call.is_messages or call.exchange.head.method in IDEMPOTENT_METHODS
        inspect = circuit is not None or fallback is not None
        started = sent.at if sent is not None else now()
        retries, refreshed = 0, False
        earlier: Result | None = None
        while True:
            remaining = None
            if earlier is not None and fallback is None:
                # There is an answer for the client, so a retry ends with the time for retries. The first attempt has
                # all the time that the client waits.
                remaining = settings.rules.timeout - (now() - started)
                if remaining <= 0:
                    return earlier
            seconds, longer = self._patience(call, fallback, started, remaining)
            try:
                first, sent = sent, None
                if first is not None and fallback is not None:  # the client's own patience is counted from the start
                    seconds = max(0.0, seconds - (now() - started))
                got = await self._relay.ask(
                    call.exchange, request, seconds=seconds, fresh=refreshed, longer=longer, sent=first
                )
                status = got.head.status
                if status < 300 and not (inspect and status == 200 and got.is_stream):  # nearly always
                    self._recorder.success(call, got.head, circuit)
                    return Result(_OK if status == 200 else policy.Answered(status), got)
                attempt = _judged(got, *await _inspect(got)) if inspect else _judged(got)
            except UpstreamFailed as failed:
                attempt = _failed(failed)
            outcome, answer = attempt.outcome, attempt.answer
            if answer is not None and policy.is_success(outcome):
                self._recorder.success(call, answer.head, circuit)
                return Result(outcome, answer)
            progress = policy.RequestProgress(
                request.body is not None, repeatable, retries, now() - started, refreshed, fallback is not None
            )
            if fallback is not None and attempt.is_limit:
                progress = progress._replace(bought=self._authorization.bought_recently(call))
            decision = policy.decide(outcome, progress, settings.rules)
            if decision.act == "refresh":
                refreshed = True
                continue
            if decision.act == "fallback" and attempt.is_limit and not retries and call.is_messages:
                # At once, and not when Bedrock is asked: the caller's other requests are decided meanwhile.
                self._authorization.note_purchase(call)
            self._recorder.record(
                call,
                outcome,
                answer.head if answer is not None else None,
                attempt.failure,
                circuit if decision.act != "retry first" else None,
            )
            if decision.act in ("fallback", "retry first") and fallback is not None:
                obstacle = await fallback.obstacle(call)
                if obstacle is None and decision.act == "fallback":
                    call.route.fallback, call.route.why = policy.reason(outcome), policy.word(outcome)
                    return Result(outcome, answer, attempt.failure, falls_back=True)
                if obstacle is not None:
                    call.route.fallback = f"none; {obstacle.reason}"
                    fallback = None
                    progress = progress._replace(fallback=False, only_anthropic=obstacle.only_anthropic)
                    decision = policy.decide(outcome, progress, settings.rules)
            if decision.act == "pass":
                # An earlier answer says more than a later failure to get one.
                last = earlier.answer if answer is None and earlier is not None else answer
                return Result(outcome, last, attempt.failure)
            kept = await answer.keep() if answer is not None else None
            earlier = Result(outcome, kept or (earlier.answer if earlier is not None else None), attempt.failure)
            retries += 1
            call.route.retries += 1
            self._tally.retried()
            await asyncio.sleep(decision.after)

    def _request(self, call: Call) -> OutgoingRequest:
        lines = call.facts.kept if call.facts is not None else None
        origin, dropped, replaced = self._settings.origin, call.dropped_headers, call.replaced_headers
        return outgoing_request(call.exchange.head, call.target, call.body, origin, dropped, replaced, lines)

    def _patience(
        self, call: Call, fallback: Obstacles | None, started: float, remaining: float | None
    ) -> tuple[float, Callable[[], Awaitable[float]] | None]:
        """Return the time limit of an attempt, and what may extend it.

        Without a *fallback* it is the client's, which began to wait when all this *started*. *remaining* is what is
        left of the time for retries.
        """
        if fallback is None:
            seconds = self._client_patience(call, started)
            return (seconds if remaining is None else min(seconds, remaining)), None
        return self._first_byte_within(call), partial(self._extend, call, fallback, started)

    def _first_byte_within(self, call: Call) -> float:
        """Return how many seconds Anthropic has for a first byte, where another can answer in its place."""
        settings = self._settings
        seconds = settings.first_byte_timeout if call.parsed.stream else settings.response_timeout
        return seconds if call.is_messages else min(seconds, _QUICK_WITHIN)

    def _client_patience(self, call: Call, started: float) -> float:
        """Return how many seconds more a client waits for a first byte."""
        otherwise = self._settings.response_timeout
        facts = call.facts
        value = facts.client_timeout if facts is not None else call.exchange.head.fields.get(CLIENT_TIMEOUT)
        return (client_timeout(value, otherwise) if value else otherwise) - (self._now() - started)

    async def _extend(self, call: Call, fallback: Obstacles, started: float) -> float:
        """Return how many seconds more to wait for the first byte: none where Bedrock is to answer in its place."""
        if policy.falls_back_on_timeout(self._settings.rules):
            obstacle = await fallback.obstacle(call)
            if obstacle is None:
                return 0.0
            call.route.fallback = f"none; {obstacle.reason}"
        return self._client_patience(call, started)


def _failed(failed: UpstreamFailed) -> Attempt:
    timeout = failed.kind == "timeout"
    outcome = policy.Failed(failed.stale, failed.kind == "certificate", timeout, timeout and failed.asked)
    return Attempt(outcome, failure=failed)


def _judged(answer: Answer, first_error: str | None = None, refusal: Refusal | None = None) -> Attempt:
    """Return an attempt by the head of its answer, and by what its body has shown."""
    status = answer.head.status
    if status < 300 and first_error is None:
        return Attempt(policy.Answered(status), answer)
    fields = answer.head.fields
    wait, again = retry_after(fields.get(b"retry-after")), should_retry(fields.get(b"x-should-retry"))
    return Attempt(policy.Answered(status, wait, again, first_error, refusal), answer)


async def _inspect(answer: Answer) -> tuple[str | None, Refusal | None]:
    """Return the type of the error that a stream begins with, and what an answer says of limits and money.

    Raises UpstreamFailed.
    """
    status, fields = answer.head.status, answer.head.fields
    if status == 200 and answer.is_stream:
        first = await answer.first_event(_FIRST_EVENT_WITHIN)
        if first.verdict != "error":
            return None, None
        kind, message = anthropic_errors.read_error(first.data)
        status = policy.status_of_error(kind)
        return first.error, read_refusal(status, fields, kind, message, reset_of(fields))
    if status in READ_BY_MESSAGE:
        kind, message = await answer.error(_REFUSAL_WITHIN)
        return None, read_refusal(status, fields, kind, message, reset_of(fields))
    return None, None
