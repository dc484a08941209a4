"""The keys of a LiteLLM configuration whose meaning here does not depend on their value: tables."""

from claude_gatewayd.ctl.migrate.translation import BUILT_IN, NOT_NEEDED, YOURS

ROUTER_VALUES = ("num_retries", "timeout", "allowed_fails", "cooldown_time", "retry_after")
ROUTER_VALUES_ELSEWHERE = {name: name for name in ROUTER_VALUES if name != "timeout"} | {"request_timeout": "timeout"}
_NO_CHOICE = "there is one Anthropic and one Bedrock: nothing to choose between"
ROUTER_SETTINGS = {
    "routing_strategy": _NO_CHOICE,
    "routing_strategy_args": _NO_CHOICE,
    "enable_pre_call_checks": "Anthropic judges requests itself",
    "redis_host": "the circuit is kept in the daemon",
    "redis_port": "the circuit is kept in the daemon",
    "redis_password": "the circuit is kept in the daemon",
    "redis_url": "the circuit is kept in the daemon",
}
NO_DATABASE = "the gateway needs no database, and no PostgreSQL container"
GENERAL_SETTINGS = {
    "master_key": (NOT_NEEDED, "callers bring their own credential; unset ANTHROPIC_AUTH_TOKEN if it holds this key"),
    "custom_auth": (BUILT_IN, "callers are known by their own credential, which Anthropic judges"),
    "database_url": (NOT_NEEDED, NO_DATABASE),
    "store_model_in_db": (NOT_NEEDED, NO_DATABASE),
    "forward_client_headers_to_llm_api": (BUILT_IN, "all headers go to Anthropic as they came"),
    "disable_spend_logs": (NOT_NEEDED, NO_DATABASE),
    "background_health_checks": (NOT_NEEDED, "claude-gatewayctl health asks nobody, and costs nothing"),
    "health_check_interval": (NOT_NEEDED, "claude-gatewayctl health asks nobody, and costs nothing"),
}
VARIABLES = {
    "AWS_PROFILE": ("bedrock", "profile"),
    "AWS_REGION": ("bedrock", "region"),
    "AWS_DEFAULT_REGION": ("bedrock", "region"),
    "LITELLM_PORT": ("listen", "port"),
}
AWS_PARAMS = {
    "aws_profile_name": "profile",
    "aws_region_name": "region",
    "aws_bedrock_runtime_endpoint": "runtime_endpoint",
    "timeout": "timeout",
}
AWS_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_NOT_CACHED = "one caller's answer would be given to another; prompts of Claude's models are cached without it"
LITELLM_SETTINGS = {
    "cache": (NOT_NEEDED, _NOT_CACHED),
    "cache_params": (NOT_NEEDED, _NOT_CACHED),
    "enable_redis_auth_cache": (NOT_NEEDED, _NOT_CACHED),
    "enable_anthropic_prompt_caching": (BUILT_IN, "Claude Code says itself what is to be cached"),
    "anthropic_sse_ping_interval_seconds": (BUILT_IN, "the silences of a stream are broken by pings"),
    "sse_keepalive_ping_interval_seconds": (BUILT_IN, "the silences of a stream are broken by pings"),
    "ssl_verify": (YOURS, "certificates are always checked; name your company's CA by [network] ca_file"),
} | dict.fromkeys(
    ("api_base", "api_key", "api_version", "organization", "headers", "model_alias_map"),
    (YOURS, "give it to the entries of model_list: here it would go for Claude's models too"),
)
NO_OTHER_FALLBACK = "only Bedrock stands in, and only when Anthropic cannot: see [router]"
OTHER_FALLBACKS = ("default_fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "disable_cooldowns",
              "num_retries_per_request")  # fmt: skip
