"""What a terminal shows: as much of an emulator as Claude Code needs, which draws only what has changed."""

import re
from collections.abc import Callable, Mapping
from typing import Final

_TOKEN: Final = re.compile(
    r"\x1b\[(?P<given>[0-9;:?<=>]*)[ -/]*(?P<verb>[@-~])"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles
    r"|\x1b[()][0-9A-B]|\x1b[^\[\]]"
    r"|(?P<control>[\x00-\x1f])"
    r"|(?P<text>[^\x00-\x1f]+)"
)
_BLANK: Final = re.compile(r"\s+")


class Screen:
    """Rows of characters, a cursor, and what moves it; without colours, and with every character one wide."""

    def __init__(self, columns: int, rows: int) -> None:
        self._columns, self._rows = columns, rows
        self._lines = [[" "] * columns for _ in range(rows)]
        self._row = self._column = 0
        self._rest = ""

    @property
    def text(self) -> str:
        """What is shown, line by line."""
        return "\n".join("".join(line).rstrip() for line in self._lines)

    def shows(self, text: str) -> bool:
        """Tell whether a text is shown, wherever its lines are broken."""
        return _BLANK.sub("", text) in _BLANK.sub("", self.text)

    def feed(self, data: str) -> None:
        """Take in what a program prints; a sequence that is not complete waits for its rest."""
        data, at = self._rest + data, 0
        while match := _TOKEN.match(data, at):
            at = match.end()
            if match["text"]:
                self._write(match["text"])
            elif match["control"]:
                self._control(match["control"])
            elif match["verb"]:
                self._sequence(match["verb"], match["given"])
        self._rest = data[at:]

    def _write(self, text: str) -> None:
        for character in text:
            if self._column == self._columns:
                self._column = 0
                self._control("\n")
            self._lines[self._row][self._column] = character
            self._column += 1

    def _control(self, control: str) -> None:
        if control == "\r":
            self._column = 0
        elif control == "\b":
            self._column = max(0, self._column - 1)
        elif control == "\n" and self._row == self._rows - 1:
            self._lines = [*self._lines[1:], [" "] * self._columns]
        elif control == "\n":
            self._row += 1

    def _sequence(self, verb: str, given: str) -> None:
        if given.startswith(("?", ">", "<", "=")):
            return
        numbers = [int(part) if part.isdigit() else 0 for part in given.split(";")]
        first = numbers[0]
        if verb in "Hf":
            self._go(max(1, first) - 1, max(1, numbers[1] if len(numbers) > 1 else 1) - 1)
        elif verb in "JK":
            self._erase(verb, first)
        elif move := _MOVES.get(verb):
            self._go(*move(self._row, self._column, max(1, first)))

    def _go(self, row: int, column: int) -> None:
        self._row = min(max(0, row), self._rows - 1)
        self._column = min(max(0, column), self._columns - 1)

    def _erase(self, verb: str, what: int) -> None:
        at = self._row * self._columns + self._column
        line = self._row * self._columns
        begin, end = (0, self._rows * self._columns) if verb == "J" else (line, line + self._columns)
        for place in range(*((at, end), (begin, at + 1), (begin, end))[min(what, 2)]):
            if place < self._rows * self._columns:
                self._lines[place // self._columns][place % self._columns] = " "


_MOVES: Final[Mapping[str, Callable[[int, int, int], tuple[int, int]]]] = {
    "A": lambda row, column, by: (row - by, column),
    "B": lambda row, column, by: (row + by, column),
    "C": lambda row, column, by: (row, column + by),
    "D": lambda row, column, by: (row, column - by),
    "E": lambda row, column, by: (row + by, 0),
    "F": lambda row, column, by: (row - by, 0),
    "G": lambda row, column, by: (row, by - 1),
    "d": lambda row, column, by: (by - 1, column),
}
