"""The fields of a body that LiteLLM is given, by route. Pure.

LiteLLM reads far more from a body than a provider's API documents: where its own keys go, which models to ask instead,
how often to retry. That is for the person to choose, or for `policy`, and not for a caller; and each version adds more.
So this is a list of what is allowed. Sources: O = platform.openai.com/docs/api-reference, as in the types of
OpenAI's SDK; A = platform.claude.com/docs/en/api/messages; L = docs.litellm.ai, parameters of models alone.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from claude_gatewayd.anthropic.request import MESSAGES
from claude_gatewayd.bedrock.features import LEFT_OUT

_CHAT: Final = (  # O
    "model", "messages", "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "metadata", "modalities", "moderation", "n", "parallel_tool_calls",
    "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
    "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream",
    "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity",
    "web_search_options",
    "thinking", "top_k", "min_p", "repetition_penalty", "drop_params",  # L
)  # fmt: skip
_COMPLETIONS: Final = (  # O
    "model", "prompt", "best_of", "echo", "frequency_penalty", "logit_bias", "logprobs", "max_tokens", "n",
    "presence_penalty", "seed", "stop", "stream", "stream_options", "suffix", "temperature", "top_p", "user",
    "top_k", "min_p", "repetition_penalty", "drop_params",  # L
)  # fmt: skip
_EMBEDDINGS: Final = (
    "model", "input", "dimensions", "encoding_format", "user",  # O
    "input_type", "drop_params",  # L
)  # fmt: skip
_RESPONSES: Final = (  # O
    "model", "input", "background", "context_management", "conversation", "include", "instructions",
    "max_output_tokens", "max_tool_calls", "metadata", "moderation", "parallel_tool_calls", "previous_response_id",
    "prompt", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier",
    "service_tier", "store", "stream", "stream_options", "temperature", "text", "tool_choice", "tools", "top_logprobs",
    "top_p", "truncation", "user",
    "thinking", "top_k", "drop_params",  # L
)  # fmt: skip
_MESSAGES: Final = (  # A
    "model", "messages", "max_tokens", "cache_control", "container", "context_management", "inference_geo",
    "mcp_servers", "metadata", "output_config", "output_format", "service_tier", "speed", "stop_sequences", "stream",
    "system", "temperature", "thinking", "tool_choice", "tools", "top_k", "top_p",
)  # fmt: skip

BY_ROUTE: Final[Mapping[str, frozenset[str]]] = {
    "chat/completions": frozenset(_CHAT),
    "completions": frozenset(_COMPLETIONS),
    "embeddings": frozenset(_EMBEDDINGS),
    "responses": frozenset(_RESPONSES),
    "messages": frozenset(_MESSAGES),
}

# Never allowed, whatever the person writes: with these, a caller could choose where the person's keys are sent.
_NEVER: Final = frozenset(("api_key", "api_base", "base_url", "api_version", "extra_headers", "headers",
                           "custom_llm_provider", "organization", "model_list", "litellm_params", "user_config",
                           "provider_specific_header", "secret_fields", "client"))  # fmt: skip
_NEVER_BEGINS: Final = ("aws_", "azure_", "vertex_")


def allowed(path: bytes, by_person: Iterable[str] = ()) -> frozenset[str]:
    """Return the fields that LiteLLM is given. *by_person* are those that the model's own entry adds."""
    route = path.removeprefix(b"/v1").removeprefix(b"/").decode()
    further = (name for name in by_person if name not in _NEVER and not name.startswith(_NEVER_BEGINS))
    return BY_ROUTE[route].union(further)


def to_report(path: bytes, left_out: Iterable[str]) -> list[str]:
    """Return which of the fields that were left out to report: not those that mean nothing outside of Anthropic."""
    return [name for name in left_out if path != MESSAGES or name not in LEFT_OUT]
