"""Colours for a terminal, applied to the finished plain text, so that both have the same words.

Four escapes of our own: to load rich takes longer than the rest of `status`.
"""

import re
from collections.abc import Mapping

RED, GREEN, YELLOW, CYAN, BOLD, DIM = "31", "32", "33", "36", "1", "2"

_STATES = {"serving": GREEN, "refusing": RED, "down": RED}
_WORDS = {"ok": GREEN, "ready": GREEN, "failing": RED, "failed": RED, "down": RED, "refused": RED, "expiring": YELLOW,
          "off:": DIM}  # fmt: skip
_LABELLED = re.compile(r"^(  )(\S.{11} )(\S+)(.*)$")


def wanted(stream: object, environ: Mapping[str, str]) -> bool:
    """Return whether this stream takes colours: a terminal, unless NO_COLOR is set (no-color.org)."""
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty()) and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def ink(text: str, *codes: str) -> str:
    """Return *text* in that colour."""
    return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if text else ""


def status(plain: str) -> str:
    """Return the text of `status` in colours: state and problems stand out, labels are dim."""
    head, *lines = plain.split("\n")
    state, space, rest = head.partition(" ")
    return "\n".join([ink(state, BOLD, _STATES.get(state, YELLOW)) + space + rest, *_lines(lines)])


def _lines(lines: list[str]) -> list[str]:
    painted, trouble = [], False
    for line in lines:
        found = _LABELLED.match(line)
        if found is None:
            painted.append(ink(line, CYAN) if trouble else line)  # what mends it
            continue
        margin, label, word, rest = found.groups()
        trouble = label.strip() in ("problem", "notice")
        if trouble:
            painted.append(margin + ink(label, BOLD, RED if label.startswith("problem") else YELLOW) + word + rest)
            continue
        bare = word.rstrip(",:;")
        colour = _WORDS.get(word) or _WORDS.get(bare)
        shown = ink(bare, colour) + word[len(bare) :] if colour else word
        painted.append(margin + ink(label, DIM) + shown + rest)
    return painted


def toml(plain: str) -> str:
    """Return a configuration in colours: values that are not the default stand out."""
    return "\n".join(map(_toml_line, plain.split("\n")))


def _toml_line(line: str) -> str:
    if line.startswith("["):
        return ink(line, BOLD)
    value, mark, where = line.rpartition(" # ")
    return (value if where == "default" else ink(value, GREEN)) + ink(mark + where, DIM) if mark else line


def answer(plain: str) -> str:
    """Return a text in colours that says `healthy`, or what is wrong."""
    head, colon, rest = plain.partition(":")
    return ink(head, BOLD, RED if colon else GREEN) + colon + rest
