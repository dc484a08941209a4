"""What LiteLLM has to know of a Bedrock model, so that it passes a request on unchanged."""

from typing import Any

import litellm

from claude_gatewayd.bedrock import features
from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.bedrock.models import Family

_MOST = 1000  # for the life of the process, as LiteLLM forgets none: 2 KB each


class ModelRegistry:
    """Register models with LiteLLM by their family, each once; known ones too, for LiteLLM is wrong about some."""

    def __init__(self) -> None:
        self._registered: set[str] = set()

    def register(self, model: str) -> None:
        """Register *model*, an id of Bedrock's, with or without the prefix of its provider."""
        name = model.removeprefix("bedrock/")
        if name in self._registered or "claude" not in name or len(self._registered) >= _MOST:
            return
        self._registered.add(name)
        costs = {} if name in litellm.model_cost else {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}
        litellm.register_model({name: flags(bedrock_models.family_of(name)) | costs})


def flags(family: Family) -> dict[str, Any]:
    """Return the entry of LiteLLM's model map for a family (model_prices_and_context_window.json)."""
    takes = features.TABLE[family]
    thinks = takes.thinking != "none"
    return {
        "litellm_provider": "bedrock",
        "mode": "chat",
        "supports_reasoning": thinks,
        "supports_adaptive_thinking": takes.thinking in ("adaptive", "either"),
        "supports_output_config": bool(takes.efforts),
        "supports_native_structured_output": takes.schema,
        "supports_mid_conversation_system": takes.system,
        "supports_tool_search": features.TOOL_SEARCH in takes.betas,
        "supports_max_reasoning_effort": "max" in takes.efforts,
        "supports_xhigh_reasoning_effort": "xhigh" in takes.efforts,
    }
