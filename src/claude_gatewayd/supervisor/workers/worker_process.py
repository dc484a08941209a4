"""A worker as the supervisor sees it: its process, and the last snapshot that it has sent."""

import asyncio
import logging
import math
import os
import signal
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from claude_gatewayd.ipc import wire
from claude_gatewayd.ipc.outbox import Outbox
from claude_gatewayd.problem import Problem
from claude_gatewayd.supervisor.workers.launch import Launched, LaunchSpec, launch

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

_DRAIN_GRACE = 5.0
GONE_WITHIN = 5.0  # from a worker's "ending" to the end of its process

WorkerPhase = Literal["starting", "serving", "draining", "ended"]


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker as one version of the supervisor hands it to the next, as JSON. *number* is its generation's."""

    number: int
    pid: int
    state: WorkerPhase
    beats: bool
    since: float
    serving_since: float | None
    snapshot: dict[str, Any]
    seconds_left: float | None
    unread: str
    channel: int


class WorkerProcess:
    """A worker from its start to the end of its drain."""

    def __init__(self, number: int, pid: int, channel: socket.socket) -> None:
        """Represent a worker that already runs; `start` starts one."""
        loop = asyncio.get_running_loop()
        self.number = number
        self.pid = pid
        self.state: WorkerPhase = "starting"
        self.since = time.time()
        self.serving_since: float | None = None
        self.snapshot: dict[str, Any] = {}
        self.problems: list[Problem] = []
        self.beats = True  # until it sends "ending"
        self.silent_for = 0  # ticks of the supervisor's clock since the last beat
        self.at_rest = False  # it sends no beats until there is work, or a probe
        self.on_work: Callable[[], None] = lambda: None  # called when it is not at rest any more
        # called with what the other workers are to know
        self.on_fact: Callable[[WorkerProcess, wire.Message], None] = lambda *_: None
        self.overdue_at = math.inf  # on the loop's clock: whatever has not drained or ended by then hangs
        self.is_done = False  # it has sent "ending": only its exit is left
        self.settled: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()
        self._borrowers: list[WorkerProcess] = []
        self._asked: dict[str, asyncio.Future[wire.Message]] = {}  # by the event that answers
        self._loop = loop
        self._lines = wire.LineBuffer()
        self._channel = channel
        self._outbox = Outbox(channel.fileno())
        loop.add_reader(channel.fileno(), self._read_channel)

    @classmethod
    def start(cls, number: int, spec: LaunchSpec) -> Self:
        """Start the process. Raises OSError."""
        one = cls.launched(number, launch(number, spec))
        if spec.forgets:
            one._order({"do": "forget-refusals"})
        return one

    @classmethod
    def launched(cls, number: int, process: Launched) -> Self:
        """Return the worker of a process that has just been started."""
        return cls(number, process.pid, process.channel)

    @classmethod
    def resumed(cls, state: WorkerState) -> Self:
        """Return a worker that the version before us has handed over."""
        os.set_inheritable(state.channel, False)
        one = cls(state.number, state.pid, socket.socket(fileno=state.channel))
        one.state, one.beats = state.state, state.beats
        one.since, one.serving_since = state.since, state.serving_since
        one.snapshot = state.snapshot
        if state.seconds_left is not None:
            one.overdue_at = one._loop.time() + state.seconds_left
        if not state.beats:
            one._mark_done()
        one._lines.rest = state.unread.encode()
        _settle(one.settled)
        return one

    def hand_over(self) -> WorkerState:
        """Return what `resumed` needs. From now on the channel is inheritable, and not read any more."""
        self._order({"do": "rest-no-more"})  # the next version may take rest for a hang
        self._outbox.finish()
        self._loop.remove_reader(self._channel.fileno())
        self._channel.set_inheritable(True)
        return WorkerState(
            self.number,
            self.pid,
            self.state,
            self.beats,
            self.since,
            self.serving_since,
            self.snapshot,
            None if math.isinf(self.overdue_at) else self.overdue_at - self._loop.time(),
            self._lines.rest.decode(),
            self._channel.fileno(),
        )

    def undo_hand_over(self) -> None:
        """Read the channel again: the hand-over failed."""
        self._channel.set_inheritable(False)
        self._loop.add_reader(self._channel.fileno(), self._read_channel)

    @property
    def has_engine(self) -> bool:
        """Return whether it has LiteLLM, or is loading it."""
        return self.snapshot.get("litellm", {}).get("state") in ("loading", "ready") or self.is_outdated

    @property
    def is_outdated(self) -> bool:
        """Return whether it cannot load LiteLLM because its files were replaced meanwhile."""
        return bool(self.snapshot.get("outdated"))

    @property
    def siblings_wanted(self) -> int:
        """Return how many other workers its generation is to have."""
        return int(self.snapshot.get("workers", 1)) - 1

    @property
    def mark(self) -> str:
        """Return what is another string after a change of the configuration file, or of the program."""
        return f"{self.snapshot.get('config_mark', '')} {self.snapshot.get('code', '')}"

    @property
    def how_it_ended(self) -> str:
        """Return its exit status, or the signal that ended it."""
        status = self.ended.result()
        if status >= 0:
            return f"exit status {status}"
        try:
            return signal.Signals(-status).name
        except ValueError:
            return f"signal {-status}"

    def longest_drain(self, linger: float) -> float:
        """Return the seconds after which a drain that began now would count as hung."""
        return float(self.snapshot.get("drain_timeout", 0.0)) + linger + _DRAIN_GRACE

    def drain(self, linger: float) -> None:
        """Order it to accept no more and end after its requests; idle connections close after *linger* seconds."""
        if self.state != "ended":
            self.state = "draining"
            self.overdue_at = min(self.overdue_at, self._loop.time() + self.longest_drain(linger))
            self._order({"do": "drain", "linger": linger})

    def hurry(self) -> None:
        """Order a starting worker to serve as soon as it can: no other does."""
        self._order({"do": "hurry"})

    def lend_keys(self, to: "WorkerProcess") -> None:
        """Have it lend its AWS keys to its successor. They are passed on and not kept."""
        self._borrowers.append(to)
        self._order({"do": "lend-keys"})

    @staticmethod
    def fact_line(fact: wire.Message) -> bytes:
        """Return what `take_fact` takes."""
        return wire.encode({"do": "take-fact", "fact": fact})

    def take_fact(self, line: bytes) -> None:
        """Let it know what another worker has found out."""
        if not self._outbox.send(line, gives_way=True):
            logger.debug("worker %d does not read: a fact is lost to it", self.number)

    def leave(self) -> None:
        """Have it tell load balancers that it takes no more requests; it serves those that come."""
        self._order({"do": "leave"})

    def look_at_login(self) -> None:
        """Have it look for a new login at AWS, or for a logout."""
        self._order({"do": "look-at-login"})

    async def reach(self, seconds: float) -> wire.Message:
        """Have it connect to Anthropic, and return what it says of that: `failed`, `why`, `hint`. Raises TimeoutError.

        That is by its own environment and permissions, which are not those of a person's shell.
        """
        reached = await self._answered("reached", {"do": "reach"}, seconds)
        return {name: reached.get(name, "") for name in ("failed", "why", "hint")}

    async def models(self, seconds: float, *, refresh: bool) -> wire.Message:
        """Have it list the models of Bedrock, after asking AWS if it is to *refresh* them. Raises TimeoutError."""
        event, order = ("models-refreshed", "refresh-models") if refresh else ("models", "models")
        answer = await self._answered(event, {"do": order}, seconds)
        models = answer.get("models")
        return models if isinstance(models, dict) else {}

    async def dashboard_link(self, seconds: float) -> wire.Message:
        """Have it make a one-time link: `token`, and `off`, why there is no dashboard. Raises TimeoutError."""
        made = await self._answered("dashboard-link", {"do": "dashboard-link"}, seconds)
        return {name: made.get(name, "") for name in ("token", "off")}

    def probe(self) -> None:
        """Have it send a beat. Until then it does not count as at rest."""
        self.at_rest = False
        self._order({"do": "probe"})

    async def probed(self, seconds: float) -> bool:
        """Have it send a beat, and return whether it did so within *seconds*. Its snapshot is fresh then."""
        self.at_rest = False
        try:
            await self._answered("beat", {"do": "probe"}, seconds)
        except TimeoutError:
            return False
        return True

    def outlive(self, linger: float) -> None:
        """Order it to serve on after our end, and to drain at SIGTERM."""
        self._order({"do": "outlive", "linger": linger})

    def kill(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if not self.ended.done():
            os.kill(self.pid, number)  # not reaped yet, so the pid is still its own

    def reap(self) -> None:
        """Check whether the process has ended."""
        if self.ended.done():
            return
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # reaped by something else: its status is lost
            pid, status = self.pid, 0
        if not pid:
            return
        self._read_channel()  # its last messages
        self._loop.remove_reader(self._channel.fileno())
        self._outbox.close()
        self._channel.close()
        self.state = "ended"
        self.ended.set_result(os.waitstatus_to_exitcode(status))
        for asked in self._asked.values():  # nobody answers any more
            asked.set_exception(TimeoutError("the worker has ended"))
            asked.exception()  # who asked may have gone
        self._asked.clear()
        _settle(self.settled)

    async def _answered(self, event: str, order: wire.Message, seconds: float) -> wire.Message:
        """Give an order, and return the event that answers it. Raises TimeoutError."""
        if (asked := self._asked.get(event)) is None:
            asked = self._asked[event] = self._loop.create_future()
            self._order(order)
        async with asyncio.timeout(seconds):
            return await asyncio.shield(asked)

    def _order(self, message: wire.Message) -> None:
        if not self._outbox.send(wire.encode(message)):
            logger.debug("worker %d does not read: it is not sent the order %s", self.number, message["do"])

    def _read_channel(self) -> None:
        while True:
            try:
                data = self._channel.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._loop.remove_reader(self._channel.fileno())
                return
            try:
                for line in self._lines.feed(data):
                    self._on_event(wire.decode(line))
            except wire.NotAMessage as error:
                logger.warning("worker %d sent an invalid message: %s", self.number, error)

    def _on_event(self, message: wire.Message) -> None:
        self.silent_for = 0
        event = message.get("event")
        if event in ("beat", "ready"):
            was, self.at_rest = self.at_rest, message.get("at_rest") is True
            if was and not self.at_rest:
                self.on_work()
        if event == "lent":
            if self._borrowers and message.get("loan") is not None:
                self._borrowers.pop(0)._order({"do": "borrow-keys", "loan": message["loan"]})
            return
        if event == "fact":
            self.on_fact(self, message.get("fact", {}))
            return
        if event in ("reached", "models", "models-refreshed", "dashboard-link"):
            if (asked := self._asked.pop(event, None)) is not None:
                asked.set_result(message)
            return
        if event == "refused":
            self.problems = [Problem.from_message(one) for one in message.get("problems", ())]
            return
        self.snapshot = message.get("snapshot", self.snapshot)
        if event == "beat" and (asked := self._asked.pop(event, None)) is not None:
            asked.set_result(message)
        if event == "ready" and self.state == "starting":
            self.state = "serving"
            self.serving_since = time.time()
            _settle(self.settled)
        elif event == "ending":
            self._mark_done()

    def _mark_done(self) -> None:
        """Note that only its exit is left: others serve, and its files are written."""
        self.beats, self.is_done = False, True
        self.overdue_at = min(self.overdue_at, self._loop.time() + GONE_WITHIN)

    def end_overdue(self) -> None:
        """Kill it if it should have ended by now."""
        if self._loop.time() <= self.overdue_at:
            return
        self.overdue_at = math.inf
        self.kill(signal.SIGKILL)
        why = f"has done its work, but not ended within {GONE_WITHIN:g} s" if self.is_done else "does not end"
        logger.error("generation %d (pid %d) %s: ending it", self.number, self.pid, why)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
