"""LiteLLM's own callbacks, which a configuration names by one word: created before they are registered.

LiteLLM would create them with the first request, which is our warm-up, and not report those that it cannot create.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import litellm
from litellm.litellm_core_utils import litellm_logging

from claude_gatewayd.config import litellm_callbacks
from claude_gatewayd.errors import describe_exception

_MAX_TEXT = 300


class LoadError(NamedTuple):
    """Why a callback cannot be loaded, and the command that helps, "" if none is known."""

    why: str
    hint: str = ""


def load_error(key: str, name: str) -> LoadError | None:
    """Create the callback *name*, listed under *key* of the settings. Return why that fails, None if it does not."""
    package = litellm_callbacks.missing(name)
    if package is not None and litellm_callbacks.is_known(key, name):
        return LoadError(package.why, package.hint)  # not tried: for some of them LiteLLM would run pip
    with _logged_errors() as errors:
        try:
            if key != "callbacks" and name in litellm_callbacks.OLDER_KIND:
                litellm_logging.set_callbacks([name])
                return None
            if name not in litellm._known_custom_logger_compatible_callbacks:
                return LoadError("LiteLLM has no callback of this name")
            if litellm_logging._init_custom_logger_compatible_class(name, None, None) is not None:
                return None
        except (Exception, SystemExit) as error:
            errors.append(describe_exception(error))
    return LoadError((errors[-1] if errors else "LiteLLM cannot create it")[:_MAX_TEXT])


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
