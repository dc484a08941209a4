"""The process: a job from standard input, a report to standard output."""

import os
import sys
import threading

import msgspec

from claude_gatewayd.ledger.maintenance.job import EXIT_CODES, Job, Report

_MOST_BYTES = 65536


def main() -> None:
    """Do one job, within its time."""
    job = msgspec.json.decode(sys.stdin.buffer.readline(_MOST_BYTES), type=Job)
    os.nice(5)  # requests come first
    late = threading.Timer(job.seconds, _report, [_too_late(job)])
    late.daemon = True
    late.start()
    from claude_gatewayd.ledger.maintenance.work import work  # SQLAlchemy's import is within the time, too

    _report(work(job))


def _too_late(job: Job) -> Report:
    message = f"cannot {job.job} the ledger {job.database.shown}: it takes longer than {job.seconds:g} s"
    return Report(outcome="later", message=message)


def _report(report: Report) -> None:
    """Print the report and end at once, whatever the other thread is waiting for: what it has begun is rolled back."""
    os.write(1, msgspec.json.encode(report) + b"\n")
    os._exit(EXIT_CODES[report.outcome])


if __name__ == "__main__":
    main()
