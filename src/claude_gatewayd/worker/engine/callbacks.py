"""LiteLLM's own callbacks, which a configuration names by one word: created before they are registered.

LiteLLM would create them with the first request, which is our warm-up, and not report those that it cannot create.
"""

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import litellm
from litellm.litellm_core_utils import litellm_logging

from claude_gatewayd.errors import describe_exception

# An older kind, for success_callback and failure_callback only (litellm_logging.py, set_callbacks).
_OLDER_KIND = frozenset((
    "athina", "datadog", "dynamodb", "greenscale", "helicone", "langfuse", "logfire", "lunary", "openmeter",
    "promptlayer", "s3", "sentry", "slack", "supabase", "traceloop", "wandb",
))  # fmt: skip
_INSTALLED_BY_LITELLM = {"sentry": "sentry_sdk", "slack": "slack_bolt"}  # LiteLLM would run pip
_MAX_TEXT = 300


def load_error(key: str, name: str) -> str:
    """Create the callback *name*, listed under *key* of the settings. Return why that fails, "" if it does not."""
    package = _INSTALLED_BY_LITELLM.get(name)
    if package is not None and importlib.util.find_spec(package) is None:
        return f"the package {package} is not installed"
    with _logged_errors() as errors:
        try:
            if key != "callbacks" and name in _OLDER_KIND:
                litellm_logging.set_callbacks([name])
                return ""
            if name not in litellm._known_custom_logger_compatible_callbacks:
                return "LiteLLM has no callback of this name"
            if litellm_logging._init_custom_logger_compatible_class(name, None, None) is not None:
                return ""
        except (Exception, SystemExit) as error:
            errors.append(describe_exception(error))
    return (errors[-1] if errors else "LiteLLM cannot create it")[:_MAX_TEXT]


@contextmanager
def _logged_errors() -> Iterator[list[str]]:
    """Collect what LiteLLM logs meanwhile: it logs errors instead of raising them."""
    messages: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: messages.append(record.getMessage().rpartition("custom logger: ")[2])  # type: ignore[method-assign]
    litellm_logger = logging.getLogger("LiteLLM")
    level, propagate = litellm_logger.level, litellm_logger.propagate
    litellm_logger.addHandler(handler)
    litellm_logger.setLevel(logging.ERROR)
    litellm_logger.propagate = False
    try:
        yield messages
    finally:
        litellm_logger.removeHandler(handler)
        litellm_logger.setLevel(level)
        litellm_logger.propagate = propagate
