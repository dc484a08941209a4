"""What LiteLLM finds around it: the environment of this process, without what is not its business."""

import os
import warnings

# LiteLLM would fetch its tables from GitHub, at import or with the first request.
_LOCAL = (
    "LITELLM_LOCAL_MODEL_COST_MAP",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS",
    "LITELLM_LOCAL_POLICY_TEMPLATES",
    "LITELLM_LOCAL_BLOG_POSTS",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS",
)
# A configuration, a database and a key of another LiteLLM on this machine.
_ANOTHERS = (
    "CONFIG_FILE_PATH",
    "WORKER_CONFIG",
    "DATABASE_URL",
    "DIRECT_URL",
    "DATABASE_HOST",
    "REDIS_URL",
    "REDIS_HOST",
    "LITELLM_MASTER_KEY",
    "LITELLM_SALT_KEY",
    "LITELLM_LICENSE",
    "LITELLM_CONFIG_BUCKET_NAME",
    "STORE_MODEL_IN_DB",
    "PROXY_BASE_URL",
    "SERVER_ROOT_PATH",
    "LITELLM_LOG",
    "DETAILED_DEBUG",
    "DEBUG",
)
# They go before the keys that come with each call (litellm/llms/bedrock/base_aws_llm.py), or send it elsewhere.
_OVER_OUR_KEYS = (
    "AWS_PROFILE_NAME",
    "AWS_ROLE_NAME",
    "AWS_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN",
    "AWS_BEDROCK_RUNTIME_ENDPOINT",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_REGION_NAME",
    "AWS_STS_ENDPOINT",
    "AWS_EXTERNAL_ID",
)
_HERE = ("127.0.0.1", "localhost")


def prepare() -> None:
    """Change the environment of this process, before LiteLLM is imported. What we need of it has been read."""
    warnings.simplefilter("ignore")  # of LiteLLM's dependencies, now and later: nobody here can mend them
    for name in _LOCAL:
        os.environ[name] = "True"
    for name in (*_ANOTHERS, *_OVER_OUR_KEYS):
        os.environ.pop(name, None)
    os.environ["NO_DOCS"] = os.environ["NO_REDOC"] = os.environ["NO_OPENAPI"] = os.environ["DISABLE_ADMIN_UI"] = "True"
    # A client that has gone wants no more: without this LiteLLM reads Bedrock's answer to its end, and has it paid.
    os.environ["ANTHROPIC_MESSAGES_MAX_DETACHED_STREAM_DRAINS"] = "0"
    os.environ["LITELLM_DONT_SHOW_FEEDBACK_BOX"] = "True"
    for name in ("NO_PROXY", "no_proxy"):  # for Claude's models LiteLLM comes back to this machine, by no proxy
        given = [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]
        os.environ[name] = ",".join(dict.fromkeys([*given, *_HERE]))
