"""One generation as the supervisor sees it: a worker process, and what it last said of itself."""

import asyncio
import logging
import math
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import Any, Literal, Self

from claude_gatewayd.ipc import wire
from claude_gatewayd.problem import Problem

logger = logging.getLogger(__name__)

_DRAIN_GRACE = 5.0
GONE_WITHIN = 5.0  # from a worker's word that its work is done to the end of its process

State = Literal["starting", "serving", "draining", "ended"]

# Systemd's own; a worker that answered it would be taken for the supervisor.
_NOT_FOR_WORKERS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


@dataclass(frozen=True, slots=True)
class Birth:
    """How a worker is started: by which Python, on which socket, and what it finds there.

    *bound* is the address that we bound ourselves, empty for an inherited socket. *succeeds* says that another one
    serves until this one does: so there is time to load LiteLLM first. *with_engine* says that LiteLLM is wanted. A
    *probe* ends where it would begin to accept.
    """

    interpreter: str
    listener: socket.socket
    bound: str
    succeeds: bool = False
    with_engine: bool = False
    probe: bool = False

    def command(self, number: int, channel: int) -> list[str]:
        """Return the command line. A supervisor starts workers of other versions: its arguments keep their sense."""
        return [
            *(self.interpreter, "-P", "-m", "claude_gatewayd.worker"),
            *("--listen-fd", str(self.listener.fileno()), "--channel-fd", str(channel)),
            *("--generation", str(number), "--bound", self.bound),
            *(("--succeeds",) if self.succeeds else ()),
            *(("--with-engine",) if self.with_engine else ()),
            *(("--probe",) if self.probe else ()),
        ]


@dataclass(frozen=True, slots=True)
class Record:
    """What a supervisor tells the next version of itself of a generation. It goes as JSON."""

    number: int
    pid: int
    state: State
    beats: bool
    since: float
    serving_since: float | None
    snapshot: dict[str, Any]
    seconds_left: float | None
    unread: str
    channel: int


class Generation:
    """A worker from its start to the end of its drain."""

    def __init__(self, number: int, pid: int, channel: socket.socket) -> None:
        """Be the one whose worker is there already; `start` starts one."""
        loop = asyncio.get_running_loop()
        self.number = number
        self.pid = pid
        self.state: State = "starting"
        self.since = time.time()
        self.serving_since: float | None = None
        self.snapshot: dict[str, Any] = {}
        self.problems: list[Problem] = []
        self.beats = True  # until it says that its loop ends
        self.silent_for = 0  # ticks of the supervisor's clock since the last beat
        self.overdue_at = math.inf  # on the loop's clock: a drain, or an end, that is not over by then hangs
        self.is_done = False  # it has said that nothing is left to do but to end
        self.settled: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()
        self._borrower: Generation | None = None
        self._loop = loop
        self._lines = wire.Lines()
        self._channel = channel
        channel.setblocking(False)
        loop.add_reader(channel.fileno(), self._hear)

    @classmethod
    def start(cls, number: int, birth: Birth) -> Self:
        """Start the process. Raises OSError."""
        ours, theirs = socket.socketpair()
        try:
            process = subprocess.Popen(
                birth.command(number, theirs.fileno()),
                pass_fds=(birth.listener.fileno(), theirs.fileno()),
                env={name: value for name, value in os.environ.items() if name not in _NOT_FOR_WORKERS},
                stdin=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for the supervisor; draining workers outlive a launchd job
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        process.returncode = 0  # we wait for it by its pid, as for those that we have taken over
        return cls(number, process.pid, ours)

    @classmethod
    def taken_over(cls, record: Record) -> Self:
        """Return one of the program that we were before."""
        os.set_inheritable(record.channel, False)
        one = cls(record.number, record.pid, socket.socket(fileno=record.channel))
        one.state, one.beats = record.state, record.beats
        one.since, one.serving_since = record.since, record.serving_since
        one.snapshot = record.snapshot
        if record.seconds_left is not None:
            one.overdue_at = one._loop.time() + record.seconds_left
        if not record.beats:
            one._has_done()
        one._lines.rest = record.unread.encode()
        _settle(one.settled)
        return one

    def handed_over(self) -> Record:
        """Return what `taken_over` needs. The channel is inherited from now on, and read no more."""
        self._loop.remove_reader(self._channel.fileno())
        self._channel.set_inheritable(True)
        return Record(
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

    def kept(self) -> None:
        """Go on: it was not handed over after all."""
        self._channel.set_inheritable(False)
        self._loop.add_reader(self._channel.fileno(), self._hear)

    @property
    def has_engine(self) -> bool:
        """Say whether it has LiteLLM, or will soon."""
        return self.snapshot.get("litellm", {}).get("state") in ("loading", "ready") or self.is_outdated

    @property
    def is_outdated(self) -> bool:
        """Say whether it cannot load LiteLLM, because files were replaced under it."""
        return bool(self.snapshot.get("outdated"))

    def longest_drain(self, linger: float) -> float:
        """Return the seconds after which a drain that began now hangs."""
        return float(self.snapshot.get("drain_timeout", 0.0)) + linger + _DRAIN_GRACE

    def drain(self, linger: float) -> None:
        """Tell it to accept no more and to end after what it is doing; idle connections after *linger* seconds."""
        if self.state != "ended":
            self.state = "draining"
            self.overdue_at = min(self.overdue_at, self._loop.time() + self.longest_drain(linger))
            self._tell({"do": "drain", "linger": linger})

    def hurry(self) -> None:
        """Tell one that starts to serve as soon as it can: nobody else does."""
        self._tell({"do": "hurry"})

    def lend_keys(self, to: "Generation") -> None:
        """Let it give its AWS keys to one that is to take its place. We pass them on, and keep nothing of them."""
        self._borrower = to
        self._tell({"do": "lend-keys"})

    def look_at_login(self) -> None:
        """Tell it that somebody has logged in to AWS, or out."""
        self._tell({"do": "look-at-login"})

    def outlive(self, linger: float) -> None:
        """Tell it to go on as it is when we have ended, and to drain at SIGTERM."""
        self._tell({"do": "outlive", "linger": linger})

    def kill(self, number: signal.Signals) -> None:
        """Send a signal, if the process is still there."""
        if not self.ended.done():
            os.kill(self.pid, number)  # not reaped: the number is still its own

    def reap(self) -> None:
        """Look whether the process has ended."""
        if self.ended.done():
            return
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # reaped by another: what it ended with is not known
            pid, status = self.pid, 0
        if not pid:
            return
        self._hear()  # what it said last
        self._loop.remove_reader(self._channel.fileno())
        self._channel.close()
        self.state = "ended"
        self.ended.set_result(os.waitstatus_to_exitcode(status))
        _settle(self.settled)

    def _tell(self, message: wire.Message) -> None:
        try:
            self._channel.send(wire.encode(message))
        except OSError as error:
            logger.debug("worker %d was not told to %s: %s", self.number, message["do"], error)

    def _hear(self) -> None:
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
                    self._heard(wire.decode(line))
            except wire.NotAMessage as problem:
                logger.warning("worker %d said what is no message: %s", self.number, problem)

    def _heard(self, message: wire.Message) -> None:
        self.silent_for = 0
        event = message.get("event")
        if event == "lent":
            borrower, self._borrower = self._borrower, None
            if borrower is not None and message.get("loan") is not None:
                borrower._tell({"do": "borrow-keys", "loan": message["loan"]})
            return
        if event == "refused":
            self.problems = [
                Problem(str(p.get("where", "")), str(p.get("message", "")), str(p.get("hint", "")))
                for p in message.get("problems", ())
            ]
            return
        self.snapshot = message.get("snapshot", self.snapshot)
        if event == "ready" and self.state == "starting":
            self.state = "serving"
            self.serving_since = time.time()
            _settle(self.settled)
        elif event == "ending":
            self._has_done()

    def _has_done(self) -> None:
        """Note that it only has to end: what it was is served by others, or written."""
        self.beats, self.is_done = False, True
        self.overdue_at = min(self.overdue_at, self._loop.time() + GONE_WITHIN)

    def end_overdue(self) -> None:
        """End it if it should have ended by now, and say so."""
        if self._loop.time() <= self.overdue_at:
            return
        self.overdue_at = math.inf
        why = f"has done its work, but not ended within {GONE_WITHIN:g} s" if self.is_done else "does not end"
        logger.error("generation %d (pid %d) %s: ending it", self.number, self.pid, why)
        self.kill(signal.SIGKILL)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
