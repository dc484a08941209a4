"""What a page shows of a window, read slice by slice, a day or an hour each: few scans in place of one for each table.

SQLite takes as long to sort the rows of a scan as to read them, and sorts the quicker the earlier two rows differ, most
of all by a number. So all that is shown is grouped at once, and added up here.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import isclose
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, func, literal, select

from claude_gatewayd.ledger.reports.local_time import Stretch
from claude_gatewayd.ledger.reports.query import by_stretch, summed_columns
from claude_gatewayd.ledger.reports.results import NAMES, Numbers, numbers_of
from claude_gatewayd.ledger.reports.window import Window
from claude_gatewayd.ledger.schema import latencies, quarters
from claude_gatewayd.ledger.sums import QUARTER

MANY = "(too many to tell apart)"
_PARTS = 6  # of a slice: as exactly is known when the fallback was needed, of a day by four hours
_TOLD_APART = ("model", "project", "upstream", "billing", "fallback")  # the first fields of a Cell
_PRINTED = ("requests", "unpriced", "input_tokens", "output_tokens")  # with the cost, a fingerprint of `quarters`
_BINS = 512  # more than there are


class Grid(NamedTuple):
    """Slices of *width* quarters: the one of a quarter is `(quarter + offset) // width`, by the offset of its time."""

    width: int
    offsets: Sequence[Stretch]


class Cell(NamedTuple):
    """What requests of one model, project, upstream, billing and reason of a fallback have used in a slice."""

    model: str
    project: str
    upstream: str
    billing: str
    fallback: str
    numbers: Numbers
    cost: float
    tokens: int


class FallbackTime(NamedTuple):
    """From when to when requests fell back for a *reason*, within a part of a slice."""

    begin: float
    end: float
    requests: int
    cost: float
    reason: str


Bins = dict[tuple[str, str], dict[int, int]]  # by upstream and measure, requests by bin
Print = tuple[float, ...]  # what a slice has, in a few sums: as long as they stay, nothing was added


def cells(connection: Connection, grid: Grid, window: Window, gateway: str | None, most: int) -> dict[int, list[Cell]]:
    """Return the cells of each slice that has any.

    Names come from callers. Where they make more than *most* cells, projects are not told apart, then neither models.
    """
    for taken_together in ((), ("project",), ("project", "model")):
        found = _cells(connection, grid, window, gateway, most, taken_together)
        if found is not None:
            return found
    return {}


def _cells(
    connection: Connection, grid: Grid, window: Window, gateway: str | None, most: int, together: Sequence[str]
) -> dict[int, list[Cell]] | None:
    of = quarters.c
    names = [literal(MANY).label(name) if name in together else of[name] for name in _TOLD_APART]
    apart = [of[name] for name in _TOLD_APART if name not in together]
    statement = (
        select(_slice(quarters, grid).label("slice"), *names, *summed_columns())
        .where(*_within(quarters, window, gateway))
        .group_by("slice", *apart)
        .limit(most + 1)
    )
    rows = connection.execute(statement).all()
    if len(rows) > most:
        return None
    found: dict[int, list[Cell]] = defaultdict(list)
    for number, model, project, upstream, billing, fallback, *numbers, cost in rows:
        counts = [int(one) for one in numbers]  # PostgreSQL's are Decimal
        added = numbers_of(billing, fallback, counts, float(cost))
        found[number].append(Cell(model, project, upstream, billing, fallback, added, float(cost), sum(counts[-4:])))
    return dict(found)


def fallback_times(
    connection: Connection, grid: Grid, window: Window, gateway: str | None
) -> dict[int, list[FallbackTime]]:
    """Return when the fallback was needed in each slice, to the quarter of an hour at both ends of a part."""
    of = quarters.c
    width = max(1, grid.width // _PARTS)
    part = _slice(quarters, Grid(width, grid.offsets)).label("part")
    statement = (
        select(part, of.fallback, func.min(of.quarter), func.max(of.quarter), func.sum(of.requests), func.sum(of.cost))
        .where(*_within(quarters, window, gateway), of.fallback != "")
        .group_by("part", of.fallback)
    )
    found: dict[int, list[FallbackTime]] = defaultdict(list)
    for number, reason, first, last, requests, cost in connection.execute(statement):
        begin, end = float(first * QUARTER), float((last + 1) * QUARTER)
        found[number * width // grid.width].append(FallbackTime(begin, end, int(requests), float(cost), reason))
    return dict(found)


def bins(connection: Connection, grid: Grid, window: Window, gateway: str | None) -> dict[int, Bins]:
    """Return how long requests took in each slice. They are counted by whole hours, where these begin."""
    of = latencies.c
    number = (_slice(latencies, grid) * _BINS + of.bin).label("number")
    statement = (
        select(number, of.upstream, of.measure, func.sum(of.requests))
        .where(*_within(latencies, window, gateway))
        .group_by("number", of.upstream, of.measure)
    )
    found: dict[int, Bins] = defaultdict(lambda: defaultdict(dict))
    for both, upstream, measure, requests in connection.execute(statement):
        found[both // _BINS][upstream, measure][both % _BINS] = int(requests)
    return dict(found)


def prints(connection: Connection, table: Table, grid: Grid, window: Window, gateway: str | None) -> dict[int, Print]:
    """Return the fingerprints of the slices of `quarters` or `latencies`: a scan, and a sort by one number."""
    statement = (
        select(_slice(table, grid).label("slice"), *_printed(table))
        .where(*_within(table, window, gateway))
        .group_by("slice")
    )
    return {number: _print(sums) for number, *sums in connection.execute(statement)}


def print_of_window(connection: Connection, table: Table, window: Window, gateway: str | None) -> Print:
    """Return the sum of the fingerprints of a window's slices: half the work of `prints`."""
    return _print(connection.execute(select(*_printed(table)).where(*_within(table, window, gateway))).one())


def print_of_cells(of: Sequence[Cell]) -> Print:
    """Return the fingerprint that `prints` finds of these."""
    counts = (sum(cell.numbers[NAMES.index(name)] for cell in of) for name in _PRINTED)
    return _print((*counts, sum(cell.cost for cell in of)))


def print_of_bins(of: Bins) -> Print:
    """Return the fingerprint that `prints` finds of these."""
    pairs = [pair for counts in of.values() for pair in counts.items()]
    return _print((sum(count for _, count in pairs), sum(number * count for number, count in pairs)))


def _printed(table: Table) -> list[ColumnElement[Any]]:
    of = table.c
    if table is latencies:
        return [func.sum(of.requests), func.sum(of.bin * of.requests)]
    return [func.sum(of[name]) for name in (*_PRINTED, "cost")]


def agree(one: Print, other: Print) -> bool:
    """Return whether both are of the same rows: the last digits of a cost depend on their order."""
    return all(isclose(a, b, rel_tol=1e-9, abs_tol=1e-6) for a, b in zip(one, other, strict=True))


def _print(sums: Iterable[Any]) -> Print:
    return tuple(float(one or 0) for one in sums)


def _within(table: Table, window: Window, gateway: str | None) -> list[ColumnElement[bool]]:
    """Return what chooses the rows whose quarter, or hour, begins in a window."""
    first, last = window.quarters
    where = [table.c.quarter >= first, table.c.quarter < last]
    return where if gateway is None else [*where, table.c.gateway == gateway]


def _slice(table: Table, grid: Grid) -> ColumnElement[int]:
    number: ColumnElement[Any] = (table.c.quarter + by_stretch(grid.offsets, table.c.quarter)) // grid.width
    return number
