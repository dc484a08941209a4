"""The process: a call from standard input, what came of it to standard output."""

import os
import sys
import threading

import msgspec

from claude_gatewayd.aws import client
from claude_gatewayd.aws.calls.job import CallJob, CallReport

_MOST_BYTES = 1024 * 1024
_WITHIN = 80.0  # seconds: the client's own limits, of all its attempts, are shorter


def main() -> None:
    """Make one call."""
    job = msgspec.json.decode(sys.stdin.buffer.readline(_MOST_BYTES), type=CallJob)
    late = CallReport(kind="AwsOffline", action=job.action, why=f"AWS did not answer within {_WITHIN:g} s")
    timer = threading.Timer(_WITHIN, _report, [late])
    timer.daemon = True
    timer.start()
    try:
        response = client.ask(job.asked, job.egress(dict(os.environ)))
    except client.CallFailed as failed:
        _report(CallReport.of_failure(failed))
    _report(CallReport(response=response))


def _report(report: CallReport) -> None:
    """Print the report and end at once, whatever the other thread is waiting for."""
    left = msgspec.json.encode(report) + b"\n"
    while left:
        left = left[os.write(1, left) :]
    os._exit(0)


if __name__ == "__main__":
    main()
