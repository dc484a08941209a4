"""Print what LiteLLM says that requests cost: a program of its own, as LiteLLM must not fetch a newer map.

It reads [provider, model, counts] of each from standard input, as JSON, and prints their costs.
"""

import json
import sys

import litellm
from litellm.types.utils import CacheCreationTokenDetails, ModelResponse, PromptTokensDetailsWrapper, Usage

from claude_gatewayd.ledger.token_counts import TokenCounts


def cost(provider: str, model: str, counts: TokenCounts) -> float:
    """Return what LiteLLM says."""
    response = ModelResponse(model=model, usage=_usage(counts))
    found: float = litellm.completion_cost(completion_response=response, model=model, custom_llm_provider=provider)
    return found


def _usage(counts: TokenCounts) -> Usage:
    written = counts.cache_write_5m + counts.cache_write_1h
    details = CacheCreationTokenDetails(
        ephemeral_5m_input_tokens=counts.cache_write_5m, ephemeral_1h_input_tokens=counts.cache_write_1h
    )
    searches = {"web_search_requests": counts.web_searches} if counts.web_searches else {}
    also = {"inference_geo": counts.geo, "speed": counts.speed, "server_tool_use": searches}
    return Usage(
        prompt_tokens=counts.input + counts.cache_read + written,
        completion_tokens=counts.output,
        total_tokens=counts.input + counts.cache_read + written + counts.output,
        prompt_tokens_details=PromptTokensDetailsWrapper(
            cached_tokens=counts.cache_read,
            text_tokens=counts.input,
            cache_creation_tokens=written,
            cache_creation_token_details=details,
        ),
        cache_creation_input_tokens=written,
        cache_read_input_tokens=counts.cache_read,
        **{name: value for name, value in also.items() if value},
    )


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump([cost(provider, model, TokenCounts(*counts)) for provider, model, counts in asked], sys.stdout)
