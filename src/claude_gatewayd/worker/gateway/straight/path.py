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
        "_has_ended", "_has_looked", "_is_stream", "_passing", "_path", "_problem", "_remembered", "_sent", "exchange",
        "recording",
    )  # fmt: skip

    def __init__(self, path: "StraightPath", exchange: Exchange, remembered: Remembered, recording: Recording) -> None:
        self.exchange = exchange
        self.recording = recording
        self._path = path
        self._remembered = remembered
        self._sent: RequestSent | None = None
        self._problem: Exception | None = None
        self._passing: Passing | None = None
        self._is_stream = False  # one that is counted
        self._has_looked = False  # at a stream that had not begun
        self._has_ended = False

    def begin(self) -> None:
        """Admit its caller, have its body held, and send it: as far as what is here of it allows."""
        try:
            self._admit()
        except Exception as problem:
            self._problem = problem
            self.exchange.need_task()

    def _admit(self) -> None:
        path, exchange, recording, remembered = self._path, self.exchange, self.recording, self._remembered
        introduction, target = remembered.introduction, remembered.messages_at
        assert introduction is not None
        assert target is not None
        recording.asker, recording.form = introduction.asker, introduction.form
        recording.call = path.gateway.admitted(exchange, MESSAGES, target, introduction)
        if exchange.hold_without_task(path.max_body, path.budget, self._body_is_here):
            self._body_is_here()

    def _body_is_here(self) -> None:
        """Send it soon, or find out that the body will not be had."""
        self._path.in_turn(self._send)

    def _send(self) -> None:
        if self._has_ended:
            return
        try:
            self._sent = self._sent_to_anthropic()
        except Exception as problem:
            self._problem = problem
        if self._sent is None:
            self.exchange.need_task()

    def _sent_to_anthropic(self) -> RequestSent | None:
        """Send it to Anthropic, if that is where it goes and nothing has to be waited for."""
        path, call, body = self._path, self.recording.call, self.exchange.held
        if call is None or body is None:
            return None
        call.body = body
        if path.gateway.parse(call) is not None or path.gateway.lane_of(call) != "anthropic":
            return None
        call.route.lane = "anthropic"
        return path.lane.send(call, self._head_is_here)

    def _head_is_here(self) -> None:
        """Pass the answer on soon, or find out that there is none yet."""
        self._path.in_turn(self._pass_on)

    def _pass_on(self) -> None:
        if self._has_ended or self._sent is None:  # the connection that it aborted reports its end
            return
        try:
            if self._passes_on(self._sent):
                return
        except Exception as problem:
            self._problem = problem
            self._sent.connection.abort()
        self.exchange.need_task()

    def _passes_on(self, sent: RequestSent) -> bool:
        """Begin to pass on a success, or wait for more of a stream. Return whether no task is needed."""
        lane, call = self._path.lane, self.recording.call
        # After an interim answer, the two connections hold each other up.
        if self.exchange.source is not None or call is None:
            return False
        answer = lane.success(sent)
        if answer is None:
            return self._waits_for_more(sent)
        passing = self._passing = lane.begin_to_pass_on(call, answer)
        # The client does not wait for the rest.
        if answer.is_stream:
            self._is_stream = True
            self._path.tally.stream_began()
        lane.succeeded(call, answer)
        if passing.has_all:
            self._end(None)
        else:
            passing.call_with_all(self._end)
        return True

    def _waits_for_more(self, sent: RequestSent) -> bool:
        """Wait once for more of a stream that has just begun: its head often comes before the first event."""
        head = sent.connection.head
        if head is None or head.status != 200 or sent.connection.body_done or self._has_looked:
            return False
        self._has_looked = True
        sent.connection.call_with_head(self._pass_on, _FIRST_EVENT_WITHIN)
        return True

    def _end(self, failure: UpstreamFailed | None) -> None:
        """End: all of the answer is passed on, or its upstream has failed."""
        if self._has_ended:
            return
        try:
            assert self._passing is not None
            failure = self._passing.end(failure)
            self._has_ended = True
            self._leave()
            self._path.lane.passed_on(failure)
            self._path.gateway.ended(self.exchange, self.recording, self.exchange.status)
        except Exception:  # nothing would be left to do for a task
            logger.exception("a request could not be answered: this is a fault of the gateway")
            if not self.exchange.finished:
                self.exchange.abort()

    def _leave(self) -> None:
        tally = self._path.tally
        if self._is_stream:
            tally.stream_ended()
        tally.under_way -= 1

    async def answer(self) -> int:
        """Go on with what was sent. Return the status; 0 if nothing was, and all is as if it had not been begun."""
        if self._problem is not None:
            raise self._problem
        call = self.recording.call
        return await self._path.lane.answer(call, self._sent) if call is not None and self._sent is not None else 0

    def cancel(self) -> None:
        """End it: its client has gone."""
        if self._has_ended:
            return
        self._has_ended = True
        if self._sent is not None:
            self._sent.connection.abort()
        self._path.gateway.cut_off(self.exchange, self.recording)
        self._leave()

    def go_on(self) -> Coroutine[Any, Any, None]:
        """Return what answers it in a task, from where it is."""
        return self._path.gateway.handle(self.exchange, self._remembered, self)


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
        self.gateway = gateway
        self.lane = lane
        self.tally = tally
        self.max_body = max_body
        self.budget = budget
        self._recorder = recorder
        self._loop = asyncio.get_running_loop()
        self._steps: list[Callable[[], None]] = []

    def begin(self, exchange: Exchange, remembered: Remembered) -> Underway | None:
        """Begin to answer a request; None if it asks for anything else than a message, or is not as usual."""
        head = exchange.head
        if head.likeness is None or head.expects_continue or (head.length or 0) > self.max_body:
            return None
        target = remembered.messages_at if head.likeness is remembered.likeness else None
        if target is None:
            target = remembered.messages_at = self.gateway.messages_at(exchange, remembered)
        introduction = remembered.introduction
        if not target or introduction is None or self.gateway.asks_for_key(introduction):
            return None
        self.tally.under_way += 1
        straight = Straight(self, exchange, remembered, self._recorder.begin())
        straight.begin()
        return straight

    def in_turn(self, step: Callable[[], None]) -> None:
        """Take a step: at once, or where much is under way, in the loop's next turn with those that come until then.

        What takes them stays in the processor's caches meanwhile.
        """
        if self.tally.under_way <= _CROWD:
            step()
            return
        if not self._steps:
            self._loop.call_soon(self._take_steps)
        self._steps.append(step)

    def _take_steps(self) -> None:
        steps, self._steps = self._steps, []
        for step in steps:
            step()
