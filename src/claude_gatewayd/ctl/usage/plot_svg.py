"""A plot as an SVG file. Plain SVG of our own: it is rectangles and text.

pygal's files fetch a script from another host and have no description; the other kept libraries only spare the tags.
Text is text, colours follow the reader's light or dark scheme, and each bar has a title.
"""

from xml.sax.saxutils import escape

from claude_gatewayd.ctl.usage.bars import Bar, Bars

_STYLE = """
  svg { background: #fff; color: #1b1f24; font: 13px system-ui, sans-serif; }
  text { fill: currentColor; } .quiet { opacity: .7; } line { stroke: currentColor; opacity: .25; }
  .first { fill: #0b6bcb; } .second { fill: #9cc7f0; }
  @media (prefers-color-scheme: dark) {
    svg { background: #14181d; color: #e6e9ec; } .first { fill: #4aa3ff; } .second { fill: #2b4a6b; }
  }
"""
_WIDTH, _TOP, _MARGIN = 960.0, 76.0, 24.0
_HEIGHT = 260.0  # of columns
_ROW = 26.0  # of a bar that lies
_LABELS = 220.0
_CHARACTERS = 30  # fit into that


def drawn(plot: Bars, description: str) -> str:
    """Return the file: columns where bars follow each other in time, else bars that lie."""
    most = max((bar.first + bar.second for bar in plot.bars), default=0) or 1
    body, bottom = (_columns if plot.is_time else _lying)(plot.bars, most)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {bottom:.0f}" width="{_WIDTH:.0f}" '
            f'height="{bottom:.0f}" role="img" aria-labelledby="title description">',
            f'<title id="title">{_clean(plot.title)}</title>',
            f'<desc id="description">{_clean(description)}</desc>',
            f"<style>{_STYLE}</style>",
            _text(_MARGIN, 32, plot.title, 'font-size="18"'),
            _rectangle("first", _MARGIN, 46, 12, 12),
            _text(_MARGIN + 18, 57, plot.first),
            _rectangle("second", _MARGIN + 120, 46, 12, 12),
            _text(_MARGIN + 138, 57, plot.second),
            *body,
            "</svg>",
            "",
        ]
    )


def _columns(bars: list[Bar], most: float) -> tuple[list[str], float]:
    left, floor = _MARGIN + 70, _TOP + _HEIGHT
    step = (_WIDTH - left - _MARGIN) / max(1, len(bars))
    lines = []
    highest = max(bars, key=lambda bar: bar.first + bar.second, default=None)
    if highest is not None:
        lines.append(f'<line x1="{left:.1f}" y1="{_TOP:.1f}" x2="{_WIDTH - _MARGIN:.1f}" y2="{_TOP:.1f}"/>')
        lines.append(_text(left - 8, _TOP + 4, highest.value, 'text-anchor="end" class="quiet"'))
    lines.append(f'<line x1="{left:.1f}" y1="{floor:.1f}" x2="{_WIDTH - _MARGIN:.1f}" y2="{floor:.1f}"/>')
    every = -(-len(bars) // 8)
    for number, bar in enumerate(bars):
        x, low = left + number * step, _HEIGHT * bar.first / most
        high = _HEIGHT * (bar.first + bar.second) / most
        lines.append(_bar(
            bar, _rectangle("first", x, floor - low, step * 0.8, low),
            _rectangle("second", x, floor - high, step * 0.8, high - low),
        ))  # fmt: skip
        if number % every == 0:
            lines.append(_text(x, floor + 20, bar.label, 'class="quiet"'))
    return lines, floor + 40


def _lying(bars: list[Bar], most: float) -> tuple[list[str], float]:
    left, room = _MARGIN + _LABELS, _WIDTH - 2 * _MARGIN - _LABELS - 90
    lines = []
    for number, bar in enumerate(bars):
        y, low, high = _TOP + number * _ROW, room * bar.first / most, room * (bar.first + bar.second) / most
        name = bar.label if len(bar.label) <= _CHARACTERS else f"{bar.label[: _CHARACTERS - 1]}…"
        lines.append(_text(left - 10, y + 15, name, 'text-anchor="end"'))
        lines.append(_bar(
            bar, _rectangle("first", left, y + 2, low, _ROW * 0.7),
            _rectangle("second", left + low, y + 2, high - low, _ROW * 0.7),
        ))  # fmt: skip
        lines.append(_text(left + high + 8, y + 15, bar.value, 'class="quiet"'))
    return lines, _TOP + len(bars) * _ROW + _MARGIN


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
    return escape("".join(sign if sign.isprintable() else "\ufffd" for sign in words))
