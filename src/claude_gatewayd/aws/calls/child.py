"""The child that asks AWS. All of it blocks, but for `close`."""

import subprocess
import sys
import threading
from typing import Any, Final

import msgspec

from claude_gatewayd.aws import client
from claude_gatewayd.aws.calls.job import CallJob, CallReport
from claude_gatewayd.aws.client import AwsCall, AwsServiceError
from claude_gatewayd.network.egress import Egress

_COMMAND: Final = (sys.executable, "-P", "-m", "claude_gatewayd.aws.calls")  # nothing from the directory it runs in
_KILLED_AFTER: Final = 90.0  # seconds: it ends sooner by itself


class CallsByChild:
    """Make each call in a child of its own, which ends with it. Several may be under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[bytes]] = set()
        self._is_closed = False

    def ask(self, asked: AwsCall, egress: Egress) -> dict[str, Any]:
        """Return AWS's response, as `client.ask` does. Raises CallFailed."""
        try:
            child = self._start(asked, egress)
        except OSError:  # there is no room for a process: for keys it is worth to do without
            return client.ask(asked, egress)
        try:
            with child:  # which closes its pipes
                try:
                    job = msgspec.json.encode(CallJob.of(asked, egress)) + b"\n"
                    output, _ = child.communicate(job, _KILLED_AFTER)
                finally:
                    child.kill()
            report = msgspec.json.decode(output, type=CallReport)
        except (subprocess.TimeoutExpired, msgspec.MsgspecError, OSError, ValueError):
            why = f"the process that asks AWS has ended without an answer, with status {child.poll()}"
            raise AwsServiceError(asked.action, why, "claude-gatewayctl doctor") from None
        finally:
            with self._lock:
                self._children.discard(child)
        if (failure := report.failure) is not None:
            raise failure
        return report.response

    def close(self) -> None:
        """End the children, without waiting: the threads that have started them do. No more are started."""
        with self._lock:
            self._is_closed = True
            for child in self._children:
                child.kill()

    def _start(self, asked: AwsCall, egress: Egress) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._is_closed:
                raise AwsServiceError(asked.action, "the worker ends")
            child = subprocess.Popen(
                _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env=dict(egress.environ),
            )  # fmt: skip
            self._children.add(child)
            return child
