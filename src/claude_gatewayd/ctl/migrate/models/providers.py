"""What LiteLLM needs for the models of other providers, and what of them the gateway has no route for. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Final

from claude_gatewayd.ctl.migrate.models.entries import Entry

# From get_llm_provider and the providers' validate_environment in LiteLLM 1.106.2: where it looks without an api_key.
_KEYS: Final = {
    "anthropic": "ANTHROPIC_API_KEY",
    "azure": "AZURE_API_KEY",
    "cohere": "COHERE_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "fireworks_ai": "FIREWORKS_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "groq": "GROQ_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "openai": "OPENAI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "perplexity": "PERPLEXITYAI_API_KEY",
    "together_ai": "TOGETHERAI_API_KEY",
    "xai": "XAI_API_KEY",
}
_OPENAIS: Final = re.compile(r"(?:gpt-|chatgpt-|o\d|text-embedding-)")
_ROUTED: Final = ("chat", "completion", "embedding", "responses")
_WITHOUT_ROUTE: Final = (
    (re.compile(r"rerank"), "rerank"),
    (re.compile(r"canvas|dall-e|image|stable-|imagen"), "images"),
    (re.compile(r"whisper|transcri|\btts\b|-tts|speech"), "audio"),
)


def key_of(entry: Entry) -> Mapping[str, str]:
    """Return the api_key that LiteLLM looks for in its environment, as a reference: `install` takes over what is named.

    Empty if the entry has a key, or if nobody knows.
    """
    variable = key_variable(entry.model, entry.params)
    return {"api_key": f"os.environ/{variable}"} if variable else {}


def key_variable(model: str, params: Mapping[str, Any]) -> str:
    """Return the variable in which LiteLLM looks for an entry's key; "" if the entry has one, or if nobody knows."""
    provider, slash, _ = model.partition("/")
    provider = str(params.get("custom_llm_provider") or (provider if slash else ""))
    if not provider and _OPENAIS.match(model):
        provider = "openai"
    if not provider and model.startswith("claude-"):
        provider = "anthropic"
    return "" if {"api_key", "mock_response"} & params.keys() else _KEYS.get(provider, "")


def without_route(name: str, model: str, info: Any) -> str:
    """Return what an entry is for, if no route of the gateway serves that; "" otherwise. *info* is its model_info."""
    mode = info.get("mode") if isinstance(info, Mapping) else None
    if isinstance(mode, str):
        return "" if mode in _ROUTED else mode.replace("_", " ")
    text = f"{name} {model}".lower()
    return next((what for pattern, what in _WITHOUT_ROUTE if pattern.search(text)), "")
