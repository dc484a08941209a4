"""What LiteLLM has to know of a model of Bedrock's, so that it carries a request as it is."""

from typing import Any

import litellm

from claude_gatewayd.bedrock import features
from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.bedrock.models import Family


class ModelRegistry:
    """Tell LiteLLM of models by their family, each once: of those that it knows too, for some it knows wrongly."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def know(self, model: str) -> None:
        """See that LiteLLM knows *model*, an id of Bedrock's, with or without the name of its provider."""
        name = model.removeprefix("bedrock/")
        if name in self._known or "claude" not in name:
            return
        if len(self._known) > _MOST:
            self._known.clear()
        self._known.add(name)
        costs = {} if name in litellm.model_cost else {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}
        litellm.register_model({name: flags(bedrock_models.family_of(name)) | costs})


_MOST = 1000


def flags(family: Family) -> dict[str, Any]:
    """Return what LiteLLM's model map says of such a model (model_prices_and_context_window.json)."""
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
