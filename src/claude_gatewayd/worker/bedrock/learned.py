"""What models at Bedrock have refused, so that the next request does without it from the start."""

import logging
from collections.abc import Sequence
from typing import Any

from claude_gatewayd.bedrock.errors import masked
from claude_gatewayd.bedrock.refused import RefusedFeature
from claude_gatewayd.printable import one_line

logger = logging.getLogger(__name__)

_LONGEST_TEXT = 300
_MOST_MODELS = 100


class LearnedRefusals:
    """What was refused, by the model's id at Bedrock."""

    def __init__(self) -> None:
        self._refused: dict[str, dict[RefusedFeature, str]] = {}

    def by(self, model: str) -> tuple[RefusedFeature, ...]:
        """Return what a model has refused."""
        return tuple(self._refused.get(model, ()))

    def learn(self, model: str, features: Sequence[RefusedFeature], text: str) -> None:
        """Remember what a model has refused with *text*: the request without it was answered."""
        if model not in self._refused and len(self._refused) >= _MOST_MODELS:
            return
        text = one_line(masked(text))[:_LONGEST_TEXT]
        known = self._refused.setdefault(model, {})
        known.update(dict.fromkeys(features, text))
        names = ", ".join(str(feature) for feature in features)
        logger.warning(
            'Bedrock\'s %s refuses %s: left out from now on. Please report this line: "%s"', masked(model), names, text
        )

    def snapshot(self) -> list[dict[str, Any]]:
        """Return what was refused, for the status."""
        return [
            {"model": masked(model), "refused": str(feature), "message": text}
            for model, features in self._refused.items()
            for feature, text in features.items()
        ]
