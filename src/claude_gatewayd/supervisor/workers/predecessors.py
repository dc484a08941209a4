"""Workers of an earlier supervisor, which serve on until one of ours does."""

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from claude_gatewayd.supervisor.workers.scope import is_in
from claude_gatewayd.supervisor.workers.worker_process import GONE_WITHIN
from claude_gatewayd.system import files
from claude_gatewayd.system.ports import command_of, is_ours

logger = logging.getLogger(__name__)


WITHOUT_SCOPE = "launchd"


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A worker of an earlier supervisor, which serves on in its scope; or without one, as under launchd, and drains.

    *drain* is how many seconds its drain may take, *told_at* when it began, None while it serves. These are also the
    fields of the file, which other versions read.
    """

    pid: int
    scope: str
    has_engine: bool
    drain: float
    told_at: float | None = None

    @property
    def is_alive(self) -> bool:
        """Return whether it is still running."""
        if self.scope != WITHOUT_SCOPE:
            return is_in(self.scope, self.pid)
        try:
            os.kill(self.pid, 0)
        except OSError:
            return False
        return True

    @property
    def is_worker(self) -> bool:
        """Return whether its pid is not in use again, by somebody else; the scope says that too."""
        return self.scope != WITHOUT_SCOPE or is_ours(command_of(self.pid))

    def is_overdue(self, now: float) -> bool:
        """Return whether it should have ended by now. If the clock was set back it gets its time again."""
        return self.told_at is not None and now - self.told_at > self.drain + GONE_WITHIN


class Predecessors:
    """Those that serve until we do, and then drain. *file* keeps them for the next supervisor."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        known = _read(file)
        self._serving = [one for one in known if one.told_at is None]
        self._draining = [one for one in known if one.told_at is not None]

    def __bool__(self) -> bool:
        """Return whether any of them serves."""
        self._serving = [one for one in self._serving if one.is_alive]
        return bool(self._serving)

    @property
    def pids(self) -> list[int]:
        """The pids of those that serve, as far as is known."""
        return [one.pid for one in self._serving]

    @property
    def have_engine(self) -> bool:
        """Return whether one that serves has LiteLLM."""
        return any(one.has_engine for one in self._serving)

    def save(self, these: Sequence[Predecessor]) -> None:
        """Save *these*, and earlier ones that are still running, for the next supervisor."""
        self._write(one for one in (*self._serving, *self._draining, *these) if one in these or one.is_alive)

    def dismiss(self) -> None:
        """Have those that serve drain."""
        for one in self._serving:
            if one.is_alive:
                _send(one.pid, signal.SIGTERM)
                self._draining.append(replace(one, told_at=self._clock()))
                logger.info("the worker before us (pid %d) drains", one.pid)
        if self._serving:
            self._serving = []
            self._write(self._draining)

    def tick(self) -> None:
        """Kill those whose drain takes too long."""
        if not self._draining:
            return
        now = self._clock()
        for one in [one for one in self._draining if one.is_overdue(now) and one.is_alive and one.is_worker]:
            _send(one.pid, signal.SIGKILL)
            logger.error("the worker before us (pid %d) does not end: ending it", one.pid)
        left = [one for one in self._draining if one.is_alive and not one.is_overdue(now)]
        if left != self._draining:
            self._draining = left
            self._write([*self._serving, *left])

    def _write(self, these: Iterable[Predecessor]) -> None:
        known = [asdict(one) for one in these]
        try:
            if known:
                files.write(self._file, json.dumps(known).encode())
            else:
                self._file.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("the next supervisor will not know of the workers that serve: %s", error)


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _read(file: Path) -> list[Predecessor]:
    try:
        return [Predecessor(**one) for one in json.loads(file.read_text())]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        logger.warning("%s cannot be read: %s", file, error)
        return []
