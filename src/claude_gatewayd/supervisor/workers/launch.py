"""The start of a worker's process. It needs little itself: a worker loads while its supervisor does."""

import os
import socket
import subprocess
import time
from typing import NamedTuple

FIRST = 1  # the number of a daemon's first generation
# systemd's: a worker that used them would be taken for the supervisor
_NOT_FOR_WORKERS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class LaunchSpec(NamedTuple):
    """How to start a worker: the interpreter, the socket, and the mode.

    *bound* is the address that we bound ourselves, empty for an inherited socket. *succeeds*: another worker serves
    until this one does, so there is time to load LiteLLM first. *with_engine*: LiteLLM is wanted. A *probe* ends where
    it would begin to accept. *forgets*: it forgets what models at Bedrock have refused.
    """

    interpreter: str
    listener: socket.socket
    bound: str
    succeeds: bool = False
    with_engine: bool = False
    probe: bool = False
    forgets: bool = False

    def command(self, number: int, channel: int) -> list[str]:
        """Return the command line. It starts workers of other versions, too: what an argument means never changes."""
        return [
            *(self.interpreter, "-P", "-m", "claude_gatewayd.worker"),
            *("--listen-fd", str(self.listener.fileno()), "--channel-fd", str(channel)),
            *("--generation", str(number), "--bound", self.bound),
            *(("--succeeds",) if self.succeeds else ()),
            *(("--with-engine",) if self.with_engine else ()),
            *(("--probe",) if self.probe else ()),
        ]


class Launched(NamedTuple):
    """A worker's process, our end of its channel, and when it was started, on the monotonic clock."""

    pid: int
    channel: socket.socket
    at: float


def launch(number: int, spec: LaunchSpec) -> Launched:
    """Start the process of generation *number*. Raises OSError."""
    begun = time.monotonic()
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            spec.command(number, theirs.fileno()),
            pass_fds=(spec.listener.fileno(), theirs.fileno()),
            env={name: value for name, value in os.environ.items() if name not in _NOT_FOR_WORKERS},
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for the supervisor; draining workers outlive a launchd job
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    process.returncode = 0  # no wait() of Popen's: we reap by pid, as for workers that we resumed
    return Launched(process.pid, ours, begun)
