"""What the model of a request costs: found by any form of its name, once for each name."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec

from claude_gatewayd.bedrock import models
from claude_gatewayd.config.values import TokenPrices
from claude_gatewayd.ledger.prices import rates
from claude_gatewayd.ledger.prices.rates import Price
from claude_gatewayd.ledger.token_counts import TokenCounts

LIST_FILE: Final = Path(__file__).with_name("list_prices.json")
_MOST_FOUND: Final = 500  # names that are remembered; a caller may invent them
_LONGEST_NAME: Final = 200


class PriceList(msgspec.Struct, frozen=True):
    """The copy of LiteLLM's map that scripts/copy-prices makes: prices by the names of Anthropic, and of Bedrock."""

    litellm: str
    anthropic: dict[str, Price]
    bedrock: dict[str, Price]


def load() -> PriceList:
    """Read the copy."""
    return msgspec.json.decode(LIST_FILE.read_bytes(), type=PriceList)


class Prices:
    """Prices by *own* entries of `[ledger.prices]`, then by the list, then by *others*: the person's own models.

    *region* is Bedrock's: a model without the prefix of a geography may have a price of its own there.
    """

    def __init__(
        self,
        own: Mapping[str, TokenPrices],
        region: str = "",
        others: Callable[[str], Price | None] | None = None,
        listed: PriceList | None = None,
    ) -> None:
        self._own = own
        self._region = region
        self._others = others
        self._listed = load() if listed is None else listed
        self._found: dict[tuple[str, str], Price | None] = {}

    def cost(self, model: str, upstream: str, counts: TokenCounts) -> float | None:
        """Return what a request cost at *upstream*, in USD; None: the price of the model is not known."""
        try:
            price = self._found[model, upstream]
        except KeyError:
            price = self._look_up(model, upstream)
        return None if price is None else rates.cost(price, counts)

    def knows(self, model: str, upstream: str) -> bool:
        """Say whether the price of a model is known."""
        return self.cost(model, upstream, _NOTHING) is not None

    def _look_up(self, model: str, upstream: str) -> Price | None:
        own, price = self._own_price(model, upstream), self._list_price(model, upstream)
        if own is not None:  # it says what tokens cost, and no more
            price = Price(own, web_search=price.web_search if price is not None else 0.0)
        if price is None and upstream == "litellm" and self._others is not None:
            price = self._others(model)  # not remembered where there is none: LiteLLM may have just been loaded
        if (price is not None or upstream != "litellm") and len(model) <= _LONGEST_NAME:
            if len(self._found) >= _MOST_FOUND:
                self._found.clear()
            self._found[model, upstream] = price
        return price

    def _own_price(self, model: str, upstream: str) -> TokenPrices | None:
        name = models.called(model)
        by_name = self._own_by_name.get(name)
        if upstream == "bedrock" or models.is_bedrock_only(model):
            by_name = self._own_at_bedrock.get(name, by_name)
        return self._own.get(models.without_marks(model)) or by_name

    def _list_price(self, model: str, upstream: str) -> Price | None:
        """Find a model as it is named, then by the name that all its forms have.

        What Anthropic no longer serves is at Bedrock, at the price that it had.
        """
        marked = models.without_marks(model)
        region = self._region
        if marked.startswith("bedrock/"):
            *route, marked = marked.split("/")
            region = next((part for part in route if "-" in part), region)
        given = marked.rpartition("/")[2]
        name = models.called(model)
        if upstream != "bedrock" and not models.is_bedrock_only(given) and not model.startswith("bedrock/"):
            found = self._listed.anthropic.get(given) or self._anthropic.get(name)
            if found is not None:
                return found
        geography = models.geography_of(given)
        own_region = self._listed.bedrock.get(f"bedrock/{region}/{given}")
        return own_region or self._listed.bedrock.get(given) or self._bedrock.get((geography, name))

    @cached_property
    def _own_by_name(self) -> Mapping[str, TokenPrices]:
        usual = (name for name in self._own if models.is_claude(name) and not models.is_bedrock_only(name))
        return {models.called(name): self._own[name] for name in usual}

    @cached_property
    def _own_at_bedrock(self) -> Mapping[str, TokenPrices]:
        marked = (name for name in self._own if models.is_claude(name) and models.is_bedrock_only(name))
        return {models.called(name): self._own[name] for name in marked}

    @cached_property
    def _anthropic(self) -> Mapping[str, Price]:
        return {models.called(name): price for name, price in sorted(self._listed.anthropic.items())}

    @cached_property
    def _bedrock(self) -> Mapping[tuple[str, str], Price]:
        """Return prices by geography and name; of several dates the newest."""
        return {
            (models.geography_of(name), models.called(name)): price
            for name, price in sorted(self._listed.bedrock.items())
            if not name.startswith("bedrock/")  # those of a region
        }


_NOTHING: Final = TokenCounts()
