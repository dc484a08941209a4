"""LiteLLM's own callbacks, which a configuration names by one word, and the packages that they need: tables.

Of LiteLLM 1.106.2. The gateway brings none of these packages; `claude-gatewayctl upgrade --with` adds them.
"""

import shlex
from collections.abc import Callable
from importlib.util import find_spec
from typing import Final, NamedTuple


class CallbackPackage(NamedTuple):
    """What a callback needs: *module* is what it imports, *requirements* what pip installs for that."""

    module: str
    requirements: tuple[str, ...]

    @property
    def why(self) -> str:
        """Say why the callback is not loaded without it."""
        return f"it needs {' and '.join(self.requirements)}, not installed here"

    @property
    def hint(self) -> str:
        """Return the command that adds it."""
        return f"claude-gatewayctl upgrade {shlex.join(word for one in self.requirements for word in ('--with', one))}"


_TELEMETRY: Final = CallbackPackage("opentelemetry.sdk", ("opentelemetry-sdk", "opentelemetry-exporter-otlp"))

# For sentry, slack and supabase LiteLLM would run pip inside the daemon.
PACKAGES: Final = {
    **dict.fromkeys(
        ("agentops", "arize", "arize_phoenix", "langfuse_otel", "langtrace", "otel", "signoz", "weave_otel"), _TELEMETRY
    ),
    "langfuse": CallbackPackage("langfuse", ("langfuse>=4.7,<5",)),  # LiteLLM refuses others
    "logfire": CallbackPackage("logfire", ("logfire",)),
    "lunary": CallbackPackage("lunary", ("lunary>=0.1.43",)),
    "mlflow": CallbackPackage("mlflow", ("mlflow>=3.11.1,<4",)),
    "sentry": CallbackPackage("sentry_sdk", ("sentry-sdk>=2.21,<3",)),
    "slack": CallbackPackage("slack_bolt", ("slack-bolt",)),
    "supabase": CallbackPackage("supabase", ("supabase",)),
    "traceloop": CallbackPackage("traceloop", ("traceloop-sdk",)),
    "wandb": CallbackPackage("wandb", ("wandb",)),
}

# An older kind, for success_callback and failure_callback only (litellm_logging.py, set_callbacks).
OLDER_KIND: Final = frozenset((
    "athina", "datadog", "dynamodb", "greenscale", "helicone", "langfuse", "logfire", "lunary", "openmeter",
    "promptlayer", "s3", "sentry", "slack", "supabase", "traceloop", "wandb",
))  # fmt: skip
# litellm._known_custom_logger_compatible_callbacks; a test compares.
NEWER_KIND: Final = frozenset((
    "agentops", "anthropic_cache_control_hook", "argilla", "arize", "arize_phoenix", "aws_sqs", "azure_sentinel",
    "azure_storage", "bitbucket", "braintrust", "clickhouse", "cloudzero", "compression_interception", "datadog",
    "datadog_llm_observability", "datadog_metrics", "deepeval", "dotprompt", "dynamic_rate_limiter",
    "dynamic_rate_limiter_v3", "focus", "galileo", "gcs_bucket", "gcs_pubsub", "generic_api", "gitlab", "humanloop",
    "lago", "langfuse", "langfuse_otel", "langsmith", "langtrace", "levo", "litellm_agent", "literalai", "logfire",
    "mavvrik", "mlflow", "newrelic", "openmeter", "opik", "otel", "pagerduty", "pointfive", "posthog", "prometheus",
    "resend_email", "s3_v2", "sendgrid_email", "signoz", "smtp_email", "vantage", "vector_store_pre_call_hook",
    "weave_otel", "zerobus",
))  # fmt: skip


def is_known(key: str, name: str) -> bool:
    """Say whether LiteLLM has a callback of this name for a key of litellm_settings."""
    return name in NEWER_KIND or (key != "callbacks" and name in OLDER_KIND)


def is_there(module: str) -> bool:
    """Say whether a module can be imported here."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError, AttributeError):  # of a package that it is in
        return False


def missing(name: str, installed: Callable[[str], bool] = is_there) -> CallbackPackage | None:
    """Return the package that a callback of LiteLLM's lacks, None if it lacks none."""
    package = PACKAGES.get(name)
    return package if package is not None and not installed(package.module) else None


def package_of(module: str) -> CallbackPackage:
    """Return what to install for a module that a person's own callback imports: usually it has the module's name."""
    top = module.partition(".")[0]
    known = (one for one in PACKAGES.values() if top == one.module.partition(".")[0])
    return next(known, CallbackPackage(top, (top.replace("_", "-"),)))
