"""The thread that keeps the connection to the other gateways, for as long as the worker lives."""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from claude_gatewayd.errors import run_hint
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.failures import LedgerFailure
from claude_gatewayd.printable import one_line
from claude_gatewayd.worker.cluster.outbox import FactOutbox
from claude_gatewayd.worker.cluster.state import SharedSnapshot, wait_after
from claude_gatewayd.worker.sharing.facts import Fact
from claude_gatewayd.worker.sharing.travels import TRAVELS, subject_of

logger = logging.getLogger(__name__)

_PRESENT_EVERY: Final = 10.0  # seconds; it is also how a connection that is half dead is found out
_PRUNE_EVERY: Final = 3600.0
_SEND_EVERY: Final = 0.05  # so many small messages make few transactions
_MOST_STANDING: Final = 1000


class Ears(NamedTuple):
    """What the link calls, from its thread: none of it may wait.

    *take* gets the facts of others. *joined* gets what the database has facts about, by their subjects. *lost*: some
    that only pass by could not be sent. *changed*: the snapshot is another.
    """

    take: Callable[[Sequence[Fact]], None]
    joined: Callable[[frozenset[str]], None]
    lost: Callable[[], None]
    changed: Callable[[], None]


class Link:
    """Keep connected. *connect* returns a `session.ClusterSession`; it is called in the thread, and loads psycopg."""

    def __init__(
        self,
        connect: Callable[[], Any],
        database: Database,
        outbox: FactOutbox,
        ears: Ears,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._outbox = outbox
        self._ears = ears
        self._clock = clock
        self._wakes, self._waker = os.pipe()
        for descriptor in (self._wakes, self._waker):
            os.set_blocking(descriptor, False)
        self._is_closing = threading.Event()
        self._failures = 0
        self._is_logged = False
        # facts that the database had, and whose end could be missed: circuits that are open
        self._standing: dict[str, Fact] = {}
        self._thread = threading.Thread(target=self._run, name="shared", daemon=True)
        self.snapshot = SharedSnapshot("connecting", database.shown, "it is being connected", since=time.time())

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Let it look into the outbox."""
        with suppress(BlockingIOError):  # it is awake
            os.write(self._waker, b".")

    def close(self, seconds: float) -> None:
        """Send what waits, for so long, and end the thread. One that hangs ends with the process."""
        self._is_closing.set()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._is_closing.is_set():
            try:
                self._serve_once()
            except Exception as error:
                # a DatabaseFailed or SharingRefused of `session`, which is not imported here: it loads psycopg
                failure = getattr(error, "failure", None)
                if not isinstance(failure, LedgerFailure):
                    why = f"it fails with {type(error).__name__}"
                    failure = LedgerFailure("later", why, "claude-gatewayctl logs", why)
                self._note_failure(failure)
                self._pause(wait_after(self._failures, for_a_person=failure.severity == "refused"))
                self._failures += 1

    def _serve_once(self) -> None:
        """Join the others, and stay until it fails, or the worker ends."""
        session = self._connect()
        try:
            session.prune()
            self._catch_up(session.kept())
            self._note_success(session.others)
            self._stay(session)
        finally:
            session.close()

    def _catch_up(self, kept: Sequence[Fact]) -> None:
        """Take what the database has, and let go of what it has no more; what waits here is newer than either."""
        waiting = self._outbox.subjects()
        known = {subject_of(fact): fact for fact in kept}
        facts = [fact for subject, fact in known.items() if subject not in waiting]
        for subject, fact in self._standing.items():
            over = TRAVELS[type(fact)].over
            if over is not None and subject not in known and subject not in waiting:
                facts.append(over(fact))
        self._standing = {}
        self._stand(kept)
        self._ears.take(facts)
        self._ears.joined(frozenset(known))

    def _stay(self, session: Any) -> None:
        present_at, prune_at, send_at = self._clock() + _PRESENT_EVERY, self._clock() + _PRUNE_EVERY, 0.0
        while True:
            self._clear_wakes()
            if heard := session.heard():
                self._stand(heard)
                self._ears.take(heard)
            now = self._clock()
            if not self._outbox.is_empty and (now >= send_at or self._is_closing.is_set()):
                self._send(session)
                send_at = now + _SEND_EVERY
            if self._is_closing.is_set() and self._outbox.is_empty:
                return
            if now >= present_at:
                session.be_there()
                present_at = now + _PRESENT_EVERY
                self._note_success(session.others)
            if now >= prune_at:
                session.prune()
                prune_at = now + _PRUNE_EVERY
            until = present_at if self._outbox.is_empty else min(send_at, present_at)
            session.wait(self._wakes, until - self._clock())

    def _send(self, session: Any) -> None:
        some = self._outbox.take()
        try:
            session.send(some)
        except BaseException:
            self._outbox.put_back(some)
            raise
        self._stand([one.fact for one in some])
        if self._outbox.has_lost():
            self._ears.lost()

    def _stand(self, facts: Sequence[Fact]) -> None:
        """Remember what the database has now, of the kinds whose end could be missed."""
        for fact in facts:
            travel = TRAVELS[type(fact)]
            if travel.over is None:
                continue
            subject = subject_of(fact)
            self._standing.pop(subject, None)
            if travel.lasts(fact) > 0:
                self._standing[subject] = fact
                if len(self._standing) > _MOST_STANDING:
                    del self._standing[next(iter(self._standing))]

    def _note_success(self, others: tuple[str, ...]) -> None:
        before = self.snapshot
        self._failures = 0
        if self._is_logged:
            logger.info("the shared state is back: what was missed is read, and what was found out meanwhile is sent")
            self._is_logged = False
        is_new = before.state != "connected"
        since = time.time() if is_new else before.since
        self.snapshot = SharedSnapshot("connected", before.database, since=since, why="", others=others)
        if is_new or before.others != others:
            self._ears.changed()

    def _note_failure(self, failure: LedgerFailure) -> None:
        before = self.snapshot
        is_refused = failure.severity == "refused"
        state: Any = "refused" if is_refused else "away"
        since = before.since if before.state == state else time.time()
        self.snapshot = SharedSnapshot(state, before.database, failure.why, failure.hint, since)
        if before.state != state or before.why != failure.why:
            self._ears.changed()
        # a single failure may be that of an old connection
        if not self._is_logged and (is_refused or self._failures or before.state == "connecting"):
            self._is_logged = True
            why, mend = one_line(failure.why), run_hint(failure.hint)
            what = "nothing is shared with other gateways" if is_refused else "each gateway goes on with what it knows"
            logger.warning("cannot use the shared state in %s: %s%s; %s", before.database, why, mend, what)

    def _pause(self, seconds: float) -> None:
        self._is_closing.wait(seconds)

    def _clear_wakes(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wakes, 4096)
