"""The child that creates the tables, brings them forward and prunes them: the worker does not load SQLAlchemy."""

import logging
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from claude_gatewayd.errors import run_hint
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.job import Report, job_for
from claude_gatewayd.printable import one_line

logger = logging.getLogger(__name__)

_COMMAND: Final = (sys.executable, "-P", "-m", "claude_gatewayd.ledger.maintenance")
_LIMITS: Final[dict[Literal["prepare", "prune"], float]] = {"prepare": 60.0, "prune": 600.0}
_KILLED_AFTER = 5.0  # seconds beyond the limit, at which the child ends by itself
_ENDS_WITHIN = 2.0


class Upkeep:
    """Start the child, and end it. Its methods block: the event loop does not call them, but for `end_soon`."""

    def __init__(self, database: Database, keep_days: int, environ: Mapping[str, str]) -> None:
        self._database = database
        self._keep_days = keep_days
        self._environ = environ
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[bytes]] = set()
        self._has_ended = False

    def prepare(self, *, is_suspect: bool) -> Report:
        """Have the database made ready to be written; a suspect one is read in full before it is trusted."""
        return self._run("prepare", is_suspect=is_suspect)

    def prune_soon(self) -> None:
        """Have it rid of old rows, without waiting for that."""
        threading.Thread(target=self._prune, name="ledger-prune", daemon=True).start()

    def end(self) -> None:
        """End the children, and start no more."""
        with self._lock:
            self._has_ended = True
            children = list(self._children)
        for child in children:
            child.terminate()
        for child in children:
            try:
                child.wait(_ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                child.kill()

    def _prune(self) -> None:
        report = self._run("prune")
        if report.outcome == "done":
            logger.info("the ledger is pruned: %d rows older than %d days are gone", report.pruned, self._keep_days)
        elif not self._has_ended:
            why = one_line(report.why or report.message)
            logger.warning("cannot prune the ledger: %s%s", why, run_hint(report.hint))

    def _run(self, what: Literal["prepare", "prune"], *, is_suspect: bool = False) -> Report:
        limit = _LIMITS[what]
        job = job_for(self._database, what, keep_days=self._keep_days, seconds=limit, is_suspect=is_suspect)
        try:
            with self._lock:
                if self._has_ended:
                    return Report(outcome="later", message="the worker ends")
                child = subprocess.Popen(
                    _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                    env=self._environ,
                )  # fmt: skip
                self._children.add(child)
        except OSError as error:
            return Report(outcome="later", message=f"cannot start Python: {error.strerror or error}")
        try:
            with child:  # which closes its pipes
                try:
                    output, _ = child.communicate(msgspec.json.encode(job) + b"\n", limit + _KILLED_AFTER)
                finally:
                    child.kill()
            return msgspec.json.decode(output, type=Report)
        except (subprocess.TimeoutExpired, msgspec.MsgspecError, OSError, ValueError):
            return Report(outcome="later", message=f"its upkeep has ended without a report, with status {child.poll()}")
        finally:
            with self._lock:
                self._children.discard(child)
