"""LiteLLM's own callbacks, which a configuration names by one word: made before they are registered.

LiteLLM makes them with the first request, which is our warming up, and says nothing of those that it cannot make.
"""

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import litellm
from litellm.litellm_core_utils import litellm_logging

from claude_gatewayd.worker.engine.raised import describe

# Of an older kind, which success_callback and failure_callback take (litellm_logging.py, set_callbacks).
_OLDER = frozenset((
    "athina", "datadog", "dynamodb", "greenscale", "helicone", "langfuse", "logfire", "lunary", "openmeter",
    "promptlayer", "s3", "sentry", "slack", "supabase", "traceloop", "wandb",
))  # fmt: skip
_INSTALLED_BY_LITELLM = {"sentry": "sentry_sdk", "slack": "slack_bolt"}  # it would run pip
_LONGEST = 300


def load_error(key: str, name: str) -> str:
    """Make the callback that *key* of the settings names; return why it cannot be made, "" if it could."""
    package = _INSTALLED_BY_LITELLM.get(name)
    if package is not None and importlib.util.find_spec(package) is None:
        return f"the package {package} is not installed"
    with _complaints() as complaints:
        try:
            if key != "callbacks" and name in _OLDER:
                litellm_logging.set_callbacks([name])
                return ""
            if name not in litellm._known_custom_logger_compatible_callbacks:
                return "LiteLLM has no callback of this name"
            if litellm_logging._init_custom_logger_compatible_class(name, None, None) is not None:
                return ""
        except (Exception, SystemExit) as error:
            complaints.append(describe(error))
    return (complaints[-1] if complaints else "LiteLLM cannot make it")[:_LONGEST]


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what LiteLLM logs meanwhile: it does not raise what stops it, it says so."""
    said: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: said.append(record.getMessage().rpartition("custom logger: ")[2])  # type: ignore[method-assign]
    theirs = logging.getLogger("LiteLLM")
    level, propagate = theirs.level, theirs.propagate
    theirs.addHandler(handler)
    theirs.setLevel(logging.ERROR)
    theirs.propagate = False
    try:
        yield said
    finally:
        theirs.removeHandler(handler)
        theirs.setLevel(level)
        theirs.propagate = propagate
