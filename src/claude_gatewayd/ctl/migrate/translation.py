"""What became of one line of an old configuration."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["carried over", "built in", "changed", "not needed", "yours to do", "not understood"]
CARRIED, BUILT_IN, CHANGED, NOT_NEEDED, YOURS, UNKNOWN = Verdict.__args__  # type: ignore[attr-defined]
OPEN_ENDS = (CHANGED, YOURS, UNKNOWN)  # a person should read these


@dataclass(frozen=True, slots=True)
class Translation:
    """What became of one item: its line and its name in the old file, the verdict, and an explanation."""

    line: int
    item: str
    verdict: Verdict
    explanation: str
