"""Days that are over, kept as they were read: a scan without a sort says whether any has changed since.

Rows do come late: those that waited in files while the database was gone have the times of their requests.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection, Table

from claude_gatewayd.dashboard.history.frame import Frame, Step
from claude_gatewayd.ledger.reports import slices
from claude_gatewayd.ledger.reports.slices import Bins, Cell, FallbackTime, Print
from claude_gatewayd.ledger.reports.window import Window
from claude_gatewayd.ledger.schema import latencies, quarters

_MOST_DAYS: Final = 200  # the pages of two zones
_CELLS_A_DAY: Final = 500
_FEWEST_CELLS: Final = 5000
_DAY: Final = 86400
D = TypeVar("D")


class DayUse(NamedTuple):
    """What was used on a day, or in an hour."""

    cells: Sequence[Cell] = ()
    fallbacks: Sequence[FallbackTime] = ()


class KeptDay(NamedTuple, Generic[D]):
    """A day that is over, from *begin* to *end*, and its fingerprint when it was read."""

    begin: float
    end: float
    value: D
    print: Print


class Past(Generic[D]):
    """The days of one table of sums, of one gateway of one database. *read* reads some, *print_of* is of one."""

    def __init__(
        self,
        table: Table,
        read: Callable[[Connection, slices.Grid, Window, str | None], dict[int, D]],
        print_of: Callable[[D], Print],
        nothing: D,
    ) -> None:
        self._table = table
        self._read = read
        self._print_of = print_of
        self._nothing = nothing
        self._kept: dict[tuple[float, float], KeptDay[D]] = {}
        self.has_changed = False

    @property
    def kept(self) -> list[KeptDay[D]]:
        """What is kept."""
        return list(self._kept.values())

    def keep(self, days: Iterable[KeptDay[D]]) -> None:
        """Keep these in place of what is kept."""
        self._kept = {(day.begin, day.end): day for day in days}
        self.has_changed = False

    def days(
        self, connection: Connection, frame: Frame, wanted: Sequence[Step], gateway: str | None
    ) -> Mapping[int, D]:
        """Return what is known of the *wanted* days, the last of which is today."""
        missing = self._missing(connection, frame, wanted, gateway)
        if len(self._kept) + len(missing) > _MOST_DAYS:
            self.keep(self._kept[day.begin, day.end] for day in wanted if day not in missing)
        found = {day.number: self._kept[day.begin, day.end].value for day in wanted if day not in missing}
        for run in _runs(missing):
            window = Window(run[0].begin, run[-1].end)
            read = self._read(connection, frame.day_grid(window), window, gateway)
            for day in run:
                value = found[day.number] = read.get(day.number, self._nothing)
                if day is not wanted[-1]:
                    self._kept[day.begin, day.end] = KeptDay(day.begin, day.end, value, self._print_of(value))
                    self.has_changed = True
        return found

    def _missing(
        self, connection: Connection, frame: Frame, wanted: Sequence[Step], gateway: str | None
    ) -> Sequence[Step]:
        """Return the days that have to be read, in their order."""
        known = {day: self._kept[day.begin, day.end].print for day in wanted[:-1] if (day.begin, day.end) in self._kept}
        if not known:
            return wanted
        window = Window(next(iter(known)).begin, next(reversed(known)).end)
        then = tuple(map(sum, zip(*known.values(), strict=True)))
        if slices.agree(then, slices.print_of_window(connection, self._table, window, gateway)):
            return [day for day in wanted if day not in known]
        prints = slices.prints(connection, self._table, frame.day_grid(window), window, gateway)
        none = self._print_of(self._nothing)
        same = {day for day, of in known.items() if slices.agree(of, prints.get(day.number, none))}
        return [day for day in wanted if day not in same]


def past_use() -> Past[DayUse]:
    """Return the days of what was used."""
    return Past(quarters, read_use, lambda use: slices.print_of_cells(use.cells), DayUse())


def past_bins() -> Past[Bins]:
    """Return the days of how long it took."""
    return Past(latencies, slices.bins, slices.print_of_bins, {})


def read_use(connection: Connection, grid: slices.Grid, window: Window, gateway: str | None) -> dict[int, DayUse]:
    """Return what was used in each slice that has anything."""
    most = max(_FEWEST_CELLS, int((window.until - window.since) // _DAY) * _CELLS_A_DAY)
    cells = slices.cells(connection, grid, window, gateway, most)
    fallbacks = slices.fallback_times(connection, grid, window, gateway)
    return {number: DayUse(of, fallbacks.get(number, ())) for number, of in cells.items()}


def _runs(days: Sequence[Step]) -> list[list[Step]]:
    """Return days that follow one another together."""
    found: list[list[Step]] = []
    for day in days:
        if found and found[-1][-1].end == day.begin:
            found[-1].append(day)
        else:
            found.append([day])
    return found
