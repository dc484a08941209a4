import pytest

from claude_gatewayd.config.values import TokenPrices
from claude_gatewayd.ledger.prices.prices import Prices
from claude_gatewayd.ledger.prices.rates import Price
from claude_gatewayd.ledger.token_counts import TokenCounts

MILLION = TokenCounts(input=1_000_000)
PROFILE = "arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.anthropic.claude-opus-5"
APPLICATION = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/q1w2e3r4"


@pytest.mark.parametrize(
    ("model", "upstream", "input_price"),
    [
        ("claude-opus-5", "anthropic", 5.0),
        ("claude-opus-5[1m]", "anthropic", 5.0),
        ("anthropic/claude-opus-5", "anthropic", 5.0),
        ("claude-opus-5-20270101", "anthropic", 5.0),
        ("claude-opus-4-5-latest", "anthropic", 5.0),
        ("claude-opus", "anthropic", 4.0),  # the newest, 5.5
        ("claude-opus-4-1", "anthropic", 15.0),  # LiteLLM has it at Bedrock only
        ("claude-opus-4-1-20250805", "anthropic", 15.0),
        ("claude-opus-4-0", "anthropic", 15.0),
        ("claude-sonnet-4[1m]", "anthropic", 6.0),  # a prompt of more than 200,000 tokens
        ("claude-opus-5", "bedrock", 5.0),
        ("claude-opus-5-bedrock", "bedrock", 5.0),
        ("claude-opus-5[1m]-bedrock", "anthropic", 5.0),
        ("anthropic.claude-opus-5", "bedrock", 5.0),
        ("global.anthropic.claude-opus-5", "bedrock", 5.0),
        ("us.anthropic.claude-opus-5", "bedrock", 5.5),
        ("us.anthropic.claude-opus-5", "litellm", 5.5),
        ("us-gov.anthropic.claude-opus-5", "bedrock", 6.0),
        ("eu.anthropic.claude-opus-4-5-20251101-v1:0", "bedrock", 5.5),
        ("eu.anthropic.claude-opus-4-5", "bedrock", 5.5),
        ("bedrock/us.anthropic.claude-opus-5", "litellm", 5.5),
        ("bedrock/converse/us.anthropic.claude-opus-5", "litellm", 5.5),
        ("bedrock/us-gov-west-1/anthropic.claude-opus-5", "litellm", 6.0),
        (PROFILE, "bedrock", 5.5),
        (PROFILE.replace("inference-profile/us.", "foundation-model/"), "bedrock", 5.0),
        (APPLICATION, "bedrock", None),  # whoever asks knows the model behind it
        ("claude-opus-99", "anthropic", None),
        ("gpt-5", "litellm", None),
        ("", "anthropic", None),
        ("claude-" * 1000, "anthropic", None),
    ],
)  # fmt: skip
def test_a_model_has_a_price_by_any_form_of_its_name(model: str, upstream: str, input_price: float | None) -> None:
    prices = Prices({})
    for _ in range(2):  # found, and remembered
        assert prices.cost(model, upstream, MILLION) == input_price


def test_a_model_costs_what_its_region_takes() -> None:
    assert Prices({}, "us-gov-east-1").cost("anthropic.claude-opus-5", "bedrock", MILLION) == 6.0
    assert Prices({}, "us-east-1").cost("anthropic.claude-opus-5", "bedrock", MILLION) == 5.0


def test_own_prices_go_before_the_list() -> None:
    own = {
        "claude-opus-5": TokenPrices(1.0, 2.0, 3.0, 4.0, 5.0),
        "us.anthropic.claude-opus-4-8": TokenPrices(7.0, 0, 0, 0, 0),
        "local/llama": TokenPrices(0.0, 0.0, 0.0, 0.0, 0.0),
    }
    prices = Prices(own)
    all_kinds = TokenCounts(1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000)
    assert prices.cost("claude-opus-5[1m]", "anthropic", all_kinds) == 15.0
    assert prices.cost("us.anthropic.claude-opus-5", "bedrock", MILLION) == 1.0  # a name is for all of its forms
    assert prices.cost("us.anthropic.claude-opus-4-8", "bedrock", MILLION) == 7.0
    assert prices.cost("eu.anthropic.claude-opus-4-8", "bedrock", MILLION) == 5.5  # an id is for itself
    assert prices.cost("local/llama", "litellm", MILLION) == 0.0
    assert prices.cost("claude-opus-5", "anthropic", TokenCounts(web_searches=3)) == pytest.approx(0.03)


def test_an_own_price_may_be_for_bedrock_alone() -> None:
    prices = Prices({"claude-opus-5-bedrock": TokenPrices(1.0, 1.0, 1.0, 1.0, 1.0)})
    assert prices.cost("claude-opus-5", "anthropic", MILLION) == 5.0
    assert prices.cost("us.anthropic.claude-opus-5", "bedrock", MILLION) == 1.0
    assert prices.cost("claude-opus-5[1m]-bedrock", "anthropic", MILLION) == 1.0


def test_others_are_asked_again_until_litellm_knows_them() -> None:
    known: dict[str, Price] = {}
    prices = Prices({}, others=known.get)
    assert prices.cost("openai/gpt-5", "litellm", MILLION) is None
    known["openai/gpt-5"] = Price(TokenPrices(1.0, 2.0, 0.1, 1.0, 1.0))
    assert prices.cost("openai/gpt-5", "litellm", MILLION) == 1.0
    known.clear()
    assert prices.cost("openai/gpt-5", "litellm", MILLION) == 1.0


@pytest.mark.parametrize(
    ("counts", "cost"),
    [
        (TokenCounts(), 0.0),
        (TokenCounts(1_000_000, tier="standard", geo="global", speed="standard"), 4.0),
        (TokenCounts(1_000_000, tier="batch"), 2.0),
        (TokenCounts(1_000_000, tier="priority"), 4.0),  # it is paid for in advance
        (TokenCounts(1_000_000, speed="fast"), 8.0),
        (TokenCounts(1_000_000, geo="us"), 4.4),
        (TokenCounts(output=1_000_000), 20.0),
        (TokenCounts(cache_read=1_000_000), 0.2),
        (TokenCounts(cache_write_5m=1_000_000), 5.0),
        (TokenCounts(cache_write_1h=1_000_000), 8.0),
        (TokenCounts(web_searches=10), 0.1),
    ],
)
def test_what_the_usage_says_of_price_is_minded(counts: TokenCounts, cost: float) -> None:
    assert Prices({}).cost("claude-opus-5-5", "anthropic", counts) == pytest.approx(cost)


@pytest.mark.parametrize(("read", "rate"), [(0, 0.1), (100_000 - 1000, 0.1), (100_001 - 1000, 0.5)])
def test_a_long_prompt_has_the_rates_of_long_ones_with_what_a_cache_served(read: int, rate: float) -> None:
    counts = TokenCounts(input=1000, cache_read=read)
    assert Prices({}).cost("claude-haiku-5-5", "anthropic", counts) == pytest.approx(
        (1000 * rate + read * rate / 10) / 1e6
    )


def test_names_that_callers_invent_fill_no_memory() -> None:
    prices = Prices({})
    for number in range(2000):
        prices.cost(f"claude-invented-{number}", "anthropic", MILLION)
    assert len(prices._found) <= 500
