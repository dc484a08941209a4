"""Names of models as labels: a caller may make up any name, and each would be a series of its own."""

from collections.abc import Callable, Collection
from typing import Final, Protocol

from claude_gatewayd.bedrock import models
from claude_gatewayd.bedrock.models import Target

OTHER: Final = "other"
_MOST_LABELS: Final = 100
_MOST_REMEMBERED: Final = 500
_LONGEST: Final = 100


class KnowsPrice(Protocol):
    """Says whether the price of a model at an upstream is known."""

    def __call__(self, model: str, upstream: str, /) -> bool: ...


class ModelLabels:
    """A label for any name: what a model is called by, if its price is known, AWS lists it, or it is the person's own.

    All other names are one label, "other", and so are those above a hundred.
    """

    def __init__(
        self, has_price: KnowsPrice, find: Callable[[str], Target | None], own: Callable[[], Collection[str]]
    ) -> None:
        self._has_price = has_price
        self._find = find
        self._own = own
        self._remembered: dict[str, str] = {"": ""}
        self._labels: set[str] = set()

    def of(self, model: str, upstream: str) -> str:
        """Return the label of a model."""
        return self._remembered.get(model) or (self._look_up(model, upstream) if model else "")

    def _look_up(self, model: str, upstream: str) -> str:
        label = self._known(model, upstream)[:_LONGEST]
        if label not in self._labels and len(self._labels) >= _MOST_LABELS:
            label = ""
        if not label:
            return OTHER  # not remembered: it may become known
        self._labels.add(label)
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered = {"": ""}
        self._remembered[model] = label
        return label

    def _known(self, model: str, upstream: str) -> str:
        """Return what a model is called by, "" for one that nobody knows."""
        if model in self._own():
            return model
        if self._has_price(model, upstream):
            return models.called(model)
        target = self._find(model)
        return target.name if target is not None and target.found in ("own", "live", "table") else ""
