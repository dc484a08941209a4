"""Tables of numbers that fit the terminal: what matters least is left out where it is narrow."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from claude_gatewayd.printable import one_line

_GAP = 2
_NARROWEST = 8  # of a column of names, which are cut rather than the numbers


class Column(NamedTuple):
    """A column; numbers are on the right. The one with the highest *rank* is left out first, 0 never is.

    A heading may have two lines.
    """

    heading: str
    cells: Sequence[str]
    rank: int = 0
    is_number: bool = True


def drawn(columns: Sequence[Column], width: int, *, in_colour: bool, has_total: bool = False) -> tuple[str, list[str]]:
    """Return a table of that width, and the headings of the columns that did not fit; the total is the last row."""
    columns = [column._replace(cells=list(map(one_line, column.cells))) for column in columns]
    shown, left_out = _fitting(columns, width)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for column in shown:
        justify: Literal["left", "right"] = "right" if column.is_number else "left"
        table.add_column(column.heading, justify=justify, no_wrap=True, vertical="bottom")
    rows = list(zip(*(column.cells for column in shown), strict=True))
    for number, row in enumerate(rows, 1):
        style = "bold" if has_total and number == len(rows) else ""
        table.add_row(*(Text(cell, style) for cell in row))
    console = Console(highlight=False, force_terminal=in_colour, color_system="standard" if in_colour else None)
    console.width = max(width, _whole(shown) + _GAP)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()), left_out


def _fitting(columns: list[Column], width: int) -> tuple[list[Column], list[str]]:
    """Return the columns that fit, their names cut to a share of the width, and the headings of the others."""
    shown = [column if column.is_number else _cut_to(column, max(_NARROWEST, width * 7 // 20)) for column in columns]
    left_out = []
    while _whole(shown) > width:
        last = max(shown, key=lambda column: column.rank)
        if last.rank == 0:
            break
        shown.remove(last)
        left_out.append(last.heading.replace("\n", " "))
    room = max(_NARROWEST, width - (_whole(shown) - _width(shown[0])))
    return [_cut_to(columns[0], room), *shown[1:]], left_out[::-1]


def _cut_to(column: Column, width: int) -> Column:
    return column._replace(cells=[cut(cell, width) for cell in column.cells])


def _whole(columns: Sequence[Column]) -> int:
    return sum(_width(column) + _GAP for column in columns) - _GAP


def cut(text: str, width: int) -> str:
    """Return a text in at most *width* cells."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def _width(column: Column) -> int:
    return max(cell_len(line) for cell in (column.heading, *column.cells) for line in cell.split("\n"))
