"""The keys of a LiteLLM configuration whose meaning here does not depend on their value: tables.

Those of litellm_settings stand in config/litellm_keys.py, for the engine leaves them out by the same table.
"""

from claude_gatewayd.config.litellm_keys import SETTINGS, ReservedKey
from claude_gatewayd.ctl.migrate.translation import CHANGED, NOT_NEEDED, Verdict

ROUTER_VALUES = ("num_retries", "timeout", "allowed_fails", "cooldown_time", "retry_after")
ROUTER_VALUES_ELSEWHERE = {name: name for name in ROUTER_VALUES if name != "timeout"} | {"request_timeout": "timeout"}
# What these limit differs: LiteLLM cuts an answer short by them.
ROUTER_DIFFERENCES = {"timeout": "how long retries may go on; a slow answer is not cut short"}
ROUTER_CHOICES = ("routing_strategy", "routing_strategy_args")
ROUTER_TAGS = ("enable_tag_filtering", "tag_filtering_match_any")
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
    "store_model_in_db": ReservedKey("changed", "models of the proxy's database are not in this file: add them to it"),
    "forward_client_headers_to_llm_api": ReservedKey("built in", "all headers go to Anthropic unchanged"),
    "disable_spend_logs": ReservedKey(
        "changed", "the gateway has a usage ledger instead: claude-gatewayctl config set ledger.enabled false ends it"
    ),
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
POSTGRES = ("postgresql://", "postgres://")
LEDGER_URL, LEDGER_BY_VARIABLE = ("ledger", "url"), ("ledger", "use_database_url")
ANTHROPIC_KEY = "ANTHROPIC_API_KEY"
CALLERS_PAY = (
    f"each caller's own credential goes to Anthropic, and pays: log in with claude, or set {ANTHROPIC_KEY} there"
)
# Beginnings of variables that would change which keys and files the whole daemon uses.
NOT_FOR_THE_SERVICE = ("AWS_", "PATH", "HOME", "PYTHON", "LD_", "DYLD_", "XDG_", "CLAUDE_")
AWS_PARAMS = {
    "aws_profile_name": "profile",
    "aws_region_name": "region",
    "aws_bedrock_runtime_endpoint": "runtime_endpoint",
    "timeout": "timeout",
}
# The standard names: what the daemon finds in its environment by itself.
AWS_KEYS = {
    "aws_access_key_id": "os.environ/AWS_ACCESS_KEY_ID",
    "aws_secret_access_key": "os.environ/AWS_SECRET_ACCESS_KEY",
    "aws_session_token": "os.environ/AWS_SESSION_TOKEN",
}
OWN_CREDENTIALS = (*AWS_KEYS, "aws_role_name", "aws_session_name", "aws_external_id", "aws_web_identity_token",
                   "aws_sts_endpoint")  # fmt: skip
# Parameters of a deployment that change nothing for a request which says all by itself, as those to Claude do.
WITHOUT_EFFECT = {
    **dict.fromkeys(("max_tokens", "max_completion_tokens"), "each request names its own"),
    **dict.fromkeys(
        ("drop_params", "stream", "use_in_pass_through", "merge_reasoning_content_in_choices", "base_model",
         "custom_llm_provider", "input_cost_per_token", "output_cost_per_token"),
        "it does not change what is sent",
    ),
}  # fmt: skip
_NO_LIMIT = "the gateway does not limit or weigh requests: the limits of your account apply"
_ROUTER = "[router] decides for all models"
# Parameters by which LiteLLM's router chooses.
OF_THE_ROUTER = {
    **dict.fromkeys(("rpm", "tpm", "max_parallel_requests", "weight", "order"), _NO_LIMIT),
    **dict.fromkeys(("max_retries", "num_retries", "cooldown_time", "allowed_fails"), _ROUTER),
    **dict.fromkeys(("tags", "tag_regex"), "tags choose no entry"),
}


def effect_of(key: str, otherwise: str) -> tuple[Verdict, str]:
    """Return what becomes of a parameter that is not sent: the verdict and the reason."""
    if key in WITHOUT_EFFECT:
        return NOT_NEEDED, WITHOUT_EFFECT[key]
    if "_cost_per_" in key:
        return NOT_NEEDED, "it does not change what is sent"
    return CHANGED, OF_THE_ROUTER.get(key, otherwise)
