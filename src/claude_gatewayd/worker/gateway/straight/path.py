"""The straight path: a usual request is sent on, and its answer passed back, by the very calls that bring their bytes.

No task is woken for it, and nothing is awaited. Nothing is decided here that is not decided for all requests, by the
same functions; and as soon as anything is not as usual, a task goes on from there.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from claude_gatewayd.anthropic.request import MESSAGES
from claude_gatewayd.http1.flow import Budget
from claude_gatewayd.http1.server.exchange import Exchange, Underway
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.worker.gateway.call import Call
from claude_gatewayd.worker.gateway.introduction import Introduction, Remembered
from claude_gatewayd.worker.gateway.lanes.anthropic import AnthropicLane
from claude_gatewayd.worker.gateway.recording.record import Recording
from claude_gatewayd.worker.gateway.recording.recorder import UsageRecorder
from claude_gatewayd.worker.relay.relay import RequestSent
from claude_gatewayd.worker.tally import Tally

if TYPE_CHECKING:
    from claude_gatewayd.worker.relay.passing import Passing

logger = logging.getLogger(__name__)

_CROWD = 4  # requests under way
_FIRST_EVENT_WITHIN = 0.5  # seconds: then a task waits for it


class Straight:
    """One request on the path. It is *sent* or not; a *problem* is raised in the task that goes on."""

    __slots__ = (
        "_path", "exchange", "has_ended", "has_looked", "is_stream", "passing", "problem", "recording", "remembered",
        "sent",
    )  # fmt: skip

    def __init__(self, path: "StraightPath", exchange: Exchange, remembered: Remembered, recording: Recording) -> None:
        self.exchange = exchange
        self.remembered = remembered
        self.recording = recording
        self.sent: RequestSent | None = None
        self.problem: Exception | None = None
        self.passing: Passing | None = None
        self.is_stream = False  # one that is counted
        self.has_looked = False  # at a stream that had not begun
        self.has_ended = False
        self._path = path

    def begin(self) -> None:
        """Admit its caller, and have its body held."""
        try:
            self._path.admit(self)
        except Exception as problem:
            self.problem = problem
            self.exchange.need_task()

    def send_in_turn(self) -> None:
        """Send it likewise, when there is time for it."""
        self._path.in_turn(self.send)

    def send(self) -> None:
        """Send it, if it goes to Anthropic: its body is here, or will not be had."""
        if self.has_ended:
            return
        try:
            self.sent = self._path.send(self)
        except Exception as problem:
            self.problem = problem
        if self.sent is None:
            self.exchange.need_task()

    def pass_on_in_turn(self) -> None:
        """Pass the answer on likewise, when there is time for it."""
        self._path.in_turn(self.pass_on)

    def pass_on(self) -> None:
        """Begin to pass on the answer, if it is a success as far as it is here."""
        if self.has_ended or self.sent is None:  # the connection that it aborted reports its end
            return
        try:
            if self._path.pass_on(self, self.sent):
                return
        except Exception as problem:
            self.problem = problem
            self.sent.connection.abort()
        self.exchange.need_task()

    def end(self, failure: UpstreamFailed | None) -> None:
        """End: all of the answer is passed on, or its upstream has failed."""
        if self.has_ended:
            return
        try:
            self._path.end(self, failure)
        except Exception:  # nothing would be left to do for a task
            logger.exception("a request could not be answered: this is a fault of the gateway")
            if not self.exchange.finished:
                self.exchange.abort()

    async def answer(self) -> int:
        """Go on with what was sent. Return the status; 0 if nothing was, and all is as if it had not been begun."""
        if self.problem is not None:
            raise self.problem
        return await self._path.answer(self, self.sent) if self.sent is not None else 0

    def cancel(self) -> None:
        """End it: its client has gone."""
        if self.has_ended:
            return
        self.has_ended = True
        if self.sent is not None:
            self.sent.connection.abort()
        self._path.cancelled(self)

    def go_on(self) -> Coroutine[Any, Any, None]:
        """Return what answers it in a task, from where it is."""
        return self._path.go_on(self)


class Decides(Protocol):
    """What decides about all requests: the gateway."""

    def messages_at(self, exchange: Exchange, remembered: Remembered) -> bytes:
        """Return the target of a request that asks for a message, by its header lines; b"" of any other."""

    def asks_for_key(self, introduction: Introduction) -> bool:
        """Whether it has to be found out whose key a caller has."""

    def admitted(self, exchange: Exchange, path: bytes, target: bytes, introduction: Introduction) -> Call:
        """Admit the caller. Raises Refused."""

    def parse(self, call: Call) -> str | None:
        """Read the model from the body; return what it is an alias of."""

    def lane_of(self, call: Call) -> str:
        """Return the lane of a call for Anthropic's API."""

    def ended(self, exchange: Exchange, recording: Recording, status: int) -> None:
        """Count and record a request that has ended."""

    def cut_off(self, exchange: Exchange, recording: Recording) -> None:
        """Count and record one whose client has gone."""

    async def handle(self, exchange: Exchange, remembered: Remembered, straight: Straight | None) -> None:
        """Answer one request, which may have been begun straight."""


class StraightPath:
    """Begin requests for messages of Anthropic's. *max_body* and *budget* are for their bodies."""

    def __init__(
        self,
        gateway: Decides,
        lane: AnthropicLane,
        recorder: UsageRecorder,
        tally: Tally,
        max_body: int,
        budget: Budget,
    ) -> None:
        self._gateway = gateway
        self._lane = lane
        self._recorder = recorder
        self._tally = tally
        self._max_body = max_body
        self._budget = budget
        self._loop = asyncio.get_running_loop()
        self._steps: list[Callable[[], None]] = []

    def begin(self, exchange: Exchange, remembered: Remembered) -> Underway | None:
        """Begin to answer a request; None if it asks for anything else than a message, or is not as usual."""
        head = exchange.head
        if head.likeness is None or head.expects_continue or (head.length or 0) > self._max_body:
            return None
        target = remembered.messages_at if head.likeness is remembered.likeness else None
        if target is None:
            target = remembered.messages_at = self._gateway.messages_at(exchange, remembered)
        introduction = remembered.introduction
        if not target or introduction is None or self._gateway.asks_for_key(introduction):
            return None
        self._tally.under_way += 1
        straight = Straight(self, exchange, remembered, self._recorder.begin())
        straight.begin()
        return straight

    def admit(self, straight: Straight) -> None:
        """Admit the caller of a request, and have its body held. Raises Refused."""
        exchange, recording, remembered = straight.exchange, straight.recording, straight.remembered
        introduction, target = remembered.introduction, remembered.messages_at
        assert introduction is not None
        assert target is not None
        recording.asker, recording.form = introduction.asker, introduction.form
        recording.call = self._gateway.admitted(exchange, MESSAGES, target, introduction)
        if exchange.hold_without_task(self._max_body, self._budget, straight.send_in_turn):
            self.in_turn(straight.send)

    def in_turn(self, step: Callable[[], None]) -> None:
        """Take a step: at once, or where much is under way, in the loop's next turn with those that come until then.

        What takes them stays in the processor's caches meanwhile.
        """
        if self._tally.under_way <= _CROWD:
            step()
            return
        if not self._steps:
            self._loop.call_soon(self._take_steps)
        self._steps.append(step)

    def _take_steps(self) -> None:
        steps, self._steps = self._steps, []
        for step in steps:
            step()

    def send(self, straight: Straight) -> RequestSent | None:
        """Send a request to Anthropic, if that is where it goes and nothing has to be waited for."""
        call = straight.recording.call
        body = straight.exchange.held
        if call is None or body is None:
            return None
        call.body = body
        if self._gateway.parse(call) is not None or self._gateway.lane_of(call) != "anthropic":
            return None
        call.route.lane = "anthropic"
        return self._lane.send(call, straight.pass_on_in_turn)

    def pass_on(self, straight: Straight, sent: RequestSent) -> bool:
        """Begin to pass on a success, or wait for more of a stream. Return whether no task is needed."""
        call = straight.recording.call
        # After an interim answer, the two connections hold each other up.
        if straight.exchange.source is not None or call is None:
            return False
        answer = self._lane.success(call, sent)
        if answer is None:
            return self._waits_for_more(straight, sent)
        if answer.is_stream:
            straight.is_stream = True
            self._tally.stream_began()
        straight.passing = self._lane.begin_to_pass_on(call, answer)
        self._lane.succeeded(call, answer)  # the client does not wait for it
        if straight.passing.has_all:
            straight.end(None)
        else:
            straight.passing.call_with_all(straight.end)
        return True

    def _waits_for_more(self, straight: Straight, sent: RequestSent) -> bool:
        """Wait once for more of a stream that has just begun: its head often comes before the first event."""
        head = sent.connection.head
        if head is None or head.status != 200 or sent.connection.body_done or straight.has_looked:
            return False
        straight.has_looked = True
        sent.connection.call_with_head(straight.pass_on, _FIRST_EVENT_WITHIN)
        return True

    def end(self, straight: Straight, failure: UpstreamFailed | None) -> None:
        """End an answer and its request."""
        assert straight.passing is not None
        failure = straight.passing.end(failure)
        straight.has_ended = True
        self._leave(straight)
        self._lane.passed_on(failure)
        self._gateway.ended(straight.exchange, straight.recording, straight.exchange.status)

    def _leave(self, straight: Straight) -> None:
        if straight.is_stream:
            self._tally.stream_ended()
        self._tally.under_way -= 1

    async def answer(self, straight: Straight, sent: RequestSent) -> int:
        """Answer a request that was sent. Return the status."""
        assert straight.recording.call is not None
        return await self._lane.answer(straight.recording.call, sent)

    def cancelled(self, straight: Straight) -> None:
        """End a request whose client has gone."""
        self._gateway.cut_off(straight.exchange, straight.recording)
        self._leave(straight)

    def go_on(self, straight: Straight) -> Coroutine[Any, Any, None]:
        """Return what answers a request in a task, from where it is."""
        return self._gateway.handle(straight.exchange, straight.remembered, straight)
