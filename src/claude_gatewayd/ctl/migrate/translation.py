"""What became of one line of an old configuration."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["carried over", "built in", "not needed", "yours to do", "not understood"]
CARRIED, BUILT_IN, NOT_NEEDED, YOURS, UNKNOWN = Verdict.__args__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Translation:
    """What became of one item: its line and its name in the old file, the verdict, and an explanation."""

    line: int
    item: str
    verdict: Verdict
    explanation: str
