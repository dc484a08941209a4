"""The environment variables that LiteLLM sees: those of this process, less what must not reach it."""

from collections.abc import Mapping, MutableMapping

# Meant for another LiteLLM on this machine. It knows 150 of them; one runs a function of any module at start-up.
_PREFIXES = ("LITELLM_", "DATABASE_", "REDIS_", "VALKEY_", "PRISMA_", "SPEND_LOG_", "LOGGING_WORKER_", "APSCHEDULER_")
# The same, without a telling prefix (litellm/constants.py, proxy/proxy_server.py, secret_managers/).
_NAMES = frozenset((
    "CONFIG_FILE_PATH", "WORKER_CONFIG", "DIRECT_URL", "STORE_MODEL_IN_DB", "PROXY_BASE_URL", "SERVER_ROOT_PATH",
    "NUM_WORKERS", "PROMETHEUS_MULTIPROC_DIR", "USE_LITELLM_PROXY", "USE_AWS_KMS", "AZURE_KEY_VAULT_URI",
    "USE_DDTRACE", "USE_DDPROFILER", "DETAILED_DEBUG", "DEBUG", "JSON_LOGS", "PYTHON_GC_THRESHOLD", "SSL_VERIFY",
    "REQUEST_TIMEOUT", "DEFAULT_MAX_RETRIES", "DEFAULT_MAX_TOKENS", "DEFAULT_ANTHROPIC_CHAT_MAX_TOKENS",
    "BEDROCK_MIN_THINKING_BUDGET_TOKENS", "DISABLE_AIOHTTP_TRANSPORT", "EXPERIMENTAL_OPENAI_BASE_LLM_HTTP_HANDLER",
))  # fmt: skip
# They would override the keys of each call (litellm/llms/bedrock/base_aws_llm.py), or send it elsewhere.
_AWS_OVERRIDES = frozenset((
    "AWS_PROFILE_NAME", "AWS_ROLE_NAME", "AWS_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN", "AWS_BEDROCK_RUNTIME_ENDPOINT",
    "AWS_BEARER_TOKEN_BEDROCK", "AWS_REGION_NAME", "AWS_STS_ENDPOINT", "AWS_EXTERNAL_ID",
))  # fmt: skip
_FIXED = {
    # Otherwise it fetches its tables from GitHub, at import or with the first request.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "LITELLM_MODE": "PRODUCTION",  # otherwise it loads .env of any directory above its own
    "LITELLM_DONT_SHOW_FEEDBACK_BOX": "True",
    "NO_DOCS": "True",
    "NO_REDOC": "True",
    "NO_OPENAPI": "True",
    "DISABLE_ADMIN_UI": "True",
    # Without this LiteLLM reads Bedrock's answer to its end for a client that is gone, and has it charged.
    "ANTHROPIC_MESSAGES_MAX_DETACHED_STREAM_DRAINS": "0",
}


def prepare(environ: MutableMapping[str, str], proxies: Mapping[str, str | None]) -> dict[str, str]:
    """Change the environment of this process before LiteLLM is imported. What we need of it has been read.

    *proxies* are the proxy variables for LiteLLM's upstreams; None unsets one.
    Returns what was removed: a person's configuration may still name such a variable, as os.environ/NAME.
    """
    names = [n for n in environ if n.startswith(_PREFIXES) or n in _NAMES or n in _AWS_OVERRIDES]
    withheld = {name: environ.pop(name) for name in names}
    environ.update(_FIXED)
    for name, value in proxies.items():
        if value is None:
            environ.pop(name, None)
        else:
            environ[name] = value
    return withheld
