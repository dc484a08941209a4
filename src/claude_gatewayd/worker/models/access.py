"""Whether this generation has seen that a model at Bedrock can be used."""

import time
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

from claude_gatewayd import printable
from claude_gatewayd.bedrock.errors import masked

_MOST_MODELS: Final = 100
_LONGEST_TEXT: Final = 300
_LONGEST_ID: Final = 2048  # of InvokeModel's modelId; a caller may send what is longer


class Access(NamedTuple):
    """What was seen, and when: "yes", an answer; "no", a refusal with its reason *why*, and the *step* to take."""

    seen: Literal["yes", "no", "unknown"] = "unknown"
    at: float | None = None
    why: str = ""
    step: str = ""


_UNKNOWN: Final = Access()


class ModelAccess:
    """What was seen of each model, by its id at Bedrock."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._seen: dict[str, Access] = {}

    def note_answer(self, model: str) -> None:
        """Note that a model answered."""
        self._note(model, Access("yes", self._clock()))

    def note_refusal(self, model: str, why: str, step: str) -> None:
        """Note that AWS refused a model."""
        self._note(model, Access("no", self._clock(), printable.one_line(masked(why))[:_LONGEST_TEXT], step))

    def of(self, model: str) -> Access:
        """Return what was seen of a model."""
        return self._seen.get(model, _UNKNOWN)

    def denied(self) -> list[dict[str, Any]]:
        """Return the models that AWS refused when they were last asked, for the status."""
        return [
            {"model": masked(model), "why": access.why, "step": access.step, "at": access.at}
            for model, access in self._seen.items()
            if access.seen == "no"
        ]

    def _note(self, model: str, access: Access) -> None:
        if len(model) > _LONGEST_ID:
            return
        self._seen.pop(model, None)
        self._seen[model] = access
        if len(self._seen) > _MOST_MODELS:
            del self._seen[next(iter(self._seen))]
