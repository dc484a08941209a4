"""What LiteLLM is taught of Bedrock's models."""

import litellm
import pytest

from claude_gatewayd.worker.engine import model_map
from claude_gatewayd.worker.engine.model_map import ModelRegistry


def test_no_more_names_are_taught_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller may make them up, and LiteLLM forgets none."""
    monkeypatch.setattr(model_map, "_MOST", 20)
    monkeypatch.setattr(litellm, "model_cost", dict(litellm.model_cost))
    known = len(litellm.model_cost)
    registry = ModelRegistry()
    for number in range(50):
        registry.register(f"us.anthropic.claude-made-up-{number}")
    assert len(litellm.model_cost) == known + 20
