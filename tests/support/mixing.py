"""The order in which xdist gives files to its processes."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

Rank = tuple[bool, float, Path]


def mixed(tests: Iterable[Path]) -> dict[Path, Rank]:
    """Return a rank for each file, of which *tests* has one mention a test.

    The files of each folder are spread evenly, for their tests are alike: four that wait leave the cores idle, and four
    that load LiteLLM have too few. Those with few tests come first in their folder, as they are the long ones, and
    those of tests/unit, which are short, last of all: so the processes end together.
    """
    folders: dict[tuple[bool, Path], list[Path]] = defaultdict(list)
    for file, _ in sorted(Counter(tests).items(), key=lambda item: item[1]):
        is_unit = "unit" in file.parts
        folders[is_unit, Path() if is_unit else file.parent].append(file)
    return {
        file: (is_unit, (number + 0.5) / len(found), file)
        for (is_unit, _), found in folders.items()
        for number, file in enumerate(found)
    }
