"""The price of a model, out of its entry in LiteLLM's map. Pure: it is given the entry."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from claude_gatewayd.config.values import TokenPrices
from claude_gatewayd.ledger.prices.rates import Price

# The first that an entry has, as LiteLLM chooses: a cache without a price costs what input costs.
_RATES = (
    ("input_cost_per_token",),
    ("output_cost_per_token",),
    ("cache_read_input_token_cost", "input_cost_per_token"),
    ("cache_creation_input_token_cost", "input_cost_per_token"),
    ("cache_creation_input_token_cost_above_1hr", "cache_creation_input_token_cost", "input_cost_per_token"),
)
_LONG = re.compile(r"input_cost_per_token_above_(\d{1,6})k_tokens\Z", re.ASCII)
_BATCHES = "_batches"


def price_of(entry: Mapping[str, Any]) -> Price | None:
    """Return a model's price; None if it is not one by tokens.

    Where there are rates for prompts of several lengths, it has the first of them.
    """
    costs = {key: value for key, value in entry.items() if _is_number(value) and "_token" in key}
    if "input_cost_per_token" not in costs:
        return None
    costs.setdefault("output_cost_per_token", 0)  # embeddings
    long_from = min((int(match[1]) for key in costs if (match := _LONG.match(key))), default=0)
    searches, factors = (_table(entry.get(key)) for key in ("search_context_cost_per_query", "provider_specific_entry"))
    times = {name: float(factor) for name, factor in factors.items() if _is_number(factor)}
    if (batch := costs.get(f"input_cost_per_token{_BATCHES}")) and costs["input_cost_per_token"]:
        times["batch"] = float(_decimal(batch) / _decimal(costs["input_cost_per_token"]))
    price = Price(_rates(costs, ""), times=dict(sorted(times.items())))
    if long_from:
        price = replace(price, long_from=long_from * 1000, long=_rates(costs, f"_above_{long_from}k_tokens"))
    if _is_number(search := searches.get("search_context_size_medium")) and search:
        price = replace(price, web_search=float(search))
    return price


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 100


def _rates(costs: Mapping[str, float], suffix: str) -> TokenPrices:
    """Return the rates in USD per million tokens."""
    found = (next(costs[key + end] for key in keys for end in (suffix, "") if key + end in costs) for keys in _RATES)
    return TokenPrices(*(float(_decimal(cost) * 1_000_000) for cost in found))


def _decimal(cost: float) -> Decimal:
    return Decimal(repr(cost))
