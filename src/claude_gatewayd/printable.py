r"""Text from files, proxies and names, made safe for a terminal, a log and a status: control characters are escaped.

That is every control character of C0 and C1 (ESC, CR, CSI), what turns the direction of text, line ends that only
some take for one, and half a surrogate pair, which no terminal can be sent. `\x1b` stands there then.
"""

import re
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:  # the ctl answers before these would be loaded
    from collections.abc import Iterable

_ACTS = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_MARGIN = "    "
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # owasp.org/www-community/attacks/CSV_Injection


def one_line(text: str) -> str:
    """Return *text* on one line, whatever was in it."""
    return text if text.isprintable() else _ACTS.sub(_shown, text)


def lines(text: str) -> str:
    """Return *text* with its lines and tabs."""
    return "\n".join(map(_with_tabs, text.split("\n")))


def indented(text: str) -> str:
    """Return *text* with its lines, of which none but the first begins as a new one would."""
    if text.isprintable():
        return text
    first, *others = lines(text).split("\n")
    return "\n".join([first, *(line if line.startswith(_MARGIN) else _MARGIN + line for line in others)])


def cell(text: str) -> str:
    """Return *text* for CSV: a spreadsheet computes what begins as a formula does, so an apostrophe is before it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def in_all(value: Any) -> Any:
    """Return a document with every string in it on one line, keys too."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, dict):
        return {in_all(name): in_all(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [in_all(inner) for inner in value]
    return value


def _with_tabs(line: str) -> str:
    return line if line.isprintable() else "\t".join(map(one_line, line.split("\t")))


def _shown(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number in _NAMED:
        return _NAMED[number]
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


_NAMED = {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}


class _Stream:
    """A text stream that escapes control characters."""

    def __init__(self, stream: TextIO) -> None:
        self.behind = stream

    def write(self, text: str) -> int:
        """Write *text*, as `lines` has it."""
        self.behind.write(lines(text))
        return len(text)

    def writelines(self, texts: "Iterable[str]") -> None:
        """Write them all."""
        for text in texts:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)


def guarded(stream: TextIO) -> TextIO:
    """Return *stream* so that no control character reaches it; colours of our own go round it, to `unguarded`."""
    return stream if isinstance(stream, _Stream) else cast("TextIO", _Stream(stream))


def unguarded(stream: TextIO) -> TextIO:
    """Return the stream behind a guarded one, for text that is clean and has our own colour codes in it."""
    return stream.behind if isinstance(stream, _Stream) else stream
