"""What LiteLLM is given of a body: all that a provider documents, and nothing that only LiteLLM reads."""

import pytest
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import response_create_params

from claude_gatewayd.anthropic.request import MESSAGES
from claude_gatewayd.worker.gateway.lanes.body_fields import BY_ROUTE, allowed, to_report
from claude_gatewayd.worker.gateway.lanes.litellm import ROUTES

OPENAIS = {
    "chat/completions": chat_create_params.CompletionCreateParamsBase,
    "completions": completion_create_params.CompletionCreateParamsBase,
    "embeddings": embedding_create_params.EmbeddingCreateParams,
    "responses": response_create_params.ResponseCreateParamsBase,
}
# Each leads LiteLLM elsewhere, or decides what `policy` decides, or is for whoever runs LiteLLM.
NOT_A_CALLERS = (
    "api_key", "api_base", "base_url", "api_version", "extra_headers", "headers", "extra_body", "organization",
    "custom_llm_provider", "fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "default_fallbacks",
    "num_retries", "max_retries", "retry_policy", "timeout", "request_timeout", "stream_timeout", "mock_response",
    "mock_tool_calls", "mock_timeout", "model_list", "litellm_params", "callbacks", "success_callback",
    "failure_callback", "litellm_logging_obj", "litellm_metadata", "litellm_call_id", "no-log", "guardrails", "cache",
    "caching", "router", "proxy_server_request", "secret_fields", "provider_specific_header", "specific_deployment",
    "allowed_model_region", "use_litellm_proxy", "vertex_credentials", "azure_ad_token", "aws_profile_name",
    "aws_bedrock_runtime_endpoint", "user_config", "router_settings_override", "fastest_response", "s3_bucket_name",
    "gcs_bucket_name", "client", "ssl_verify", "disable_fallbacks", "use_in_pass_through", "allowed_openai_params",
    "prompt_id", "prompt_variables", "model_info", "tags", "priority", "a_key_of_next_year",
)  # fmt: skip


def test_every_route_has_its_fields() -> None:
    for path in [*ROUTES, MESSAGES]:
        assert allowed(path) in BY_ROUTE.values()


@pytest.mark.parametrize("route", OPENAIS)
def test_all_that_openai_documents(route: str) -> None:
    assert set(OPENAIS[route].__annotations__) <= BY_ROUTE[route] | {"stream"}


@pytest.mark.parametrize("route", BY_ROUTE)
def test_nothing_that_litellm_alone_reads(route: str) -> None:
    assert BY_ROUTE[route].isdisjoint(NOT_A_CALLERS)


def test_what_the_person_allows() -> None:
    path = b"/v1/chat/completions"
    assert allowed(path, ["enable_thinking"]) - allowed(path) == {"enable_thinking"}
    assert allowed(path, ["api_base", "api_key", "aws_bedrock_runtime_endpoint", "user_config"]) == allowed(path)


def test_what_is_reported() -> None:
    assert to_report(MESSAGES, ["diagnostics", "of_next_year"]) == ["of_next_year"]
    assert to_report(b"/v1/chat/completions", ["diagnostics", "fallbacks"]) == ["diagnostics", "fallbacks"]
