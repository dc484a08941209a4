"""What LiteLLM is taught of Bedrock's models."""

import importlib
import sys
from types import ModuleType
from typing import Any

import pytest


def test_no_more_names_are_taught_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller may make them up, and LiteLLM forgets none."""
    taught: dict[str, Any] = {}
    litellm = ModuleType("litellm")
    vars(litellm).update(model_cost=taught, register_model=taught.update)
    monkeypatch.setitem(sys.modules, "litellm", litellm)
    name = "claude_gatewayd.worker.engine.model_map"
    assert name not in sys.modules, "no other test of this process has LiteLLM"
    try:
        model_map = importlib.import_module(name)
        registry = model_map.ModelRegistry()
        for number in range(1100):
            registry.register(f"us.anthropic.claude-made-up-{number}")
    finally:
        sys.modules.pop(name, None)
    assert len(taught) == 1000
