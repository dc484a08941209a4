"""The keys of a LiteLLM configuration that the gateway keeps from LiteLLM, each with the reason.

The engine leaves them out and reports the reason; `import` reports the same, and moves values to config.toml.
"""

from collections.abc import Container, Mapping
from typing import Any, Final, Literal, NamedTuple

REFERENCE: Final = "os.environ/"  # LiteLLM's form of a variable

Replacement = Literal["config.toml", "built in", "changed", "not needed", "yours to do"]


class ReservedKey(NamedTuple):
    """A key that LiteLLM does not get. *by* is what takes its place, *reason* what a person reads."""

    by: Replacement
    reason: str


_ROUTER: Final = ReservedKey("config.toml", "use [router] of config.toml")
_OTHER_FALLBACK: Final = ReservedKey(
    "config.toml", "only Bedrock steps in, and only when Anthropic fails: see [router]"
)
_PER_MODEL: Final = ReservedKey(
    "yours to do", "set it in the entries of model_list: here it would apply to Claude's models as well"
)
_SHARED_CACHE: Final = ReservedKey(
    "changed", "nothing is cached: one caller could get another's answer; Claude's prompt caching needs no cache"
)
_PINGS: Final = ReservedKey("built in", "a silent stream is kept alive with pings")
_OF_PROXYS_USERS: Final = ReservedKey(
    "changed", "it is for keys, teams and users that LiteLLM keeps in its database: they end with the proxy"
)
_LOG: Final = ReservedKey("not needed", "use [log] level of config.toml")
PROXYS_DATABASE: Final = ReservedKey(
    "changed",
    "LiteLLM's virtual keys, budgets and spend logs end with the proxy; the gateway's usage ledger is a file",
)

# Sections at the top of the file. All but model_list and litellm_settings are reserved, known or not.
SECTIONS: Final = {
    "router_settings": "use [router] of config.toml: retries, cool-down and fallback are decided in one place",
    "general_settings": "callers are asked for their own credential; the port is [listen] of config.toml",
    "environment_variables": "set them where the daemon gets its environment; os.environ/NAME works in model_list",
    "include": "write it all into one file",
}

# Keys of litellm_settings.
SETTINGS: Final = {
    **dict.fromkeys(
        ("num_retries", "num_retries_per_request", "fallbacks", "allowed_fails", "cooldown_time", "request_timeout",
         "disable_cooldowns", "retry_after"),
        _ROUTER,
    ),
    **dict.fromkeys(("default_fallbacks", "context_window_fallbacks", "content_policy_fallbacks"), _OTHER_FALLBACK),
    **dict.fromkeys(
        ("api_base", "api_key", "api_version", "organization", "headers", "model_alias_map"), _PER_MODEL
    ),
    **dict.fromkeys(("cache", "cache_params", "enable_redis_auth_cache"), _SHARED_CACHE),
    **dict.fromkeys(("anthropic_sse_ping_interval_seconds", "sse_keepalive_ping_interval_seconds"), _PINGS),
    **dict.fromkeys(("set_verbose", "json_logs"), _LOG),
    **dict.fromkeys(
        ("default_key_generate_params", "upperbound_key_generate_params", "key_generation_settings",
         "key_alias_pattern", "default_internal_user_params", "default_team_params", "default_team_settings",
         "priority_reservation", "priority_reservation_settings", "blocked_user_list", "validate_end_user_id_in_db",
         "store_audit_logs", "audit_log_callbacks", "public_model_groups", "public_model_groups_links",
         "public_agent_groups", "public_mcp_servers"),
        _OF_PROXYS_USERS,
    ),
    "enable_anthropic_prompt_caching": ReservedKey("built in", "Claude Code itself marks what to cache"),
    "custom_auth": ReservedKey("built in", "callers are identified by their own credential, which Anthropic checks"),
    "master_key": ReservedKey(
        "changed", "clients that send it need their own credential, or the gateway key instead: claude-gatewayctl key"
    ),
    "database_url": PROXYS_DATABASE,
    "ssl_verify": ReservedKey(
        "yours to do", "certificates are always verified; set [network] ca_file to your company's CA"
    ),
}  # fmt: skip
CALLBACKS: Final = ("callbacks", "success_callback", "failure_callback")

# By which an entry of model_list signs for Bedrock; a role only with the keys of whoever assumes it.
_SIGNS_BY: Final = (
    "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_profile_name", "aws_web_identity_token",
    "api_key",
)  # fmt: skip
_OF_A_ROLE: Final = ("aws_role_name", "aws_session_name")


def is_at_bedrock(model: str, provider: object) -> bool:
    """Return whether an entry is asked for at Bedrock; *provider* is its custom_llm_provider."""
    return provider == "bedrock" or model.startswith("bedrock/")


def lacks_keys(params: Mapping[str, Any]) -> bool:
    """Return whether an entry at Bedrock names nothing to sign by, nor a role: it gets the gateway's keys."""
    return not any(params.get(name) for name in (*_SIGNS_BY, *_OF_A_ROLE))


def needs_account(model: str, params: Mapping[str, Any], variables: Container[str]) -> bool:
    """Return whether an entry can only be answered where there is an AWS account: with keys of its own it has one.

    *variables* are those that are set: a reference to another one is nothing.
    """
    return (
        is_at_bedrock(model, params.get("custom_llm_provider"))
        and params.get("mock_response") is None
        and not any(params.get(name) and not _unset(params[name], variables) for name in _SIGNS_BY)
    )


def signing_profile(params: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """Return the AWS profile that LiteLLM signs an entry with, "" for none: a role goes before it."""
    named = str(params.get("aws_profile_name") or "")
    named = environ.get(named.removeprefix(REFERENCE), "") if named.startswith(REFERENCE) else named
    return "" if params.get("aws_role_name") or params.get("api_key") else named


def unset_key(model: str, params: Mapping[str, Any], variables: Container[str]) -> str:
    """Return the variable that has an entry's key, if it is not set; "" otherwise. At Bedrock the account stands in."""
    return "" if is_at_bedrock(model, params.get("custom_llm_provider")) else _unset(params.get("api_key"), variables)


def _unset(value: object, variables: Container[str]) -> str:
    name = value.removeprefix(REFERENCE) if isinstance(value, str) and value.startswith(REFERENCE) else ""
    return name if name not in variables else ""
