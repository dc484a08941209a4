"""A plot for a terminal: a line for each row, which also a pipe and a screen reader can have.

plotext draws its own background and no two patterns without colour, and its axes cut the labels of days.
"""

from rich.cells import cell_len, set_cell_size

from claude_gatewayd.ctl.terminal import colour
from claude_gatewayd.ctl.usage.bars import Bars
from claude_gatewayd.ctl.usage.table import cut
from claude_gatewayd.printable import one_line

_BLOCKS, _PLAIN = ("█", "░"), ("#", "-")
_LABEL_AT_MOST = 40


def drawn(plot: Bars, width: int, encoding: str, *, in_colour: bool) -> str:
    """Return the plot, its lines at most *width* wide, of signs that the *encoding* has."""
    full, light = _BLOCKS if _has(encoding, "".join(_BLOCKS)) else _PLAIN
    names = [cut(one_line(bar.label), min(_LABEL_AT_MOST, width // 2)) for bar in plot.bars]
    beside = max(map(cell_len, names), default=0)
    room = max(4, width - beside - max((len(bar.value) for bar in plot.bars), default=0) - 4)
    most = max((bar.first + bar.second for bar in plot.bars), default=0)
    ink = colour.ink if in_colour else _plain
    lines = [plot.title, f"{ink(full, colour.CYAN)} {plot.first}  {ink(light, colour.DIM)} {plot.second}"]
    for name, bar in zip(names, plot.bars, strict=True):
        first, both = _cells(bar.first, most, room), _cells(bar.first + bar.second, most, room)
        both = max(both, first)
        drawing = ink(full * first, colour.CYAN) + ink(light * (both - first), colour.DIM)
        lines.append(f"{set_cell_size(name, beside)}  {drawing}{' ' if both else ''}{bar.value}")
    return "\n".join(lines if plot.bars else [plot.title, plot.nothing])


def _cells(value: float, most: float, room: int) -> int:
    if value <= 0 or most <= 0:
        return 0
    return max(1, round(room * value / most))


def _has(encoding: str, signs: str) -> bool:
    try:
        signs.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _plain(text: str, *_codes: str) -> str:
    return text
