"""The thread that owns the rows: it has them written in batches, and keeps them in files while they cannot be.

It never waits for the database itself, so what a killed worker loses is what came within the last second, even while
the database hangs. When there is nothing to write it sleeps until there is.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from claude_gatewayd.errors import run_hint
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.printable import one_line
from claude_gatewayd.worker.ledger import pacing
from claude_gatewayd.worker.ledger.drivers.connection import Unwritable
from claude_gatewayd.worker.ledger.hand import Hand, Outcome
from claude_gatewayd.worker.ledger.spill import Spill
from claude_gatewayd.worker.ledger.state import LedgerState, WriteTrouble

logger = logging.getLogger(__name__)

MOST_WAITING = 10_000  # rows in memory
_MANY = 1000  # more than can be written soon: files take rows faster than a database
_BATCH = 400  # rows in a transaction: to sum them up takes the interpreter 0.5 ms, in which no request is served
_GATHER = pacing.MOST_REST  # seconds between two batches of few rows
_PATIENCE = 0.5  # seconds until rows of a batch that is not written yet are also in the file
_HANGS_AFTER = 30.0
_ADOPT_EVERY = 5.0  # look for files that an older generation has left
_LAST_WRITES = 2.0  # seconds at the end of the worker
HURRIES_FROM = 30_000  # rows in files, a quarter of what there is room for
NEVER = MOST_WAITING + 1
_FULL_PAUSE = 5.0  # seconds until a file that had no room is tried again


@dataclass(slots=True)
class _Attempt:
    """Rows on their way to the database. *is_of_file*: they are in the file too, and stay there until it is over."""

    records: Sequence[UsageRecord]
    is_of_file: bool
    outcome: Future[Outcome]
    begun: float
    is_kept: bool = False  # also in the file, as it takes long
    is_aborted: bool = False


class Writer:
    """Have rows written. `rows` is added to by the event loop, which wakes this thread at `wakes_at` of them."""

    def __init__(
        self,
        rows: deque[UsageRecord],
        spill: Spill,
        hand: Hand,
        directory: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rows = rows
        self._spill = spill
        self._hand = hand
        self._directory = directory
        self._clock = clock
        self._pace = pacing.Pace(clock())
        self._wake = threading.Event()
        self._is_closing = False
        self._attempt: _Attempt | None = None
        self._trouble = WriteTrouble()
        self._retry_at = self._adopt_at = self._spill_at = 0.0
        self._is_turn_of_file = self._hurries = False
        self._has_succeeded = False
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self.wakes_at = NEVER
        self._is_to_look = False
        self.written = 0
        self.dropped = 0

    @property
    def state(self) -> LedgerState:
        """The state, as the status shows it."""
        if self._trouble.why:
            return "waiting"
        return "ok" if self._has_succeeded else "starting"

    @property
    def trouble(self) -> WriteTrouble:
        """Why rows wait."""
        return self._trouble

    @property
    def in_hand(self) -> int:
        """How many rows are on their way, and not in a file."""
        attempt = self._attempt
        return 0 if attempt is None or attempt.is_of_file or attempt.is_kept else len(attempt.records)

    def start(self) -> None:
        """Start to write."""
        self._hand.start()
        self._thread.start()

    @property
    def sleeps(self) -> bool:
        """Whether there is nothing to do for it, until `wake`."""
        return self.wakes_at == 0

    def wake(self) -> None:
        """Let it look at the rows."""
        self.wakes_at = NEVER
        self._wake.set()

    def look(self) -> None:
        """Let it have the database looked at, without rows to write."""
        self._is_to_look = True
        self.wake()

    def close(self, seconds: float) -> None:
        """Write what there is, or leave it in a file; wait for it up to *seconds*."""
        self._is_closing = True
        self._wake.set()
        if self._thread.ident is not None:  # a generation that only tries whether it could serve starts none
            self._thread.join(seconds)

    def _run(self) -> None:
        self._spill.adopt()
        self._begin([], is_of_file=False)  # creates the tables, if there are none
        while not self._is_closing:
            try:
                self._turn()
            except Exception as error:  # a fault of ours: without this thread, rows would be lost for good
                logger.error("the ledger's writer has failed with %s: it goes on", type(error).__name__)
                self._pause(_GATHER, until=NEVER)
        self._finish()

    def _turn(self) -> None:
        """Do the next thing there is to do, or wait."""
        attempt, now = self._attempt, self._clock()
        if attempt is None:
            if now < self._retry_at:
                self._sit_out(self._retry_at - now)
            elif not self._begin_next():
                self._sleep()
        elif attempt.outcome.done():
            self._rest_after(self._settle(attempt))
        elif now < attempt.begun + _PATIENCE:
            if not self._shed():
                self._pause(attempt.begun + _PATIENCE - now, until=_MANY)
        else:
            self._do_without(attempt, now)

    def _begin_next(self) -> bool:
        """Begin to write the next rows; False if there are none."""
        begun = time.thread_time()
        if self._shed():
            self._rest_after(time.thread_time() - begun)
            return True
        if self._trouble.why:  # what is in the file is not taken from memory only to be put there
            records = self._spill.first(_BATCH)
            self._begin(records or self._take(), is_of_file=bool(records))
            return True
        records, is_of_file = self._next()
        if not records and not self._is_to_look:
            return False
        self._begin(records, is_of_file=is_of_file)
        self._is_turn_of_file = not is_of_file
        self._is_to_look = False
        return True

    def _next(self) -> tuple[list[UsageRecord], bool]:
        """Return the next rows, and whether they are of the file: in turn, as memory has some while requests come."""
        for is_of_file in (self._is_turn_of_file, not self._is_turn_of_file):
            if records := self._spill.first(_BATCH) if is_of_file else self._take():
                return records, is_of_file
        return [], False

    def _shed(self) -> bool:
        """Put rows in the file if there are many; False if there are not, or it has no room."""
        if len(self._rows) <= _MANY or self._clock() < self._spill_at:
            return False
        self._keep([self._rows.popleft() for _ in range(_MANY // 2)])
        return True

    def _take(self) -> list[UsageRecord]:
        return [self._rows.popleft() for _ in range(min(len(self._rows), _BATCH))]

    def _begin(self, records: Sequence[UsageRecord], *, is_of_file: bool) -> None:
        outcome = self._hand.begin(records)
        self._attempt = _Attempt(records, is_of_file, outcome, self._clock())
        outcome.add_done_callback(lambda _: self._wake.set())

    def _settle(self, attempt: _Attempt) -> float:
        """Learn what came of an attempt; return the CPU time that it took."""
        self._attempt = None
        written, failure, cpu = attempt.outcome.result()
        begun = time.thread_time()
        if written is not None:
            waited = self._spill.rows + len(self._rows)
            if attempt.is_of_file:
                self._spill.drop_first()
            self.written += written.rows
            self._drop(written.refused, "the database refuses what is in them")
            self._succeed(waited)
        elif failure is not None:
            if not attempt.is_of_file and not attempt.is_kept:
                self._keep(attempt.records)
            self._fail(failure)
        return cpu + time.thread_time() - begun

    def _succeed(self, waited: int) -> None:
        now = self._clock()
        self._has_succeeded = True
        if self._trouble.is_logged:
            logger.info("the ledger is written again; %d rows had waited", waited)
        if self._trouble.why or now >= self._adopt_at:
            self._spill.adopt()
            self._adopt_at = now + _ADOPT_EVERY
        self._trouble = WriteTrouble()

    def _fail(self, failure: Unwritable) -> None:
        failures = self._trouble.failures + 1
        self._trouble = WriteTrouble(failure.why, failure.hint, failures, self._trouble.is_logged)
        if failures > 1 or failure.is_final:  # a single failure may be that of an old connection
            self._log_trouble()
        self._retry_at = self._clock() + pacing.wait_after(failures, for_a_person=failure.is_final)

    def _log_trouble(self) -> None:
        trouble = self._trouble
        if not trouble.is_logged:
            self._trouble = WriteTrouble(trouble.why, trouble.hint, trouble.failures, is_logged=True)
            why, mend = one_line(trouble.why), run_hint(trouble.hint)
            logger.warning("cannot write the ledger: %s%s; rows wait in %s", why, mend, self._directory)

    def _do_without(self, attempt: _Attempt, now: float) -> None:
        """Keep what waits in the file, as the attempt takes long."""
        waits = now - attempt.begun
        if not attempt.is_of_file and not attempt.is_kept:
            self._keep(attempt.records)
            attempt.is_kept = True
        if not self._trouble.why and (attempt.records or waits >= _HANGS_AFTER):  # to prepare it may take seconds
            self._trouble = WriteTrouble("the database does not answer")
        if waits >= _HANGS_AFTER and not attempt.is_aborted:
            attempt.is_aborted = True
            self._hand.abort()
            self._log_trouble()
        self._sit_out(_HANGS_AFTER - waits if waits < _HANGS_AFTER else _HANGS_AFTER)

    def _keep(self, records: Sequence[UsageRecord]) -> None:
        """Put rows in the file; those that find no room stay in memory, or are dropped where there is none either."""
        kept = self._spill.append(records)
        if kept == len(records):
            return
        self._spill_at = self._clock() + _FULL_PAUSE
        room = max(0, MOST_WAITING - len(self._rows))
        left = records[kept:]
        self._drop(len(left) - room, self._spill.why)
        self._rows.extendleft(reversed(left[max(0, len(left) - room) :]))

    def _drop(self, count: int, why: str) -> None:
        if count > 0:
            if not self.dropped:
                logger.warning("%d rows of the ledger are lost: %s; status counts them", count, one_line(why))
            self.dropped += count

    def _sit_out(self, seconds: float) -> None:
        """Wait; meanwhile rows go to the file."""
        if not self._rows or self._clock() < self._spill_at:
            self._pause(seconds, until=NEVER if self._rows else 0)
            return
        self._pause(min(seconds, _GATHER), until=_MANY)
        if self._attempt is None or not self._attempt.outcome.done():
            self._keep([self._rows.popleft() for _ in range(len(self._rows))])

    def _rest_after(self, cpu: float) -> None:
        # Until all is written: what files take shrinks only when they are removed.
        self._hurries = self._spill.rows > HURRIES_FROM or (self._hurries and self._spill.rows > 0)
        rest = self._pace.took(cpu, self._clock(), hurries=self._hurries)
        is_behind = len(self._rows) >= _BATCH or self._spill.rows
        until = self._clock() + (rest if is_behind else max(rest, _GATHER))
        while (left := until - self._clock()) > 0 and self._pause(left, until=_MANY):
            begun = time.thread_time()
            if not self._shed():
                break
            until += (time.thread_time() - begun) / pacing.SHARE

    def _sleep(self) -> None:
        self._pause(None, until=0)

    def _pause(self, seconds: float | None, *, until: int) -> bool:
        """Wait for *seconds*, for more than *until* rows, for an attempt's end, or for the end of the worker.

        Return whether something came before the *seconds* were over.
        """
        if self._clock() < self._spill_at:
            until = NEVER if until else 0
        self.wakes_at = until
        is_woken = self._is_closing or len(self._rows) > until  # looked at after `wakes_at` is set: see `record`
        if not is_woken:
            is_woken = self._wake.wait(seconds)
        self.wakes_at = NEVER
        self._wake.clear()
        return is_woken

    def _finish(self) -> None:
        """Write what there is, if the database can be written, and keep the rest."""
        until = self._clock() + _LAST_WRITES
        while not self._trouble.why and self._clock() < until and (self._attempt is not None or self._rows):
            if self._attempt is None:
                self._begin(self._take(), is_of_file=False)
            elif self._attempt.outcome.done():
                self._settle(self._attempt)
            else:
                self._wake.wait(until - self._clock())
                self._wake.clear()
        if (attempt := self._attempt) is not None and not attempt.is_of_file and not attempt.is_kept:
            self._keep(attempt.records)
        self._keep([self._rows.popleft() for _ in range(len(self._rows))])
        self._spill.close()
        self._hand.end()
