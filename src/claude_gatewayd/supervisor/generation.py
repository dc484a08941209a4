"""One generation as the supervisor sees it: a worker process, and what it last said of itself."""

import asyncio
import logging
import math
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any, Literal

from claude_gatewayd import wire
from claude_gatewayd.model import Problem

logger = logging.getLogger(__name__)

_DRAIN_GRACE = 5.0

State = Literal["starting", "serving", "draining", "ended"]

# Systemd's own; a worker that answered it would be taken for the supervisor.
_NOT_FOR_WORKERS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Generation:
    """A worker from its start to the end of its drain."""

    def __init__(self, number: int, listener: socket.socket, bound: str, older: "Generation | None") -> None:
        """Start the process. *bound* is the address that we bound ourselves, empty for an inherited socket.

        *older* is the one that serves until this one does: so there is time to load LiteLLM first.
        """
        loop = asyncio.get_running_loop()
        self.number = number
        self.state: State = "starting"
        self.since = time.time()
        self.serving_since: float | None = None
        self.snapshot: dict[str, Any] = {}
        self.problems: list[Problem] = []
        self.silent_for = 0  # ticks of the supervisor's clock since the last beat
        self.overdue_at = math.inf  # on the loop's clock: a drain that is not over by then hangs
        self.settled: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()
        self._loop = loop
        self._lines = wire.Lines()
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        try:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "claude_gatewayd.worker"),
                    *("--listen-fd", str(listener.fileno()), "--channel-fd", str(theirs.fileno())),
                    *("--generation", str(number), "--bound", bound),
                    *(("--succeeds",) if older is not None else ()),
                    *(("--with-engine",) if older is not None and older.has_engine else ()),
                ],
                pass_fds=(listener.fileno(), theirs.fileno()),
                env={name: value for name, value in os.environ.items() if name not in _NOT_FOR_WORKERS},
                stdin=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for the supervisor; draining workers outlive a launchd job
            )
        finally:
            theirs.close()
        loop.add_reader(self._channel.fileno(), self._hear)

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    @property
    def has_engine(self) -> bool:
        """Say whether it has LiteLLM, or will soon."""
        return self.snapshot.get("litellm", {}).get("state") in ("loading", "ready")

    def drain(self, linger: float) -> None:
        """Tell it to accept no more and to end after what it is doing; idle connections after *linger* seconds."""
        if self.state != "ended":
            self.state = "draining"
            longest = float(self.snapshot.get("drain_timeout", 0.0)) + linger + _DRAIN_GRACE
            self.overdue_at = min(self.overdue_at, self._loop.time() + longest)
            self._tell({"do": "drain", "linger": linger})

    def kill(self, number: signal.Signals) -> None:
        """Send a signal, if the process is still there."""
        if not self.ended.done():
            self._process.send_signal(number)

    def reap(self) -> None:
        """Look whether the process has ended."""
        if self.ended.done():
            return
        status = self._process.poll()
        if status is None:
            return
        self._hear()  # what it said last
        self._loop.remove_reader(self._channel.fileno())
        self._channel.close()
        self.state = "ended"
        self.ended.set_result(status)
        _settle(self.settled)

    def _tell(self, message: wire.Message) -> None:
        try:
            self._channel.send(wire.encode(message))
        except OSError as error:
            logger.debug("worker %d was not told %s: %s", self.number, message, error)

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


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
