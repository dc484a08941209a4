"""Keys that LiteLLM would look for by itself, and what the gateway has no route for."""

from typing import Any

import pytest

from claude_gatewayd.ctl.migrate.models import entries, providers
from claude_gatewayd.ctl.migrate.models.entries import Entry


def read(name: str, rest: dict[str, Any] | None = None, **params: Any) -> Entry:
    entry = entries.read(0, {"model_name": name, "litellm_params": params, **(rest or {})}, {}, {})
    assert isinstance(entry, Entry)
    return entry


@pytest.mark.parametrize(
    ("params", "key"),
    [
        ({"model": "gpt-4o"}, "OPENAI_API_KEY"),
        ({"model": "o3-mini"}, "OPENAI_API_KEY"),
        ({"model": "openai/gpt-5"}, "OPENAI_API_KEY"),
        ({"model": "x", "custom_llm_provider": "groq"}, "GROQ_API_KEY"),
        ({"model": "openai/gpt-5", "api_key": "sk"}, ""),
        ({"model": "openai/gpt-5", "mock_response": "hi"}, ""),
        ({"model": "ollama/llama3"}, ""),
        ({"model": "bedrock/amazon.nova-pro-v1:0"}, ""),
    ],
)
def test_the_key_that_litellm_looks_for(params: dict[str, Any], key: str) -> None:
    assert providers.key_of(read("x", **params)) == ({"api_key": f"os.environ/{key}"} if key else {})


@pytest.mark.parametrize(
    ("name", "mode", "model", "what"),
    [
        ("x", "rerank", "bedrock/cohere.y", "rerank"),
        ("x", "image_generation", "openai/y", "image generation"),
        ("x", "embedding", "bedrock/image-embed", ""),
        ("x", "", "bedrock/arn:aws:bedrock:ca-central-1::foundation-model/cohere.rerank-v3-5:0", "rerank"),
        ("nova-canvas-provisioned", "", "bedrock/arn:aws:bedrock:us-east-1:1:provisioned-model/x", "images"),
        ("x", "", "openai/whisper-1", "audio"),
        ("x", "", "bedrock/amazon.titan-embed-text-v2:0", ""),
        ("gpt-4o", "", "openai/gpt-4o", ""),
    ],
)
def test_what_the_gateway_has_no_route_for(name: str, mode: str, model: str, what: str) -> None:
    assert providers.without_route(name, model, {"mode": mode or None}) == what
