"""Set up logging: to stderr, formatted for a terminal or the journal; to a file of our own as launchd's agent."""

import contextlib
import logging
import os
import sys
from collections.abc import Mapping
from copy import copy

from claude_gatewayd import paths, printable
from claude_gatewayd.problem import Problem

# they log keys, tokens and requests at DEBUG, and tracebacks at WARNING; we log what matters of that ourselves
_SILENCED = ("botocore", "boto3", "urllib3", "s3transfer", "httpx", "httpcore")
_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


class _Formatter(logging.Formatter):
    """Format records so that no control character takes effect, and none can look like another record."""

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record.args, tuple) and record.args:
            args = tuple(arg if isinstance(arg, (int, float, Problem)) else _Plain(arg) for arg in record.args)
            record = copy(record)
            record.args = args
        return printable.indented(super().format(record))


class _Plain:
    """An argument of a record, printed on one line."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __str__(self) -> str:
        return printable.one_line(str(self._value))

    def __repr__(self) -> str:
        return printable.one_line(repr(self._value))


class _JournalFormatter(_Formatter):
    """Begin each line with its priority, as sd-daemon(3) says; the journal has the time itself."""

    def format(self, record: logging.LogRecord) -> str:
        priority = next((p for level, p in _PRIORITIES if record.levelno >= level), 7)
        text = super().format(record)
        return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))


def configure(level: str, who: str, environ: Mapping[str, str]) -> None:
    """Set up logging. *who* names the process, for several write to one log.

    No call of a logger fails afterwards, or waits long: see `streams` and `logfile`.
    """
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if paths.is_agent(environ):
        handler = _file(environ)
        handler.setFormatter(_Formatter(f"%(asctime)s %(levelname)-7s {who}: %(message)s", "%Y-%m-%d %H:%M:%S"))
    elif _is_journal(environ):
        handler.setFormatter(_JournalFormatter(f"{who}: %(message)s"))
    else:
        handler.setFormatter(_Formatter(f"%(asctime)s %(levelname)-7s {who}: %(message)s", "%H:%M:%S"))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    for name in _SILENCED:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.raiseExceptions = False  # a terminal that is gone cannot be written to either


def _file(environ: Mapping[str, str]) -> logging.Handler:
    # here, for it loads much that nothing else needs
    from claude_gatewayd.system.output.logfile import RotatedFile, truncate

    output = paths.launchd_output_file(environ)

    def print_there(text: str) -> None:
        with contextlib.suppress(OSError):
            truncate(output)
        sys.stderr.write(text)

    print_there("")
    return RotatedFile(paths.log_file(environ), print_there)


def _is_journal(environ: Mapping[str, str]) -> bool:
    """Return whether stderr is the journal's stream (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
        here = os.fstat(2)
        return (here.st_dev, here.st_ino) == (int(device), int(inode))
    except (OSError, ValueError):
        return False
