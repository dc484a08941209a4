"""The keys of a LiteLLM configuration whose meaning here does not depend on their value: tables.

Those of litellm_settings stand in config/litellm_keys.py, for the engine leaves them out by the same table.
"""

from claude_gatewayd.config.litellm_keys import NO_DATABASE, SETTINGS, ReservedKey

ROUTER_VALUES = ("num_retries", "timeout", "allowed_fails", "cooldown_time", "retry_after")
ROUTER_VALUES_ELSEWHERE = {name: name for name in ROUTER_VALUES if name != "timeout"} | {"request_timeout": "timeout"}
_NO_CHOICE = "there is one Anthropic and one Bedrock: nothing to route between"
ROUTER_SETTINGS = {
    "routing_strategy": _NO_CHOICE,
    "routing_strategy_args": _NO_CHOICE,
    "enable_pre_call_checks": "Anthropic validates requests itself",
    "redis_host": "the circuit is kept in the daemon",
    "redis_port": "the circuit is kept in the daemon",
    "redis_password": "the circuit is kept in the daemon",
    "redis_url": "the circuit is kept in the daemon",
}
GENERAL_SETTINGS = {
    **{name: SETTINGS[name] for name in ("master_key", "custom_auth", "database_url")},
    "store_model_in_db": NO_DATABASE,
    "forward_client_headers_to_llm_api": ReservedKey("built in", "all headers go to Anthropic unchanged"),
    "disable_spend_logs": NO_DATABASE,
    **dict.fromkeys(
        ("background_health_checks", "health_check_interval"),
        ReservedKey("not needed", "claude-gatewayctl health sends no request and costs nothing"),
    ),
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
