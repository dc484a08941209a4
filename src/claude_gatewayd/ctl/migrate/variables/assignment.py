"""One variable that a file sets."""

from pathlib import Path
from typing import NamedTuple


class Assignment(NamedTuple):
    """A variable, its value, and where that stands. The value is None if it is not in the file:

    something would have to be run for it, or set elsewhere.
    """

    name: str
    value: str | None
    file: Path
    line: int
