"""Tables for a terminal; long cells wrap within their column. Imported only when needed: rich takes 90 ms."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from claude_gatewayd.printable import one_line

Cell = Sequence[tuple[str, str]]  # lines, each with its style; none where it is empty

COMMAND = "cyan"  # the style of a command to paste: it is never wrapped, however wide the table becomes
_GAP = 2


def drawn(headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a table as wide as the terminal, without a trailing line end. Words stay as they are: no markup."""
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    *narrow, last = headings
    for heading in narrow:
        table.add_column(heading, no_wrap=True)
    cells = [[[(one_line(words), style) for words, style in cell] for cell in row] for row in rows]
    commands = [len(words) for row in cells for words, style in row[-1] if style == COMMAND]
    table.add_column(last, overflow="fold", min_width=max(commands, default=None))
    for row in cells:
        table.add_row(*(Text("\n").join(Text(words, style) for words, style in cell if words) for cell in row))
    console = Console(highlight=False)
    left = sum(_GAP + max(len(words) for row in cells for words, _ in row[at]) for at in range(len(narrow)))
    console.width = max(console.width, left + max(commands, default=0) + _GAP)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
