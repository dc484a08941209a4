"""A plot as an SVG file. Plain SVG of our own: it is rectangles and text.

pygal's files fetch a script from another host and have no description; the other kept libraries only spare the tags.
Text is text, colours follow the reader's light or dark scheme, and each bar has a title.
"""

from collections.abc import Sequence
from math import ceil, floor, log10
from xml.sax.saxutils import escape

from rich.cells import cell_len

from claude_gatewayd.ctl.usage.bars import Bar, Bars
from claude_gatewayd.ctl.usage.table import cut
from claude_gatewayd.printable import one_line

_STYLE = """
  svg { color: #1b1f24; font: 13px system-ui, sans-serif; }
  text { fill: currentColor; } .quiet { opacity: .75; } line { stroke: currentColor; opacity: .2; }
  .page { fill: #fff; } .first { fill: #0b6bcb; } .second { fill: #9cc7f0; }
  @media (prefers-color-scheme: dark) {
    svg { color: #e6e9ec; } .page { fill: #14181d; } .first { fill: #4aa3ff; } .second { fill: #35587f; }
  }
"""
_WIDTH, _TOP, _MARGIN = 960.0, 100.0, 24.0
_HEIGHT = 260.0  # of columns
_WIDEST = 64.0  # of a column: a single day is no wall
_ROW = 26.0  # of a bar that lies
_LABELS = 220.0
_NOT_IN_XML = dict.fromkeys((0xFFFE, 0xFFFF), "\ufffd")
_CELL = 8.0  # of usual text, in a font that is as wide as DejaVu's


def drawn(plot: Bars, description: str) -> str:
    """Return the file: columns where bars follow each other in time, else bars that lie."""
    most = max((bar.first + bar.second for bar in plot.bars), default=0) or 1
    body, bottom = (_columns if plot.is_time else _lying)(plot, most) if plot.bars else _nothing(plot)
    second = _MARGIN + 18 + _wide([plot.first]) + 24
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {bottom:.0f}" width="{_WIDTH:.0f}" '
            f'height="{bottom:.0f}" role="img" aria-labelledby="title description">',
            f'<title id="title">{_clean(plot.title)}</title>',
            f'<desc id="description">{_clean(description)}</desc>',
            f"<style>{_STYLE}</style>",
            _rectangle("page", 0, 0, _WIDTH, bottom),
            _text(_MARGIN, 32, plot.title, 'font-size="18"'),
            _text(_MARGIN, 54, description, 'font-size="12" class="quiet"'),
            _rectangle("first", _MARGIN, 66, 12, 12),
            _text(_MARGIN + 18, 77, plot.first),
            _rectangle("second", second, 66, 12, 12),
            _text(second + 18, 77, plot.second),
            *body,
            "</svg>",
            "",
        ]
    )


def _nothing(plot: Bars) -> tuple[list[str], float]:
    return [_text(_MARGIN, _TOP + 40, plot.nothing)], _TOP + 80


def _columns(plot: Bars, most: float) -> tuple[list[str], float]:
    values = axis(most)
    marks = [plot.shown(value) for value in values]
    left, right, low = _MARGIN + _wide(marks) + 10, _WIDTH - _MARGIN, _TOP + _HEIGHT
    scale = _HEIGHT / values[-1]
    lines = []
    for value, mark in zip(values, marks, strict=True):
        y = low - value * scale
        lines.append(f'<line x1="{left:.1f}" y1="{y:.1f}" x2="{right:.1f}" y2="{y:.1f}"/>')
        lines.append(_text(left - 10, y + 4, mark, 'text-anchor="end" class="quiet"'))
    step = (right - left) / len(plot.bars)
    wide = min(step * 0.8, _WIDEST)
    label = _wide([bar.label for bar in plot.bars])
    first, every = max(0, ceil(label / 2 / step - 0.5)), ceil((label + 2 * _CELL) / step)  # the first with room
    for number, bar in enumerate(plot.bars):
        middle = left + (number + 0.5) * step
        below, above = bar.first * scale, bar.second * scale
        lines.append(_bar(
            bar, _rectangle("first", middle - wide / 2, low - below, wide, below),
            _rectangle("second", middle - wide / 2, low - below - above, wide, above),
        ))  # fmt: skip
        if number >= first and (number - first) % every == 0 and middle + label / 2 <= right:
            lines.append(_text(middle, low + 20, bar.label, 'text-anchor="middle" class="quiet"'))
    return lines, low + 40


def axis(most: float) -> list[float]:
    """Return round values of an axis, from 0 to *most* or a little beyond, four to six of them."""
    size = 10.0 ** floor(log10(most / 4))
    step = size * next(times for times in (1, 2, 2.5, 5, 10) if most / 4 <= size * times)
    return [step * number for number in range(ceil(most / step) + 1)]


def _lying(plot: Bars, most: float) -> tuple[list[str], float]:
    beside = _wide([bar.value for bar in plot.bars]) + 10
    left, room = _MARGIN + _LABELS, _WIDTH - 2 * _MARGIN - _LABELS - beside
    lines = []
    for number, bar in enumerate(plot.bars):
        y, low, high = _TOP + number * _ROW, room * bar.first / most, room * (bar.first + bar.second) / most
        name = cut(_printable(bar.label), int((_LABELS - 10) / _CELL))
        lines.append(_text(left - 10, y + 15, name, 'text-anchor="end"'))
        lines.append(_bar(
            bar, _rectangle("first", left, y + 2, low, _ROW * 0.7),
            _rectangle("second", left + low, y + 2, high - low, _ROW * 0.7),
        ))  # fmt: skip
        lines.append(_text(left + high + 8, y + 15, bar.value, 'class="quiet"'))
    return lines, _TOP + len(plot.bars) * _ROW + _MARGIN


def _wide(texts: Sequence[str]) -> float:
    return _CELL * max(map(cell_len, texts))


def _bar(bar: Bar, *rectangles: str) -> str:
    return f"<g><title>{_clean(f'{bar.label}: {bar.value}')}</title>{''.join(filter(None, rectangles))}</g>"


def _rectangle(kind: str, x: float, y: float, width: float, height: float) -> str:
    if width <= 0 or height <= 0:
        return ""
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _text(x: float, y: float, words: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{" " if attributes else ""}{attributes}>{_clean(words)}</text>'


def _clean(words: str) -> str:
    """Return words of anybody's as text of XML, which has no control characters."""
    return escape(_printable(words))


def _printable(words: str) -> str:
    return one_line(words).translate(_NOT_IN_XML)
