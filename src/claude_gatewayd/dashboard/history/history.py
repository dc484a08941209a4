"""`GET /gateway/history`: read beside the loop, one reading at a time, and never longer than a page waits."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from claude_gatewayd.config import loading
from claude_gatewayd.config.model import Config
from claude_gatewayd.dashboard.history import kept
from claude_gatewayd.dashboard.history.document import NOTHING, WindowUse, document
from claude_gatewayd.dashboard.history.frame import Frame
from claude_gatewayd.dashboard.history.past import past_bins, past_use, read_use
from claude_gatewayd.errors import ConfigInvalid, GatewayError
from claude_gatewayd.ledger.database import Database, database_of
from claude_gatewayd.ledger.gateway_name import own_gateway
from claude_gatewayd.ledger.reports import slices
from claude_gatewayd.ledger.reports.estimate import needed_since
from claude_gatewayd.ledger.reports.query import recorded
from claude_gatewayd.ledger.reports.reading import read
from claude_gatewayd.ledger.reports.slices import Bins
from claude_gatewayd.ledger.reports.window import Window
from claude_gatewayd.ledger.sqlite_files import days_file
from claude_gatewayd.ledger.sums import QUARTER
from claude_gatewayd.system.threads import in_thread

_OFF_HINT: Final = "claude-gatewayctl config set ledger.enabled true --reload"

Document = Mapping[str, Any]


class HistoryLimits(NamedTuple):
    """Seconds: how long a statement may read, a page wait, and an answer be that of other pages that look at once."""

    reads: float = 10.0
    waits: float = 20.0
    holds: float = 2.0


USUAL: Final = HistoryLimits()


class History:
    """Answer what was used over time. All is of one event loop."""

    def __init__(
        self, environ: Mapping[str, str], now: Callable[[], float] = time.time, limits: HistoryLimits = USUAL
    ) -> None:
        self._environ = environ
        self._now = now
        self._limits = limits
        self._use, self._bins = past_use(), past_bins()
        self._of: tuple[Database, str | None] | None = None
        self._one = asyncio.Lock()
        self._answers: dict[tuple[str, str], tuple[float, asyncio.Task[Document]]] = {}

    async def answer(self, query: Mapping[str, str]) -> Document:
        """Return the document that the fields `days` and `zone` of a query ask for; never raise."""
        frame = Frame.of(query, self._now())
        try:
            async with asyncio.timeout(self._limits.waits):
                return await asyncio.shield(self._task(frame))  # others wait for it too
        except TimeoutError:
            return _state(
                "unavailable", "cannot read the ledger: it takes too long", "claude-gatewayctl ledger check"
            ) | (document(frame, NOTHING))

    def _task(self, frame: Frame) -> asyncio.Task[Document]:
        key = str(frame.days), str(frame.zone)
        now = time.monotonic()
        self._answers = {
            of: (at, task)
            for of, (at, task) in self._answers.items()
            if not task.done() or now - at < self._limits.holds
        }
        if key not in self._answers:
            self._answers[key] = now, asyncio.create_task(self._answer(frame))
        return self._answers[key][1]

    async def _answer(self, frame: Frame) -> Document:
        async with self._one:
            try:
                config = loading.load(self._environ)
                found = await self._read(frame, config)
            except ConfigInvalid as invalid:
                first = invalid.problems[0]
                return _state("unavailable", f"{first.where}: {first.message}", first.hint) | document(frame, NOTHING)
            except GatewayError as error:
                return _state("unavailable", error.message, error.hint) | document(frame, NOTHING)
            state = _state("ok") if config.ledger.enabled else _state("off", "recording is off", _OFF_HINT)
            return state | await in_thread(lambda: document(frame, found))

    async def _read(self, frame: Frame, config: Config) -> WindowUse:
        """Return what the ledger has of a window: its two tables are read side by side."""
        database = database_of(config.ledger, self._environ)
        gateway = own_gateway(database, config.listen.port)
        seconds = self._limits.reads
        await self._begin(database, gateway)

        def used(connection: Connection) -> WindowUse:
            return self._used(connection, frame, gateway)

        def took(connection: Connection) -> Mapping[int, Bins]:
            return self._took(connection, frame, gateway)

        use, times = await asyncio.gather(
            in_thread(lambda: read(database, used, seconds)),
            in_thread(lambda: read(database, took, seconds)),
            return_exceptions=True,  # nothing is read any more when this returns
        )
        if isinstance(use, BaseException):
            raise use
        if isinstance(times, BaseException):
            raise times
        if database.file is not None and (self._use.has_changed or self._bins.has_changed):
            file = days_file(database.file)
            await in_thread(lambda: kept.save(file, self._use, self._bins))
        return (use or NOTHING)._replace(times=times or {})

    async def _begin(self, database: Database, gateway: str | None) -> None:
        """Keep the days of this ledger only."""
        if self._of == (database, gateway):
            return
        self._use.keep(())
        self._bins.keep(())
        if database.file is not None:
            file = days_file(database.file)
            await in_thread(lambda: kept.load(file, self._use, self._bins))
        self._of = database, gateway

    def _used(self, connection: Connection, frame: Frame, gateway: str | None) -> WindowUse:
        span = recorded(connection)
        if span is None:
            return NOTHING._replace(gateway=gateway)
        first_at = float(span[0] * QUARTER)
        every = frame.days_since(min(needed_since(frame.today), frame.first_day))
        wanted = [day for day in every if day.end > first_at or day is every[-1]]
        days = self._use.days(connection, frame, wanted, gateway)
        by_step = read_use(connection, frame.hour_grid(), _window(frame), gateway) if frame.is_by_hour else days
        return WindowUse(by_step, days, {}, first_at, gateway)

    def _took(self, connection: Connection, frame: Frame, gateway: str | None) -> Mapping[int, Bins]:
        if frame.is_by_hour:
            return slices.bins(connection, frame.hour_grid(), _window(frame), gateway)
        return self._bins.days(connection, frame, frame.steps(), gateway)


def _window(frame: Frame) -> Window:
    steps = frame.steps()
    return Window(steps[0].begin, steps[-1].end)


def _state(state: str, why: str = "", hint: str = "") -> dict[str, Any]:
    return {"state": state, "why": why, "hint": hint}
