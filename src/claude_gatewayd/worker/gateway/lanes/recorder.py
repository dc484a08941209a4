"""Record what an attempt at Anthropic shows beyond its own request. `policy.lessons` decides; this applies it."""

import logging
from collections.abc import Callable

from claude_gatewayd.http1.head import ResponseHead
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.worker.gateway.authorization import Authorization
from claude_gatewayd.worker.gateway.call import Call
from claude_gatewayd.worker.gateway.lanes import policy
from claude_gatewayd.worker.gateway.lanes.circuit import CircuitKey, Circuits
from claude_gatewayd.worker.tally import Tally

logger = logging.getLogger(__name__)

_AGAIN = "Anthropic answers again"
_STATUS = b"anthropic-ratelimit-unified-status"


class OutcomeRecorder:
    """Keep the tally, the authorization and the circuits up to date.

    *alarm* is called at each sign that Anthropic may soon not answer. The *circuit* of a call is None where nothing is
    to count for it.
    """

    def __init__(
        self,
        rules: policy.RouterRules,
        authorization: Authorization,
        circuits: Circuits,
        tally: Tally,
        alarm: Callable[[], None],
    ) -> None:
        self._rules = rules
        self._authorization = authorization
        self._circuits = circuits
        self._tally = tally
        self._alarm = alarm

    def success(self, call: Call, response: ResponseHead, circuit: CircuitKey | None) -> None:
        """Record a success: what `record` would come to, without the table, for nearly every request is one."""
        self._authorization.learn(call, response.status, response.fields)
        if self._tally.anthropic_ok():
            logger.info(_AGAIN)
        if response.fields.get(_STATUS) == b"allowed_warning":
            self._alarm()
        if call.is_messages:
            self._tally.serving.by_anthropic((call.digest, call.model))
        if circuit is not None and self._authorization.is_known(call):
            self._circuits.succeeded(circuit)

    def record(
        self,
        call: Call,
        outcome: policy.Outcome,
        response: ResponseHead | None,
        failure: UpstreamFailed | None,
        circuit: CircuitKey | None,
    ) -> None:
        """Record any other outcome. It has a *response*, or a *failure* to get one."""
        warned = response is not None and response.fields.get(_STATUS) == b"allowed_warning"
        own_circuit = circuit is not None and bool(circuit.own_limits)
        lessons = policy.lessons(outcome, self._rules, warned=warned, own_circuit=own_circuit)
        if response is not None:
            self._authorization.learn(call, response.status, response.fields, is_account=lessons.is_account)
        if lessons.failure:
            self.failed(lessons.failure if failure is None else failure.detail)
        elif self._tally.anthropic_ok():
            logger.info(_AGAIN)
        if lessons.alarm:
            self._alarm()
        if lessons.is_served and call.is_messages:
            self._tally.serving.by_anthropic((call.digest, call.model))
        # A circuit is for those who have somewhere else to go.
        if circuit is not None and not self._authorization.obstacle(call):
            self._apply(circuit, lessons, outcome)

    def failed(self, detail: str) -> None:
        """Record that Anthropic fails."""
        if self._tally.anthropic_failed(detail):
            logger.warning("Anthropic fails: %s", detail)

    def _apply(self, circuit: CircuitKey, lessons: policy.Lessons, outcome: policy.Outcome) -> None:
        answered = outcome if isinstance(outcome, policy.Answered) else None
        if lessons.circuit == "good":
            self._circuits.succeeded(circuit)
        elif lessons.circuit == "failed":
            self._circuits.failed(circuit, lessons.reason, answered.retry_after if answered is not None else None)
        elif lessons.circuit == "limit":
            reset = answered.refusal.reset if answered is not None and answered.refusal is not None else 0.0
            self._circuits.rejected(circuit, reset, lessons.reason)
