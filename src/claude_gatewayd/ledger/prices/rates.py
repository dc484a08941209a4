"""The rates of one model, and what tokens cost by them. Pure."""

import msgspec

from claude_gatewayd.config.values import TokenPrices
from claude_gatewayd.ledger.token_counts import TokenCounts

_MILLION = 1e6


class Price(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model costs.

    *long* are the rates of a request whose prompt, caches included, has more than *long_from* tokens. A web search
    costs *web_search* USD. *times* are factors by what the usage names: a service tier, a speed, a geography.
    """

    rates: TokenPrices
    long_from: int = 0
    long: TokenPrices | None = None
    web_search: float = 0.0
    times: dict[str, float] = {}


def cost(price: Price, counts: TokenCounts) -> float:
    """Return what *counts* cost, in USD."""
    used, written, read, write_5m, write_1h, searches, tier, speed, geo = counts
    rates = price.rates
    if price.long is not None and used + read + write_5m + write_1h > price.long_from:
        rates = price.long
    total = (
        used * rates[0] + written * rates[1] + read * rates[2] + write_5m * rates[3] + write_1h * rates[4]
    ) / _MILLION
    if price.times:
        times = price.times
        total *= times.get(tier, 1.0) * times.get(speed, 1.0) * times.get(geo, 1.0)
    return total + searches * price.web_search if searches else total
