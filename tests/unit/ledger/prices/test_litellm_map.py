from typing import Any

import pytest

from claude_gatewayd.config.values import TokenPrices
from claude_gatewayd.ledger.prices.litellm_map import price_of
from claude_gatewayd.ledger.prices.rates import Price

BOTH = {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}
RATES = TokenPrices(1.0, 2.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("entry", "price"),
    [
        (BOTH, Price(RATES)),
        ({"input_cost_per_token": 1.1e-07}, Price(TokenPrices(0.11, 0.0, 0.11, 0.11, 0.11))),  # embeddings
        (BOTH | {"cache_read_input_token_cost": 0}, Price(RATES._replace(cache_read=0.0))),
        (BOTH | {"cache_creation_input_token_cost": 3e-06},
         Price(RATES._replace(cache_write_5m=3.0, cache_write_1h=3.0))),
        (BOTH | {"input_cost_per_token_above_128k_tokens": 4e-06, "input_cost_per_token_above_256k_tokens": 8e-06},
         Price(RATES, 128_000, TokenPrices(4.0, 2.0, 4.0, 4.0, 4.0))),
        (BOTH | {"input_cost_per_token_batches": 5e-07}, Price(RATES, times={"batch": 0.5})),
        (BOTH | {"input_cost_per_token": 0.0, "input_cost_per_token_batches": 5e-07},
         Price(TokenPrices(0.0, 2.0, 0.0, 0.0, 0.0))),
        (BOTH | {"provider_specific_entry": {"fast": 2, "model_class": "titan"}}, Price(RATES, times={"fast": 2.0})),
        (BOTH | {"search_context_cost_per_query": {"search_context_size_medium": 0.01}}, Price(RATES, web_search=0.01)),
        ({}, None),
        ({"input_cost_per_second": 0.1}, None),
        ({"input_cost_per_token": "1e-06"}, None),
        ({"input_cost_per_token": -1}, None),
        ({"input_cost_per_token": True}, None),
        (BOTH | {"provider_specific_entry": "x", "search_context_cost_per_query": 3}, Price(RATES)),
    ],
)  # fmt: skip
def test_an_entry_has_its_price(entry: dict[str, Any], price: Price | None) -> None:
    assert price_of(entry) == price
