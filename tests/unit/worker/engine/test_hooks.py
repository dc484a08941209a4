"""What a call of LiteLLM's is given just before it is made, and which are not made. LiteLLM itself is not loaded."""

import asyncio
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.network.egress import Egress
from claude_gatewayd.worker.engine import EngineSettings
from claude_gatewayd.worker.engine.request_context import RequestContext, current_request

LOOPBACK = "http://127.0.0.1:47999"
BEDROCK = {"model": "us.anthropic.claude-opus-4-8", "custom_llm_provider": "bedrock"}
CHAT = {"model": "bedrock/us.anthropic.claude-opus-4-8"}  # no provider is named in chat
ECHO = {"model": "openai/echo", "custom_llm_provider": "openai", "api_key": "sk-of-the-person"}
BACK = {"model": "claude-opus-4-8", "custom_llm_provider": "anthropic", "api_base": LOOPBACK, "api_key": "ticket"}
OURS = {
    "aws_access_key_id": "id",
    "aws_secret_access_key": "secret",
    "aws_session_token": "token",
    "aws_region_name": "us-west-2",
    "aws_bedrock_runtime_endpoint": "http://here",
}
NO_WORD = RequestContext(ticket="t-1")
SPENDS = RequestContext(may_spend=True)


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    litellm, logger = ModuleType("litellm"), ModuleType("litellm.integrations.custom_logger")
    vars(litellm).update(model_cost={}, register_model=lambda _: None)
    vars(logger).update(CustomLogger=object)
    monkeypatch.setitem(sys.modules, litellm.__name__, litellm)
    monkeypatch.setitem(sys.modules, logger.__name__, logger)
    ours = ("claude_gatewayd.worker.engine.hooks", "claude_gatewayd.worker.engine.model_map")
    assert not any(name in sys.modules for name in ours), "no other test of this process has LiteLLM"

    async def keys() -> AwsKeys:
        return AwsKeys("id", "secret", "token")

    try:
        module = importlib.import_module(ours[0])
        settings = EngineSettings(None, "us-west-2", "http://here", "http://here", LOOPBACK, Egress({}))
        yield module.Hooks(settings, keys, importlib.import_module(ours[1]).ModelRegistry())
    finally:
        for name in ours:
            sys.modules.pop(name, None)


def given(hooks: Any, kwargs: dict[str, Any], context: RequestContext | None) -> dict[str, Any]:
    """Return what is given to a call that is made for a request."""
    current_request.set(context)
    try:
        found: dict[str, Any] = asyncio.run(hooks.async_pre_call_deployment_hook(dict(kwargs), None))
    finally:
        current_request.set(None)
    return found


@pytest.mark.parametrize("context", [None, NO_WORD], ids=["nobody's", "no word"])
@pytest.mark.parametrize("kwargs", [BEDROCK, CHAT, ECHO, BACK | {"api_base": "http://127.0.0.1:4799"}], ids=str)
def test_without_the_gateways_word_nothing_is_called_that_costs(
    hooks: Any, kwargs: dict[str, Any], context: RequestContext | None
) -> None:
    with pytest.raises(PermissionError):
        given(hooks, kwargs, context)


@pytest.mark.parametrize("kwargs", [BEDROCK, CHAT], ids=str)
def test_bedrock_by_our_keys(hooks: Any, kwargs: dict[str, Any]) -> None:
    assert given(hooks, kwargs, SPENDS) == kwargs | OURS
    named = given(hooks, kwargs, RequestContext(may_spend=True, model_id="arn:x"))
    assert named == kwargs | OURS | {"model_id": "arn:x"}


def test_bedrock_by_keys_of_the_persons_own(hooks: Any) -> None:
    own = BEDROCK | {"aws_access_key_id": "theirs", "aws_secret_access_key": "theirs"}
    assert given(hooks, own, SPENDS) == own | {"aws_session_token": ""}


def test_another_provider_gets_nothing(hooks: Any) -> None:
    assert given(hooks, ECHO, SPENDS) == ECHO


@pytest.mark.parametrize(
    ("kwargs", "where"),
    [
        (BEDROCK, "http://here"),
        (BEDROCK | {"aws_access_key_id": "theirs", "aws_region_name": "eu-west-1"},
         "https://bedrock-runtime.eu-west-1.amazonaws.com"),
        (BEDROCK | {"aws_access_key_id": "theirs"}, "https://bedrock-runtime.us-west-2.amazonaws.com"),
        (ECHO | {"api_base": "https://user:secret@there.example:8443/v1?key=secret#secret"},
         "https://there.example:8443/v1"),
        (ECHO | {"api_base": "http://[::1"}, ""),
        (ECHO, ""),
    ],
    ids=str,
)  # fmt: skip
def test_where_it_goes_is_noted(hooks: Any, kwargs: dict[str, Any], where: str) -> None:
    context = RequestContext(may_spend=True)
    given(hooks, kwargs, context)
    assert context.api_base == where


@pytest.mark.parametrize("context", [NO_WORD, RequestContext(ticket="t-1", may_spend=True)], ids=["no word", "spends"])
def test_back_to_us_by_the_ticket(hooks: Any, context: RequestContext) -> None:
    assert given(hooks, BACK, context) == BACK | {"api_key": "t-1"}


def test_an_error_of_any_depth_is_read(hooks: Any) -> None:
    class BedrockError(Exception):
        status_code = 503
        message = '{"a":' * 20_000

    found = sys.modules[type(hooks).__module__].failure_of(BedrockError())
    assert found.status == 503
