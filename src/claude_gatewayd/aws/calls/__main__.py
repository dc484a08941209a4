"""The process: a call from standard input, what came of it to standard output."""

import os
import sys
import threading
import time

import msgspec

from claude_gatewayd.aws import client
from claude_gatewayd.aws.calls.job import CallJob, CallReport

_MOST_BYTES = 1024 * 1024
_WITHIN = 80.0  # seconds: the client's own limits, of all its attempts, are shorter
_LOOKS_EVERY = 1.0


def main() -> None:
    """Make one call."""
    parent = os.getppid()
    job = msgspec.json.decode(sys.stdin.buffer.readline(_MOST_BYTES), type=CallJob)
    threading.Thread(target=_watch, args=(parent, job.action), daemon=True).start()
    try:
        response = client.ask(job.asked, job.egress(dict(os.environ)))
    except client.CallFailed as failed:
        _report(CallReport.of_failure(failed))
    _report(CallReport(response=response))


def _watch(parent: int, action: str) -> None:
    """End with the worker, which may have been killed, and when it takes too long."""
    until = time.monotonic() + _WITHIN
    while time.monotonic() < until:
        time.sleep(_LOOKS_EVERY)
        if os.getppid() != parent:
            os._exit(1)
    _report(CallReport(kind="AwsOffline", action=action, why=f"AWS did not answer within {_WITHIN:g} s"))


def _report(report: CallReport) -> None:
    """Print the report and end at once, whatever the other thread is waiting for."""
    left = msgspec.json.encode(report) + b"\n"
    while left:
        left = left[os.write(1, left) :]
    os._exit(0)


if __name__ == "__main__":
    main()
