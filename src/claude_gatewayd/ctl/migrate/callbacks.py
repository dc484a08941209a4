"""What becomes of the callbacks that a configuration names. Pure."""

import ast
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from claude_gatewayd.config import litellm_callbacks
from claude_gatewayd.config.litellm_callbacks import CallbackPackage
from claude_gatewayd.ctl.migrate.translation import BUILT_IN, CARRIED, UNKNOWN, YOURS, Verdict


class CallbackFate(NamedTuple):
    """What became of one callback: its place in the list, its name, and whether LiteLLM still gets it."""

    position: int
    name: str
    verdict: Verdict
    explanation: str
    kept: bool = False


def decide(
    key: str,
    value: Any,
    source_of: Callable[[str], str | None],
    installed: Callable[[str], bool] = litellm_callbacks.is_there,
) -> Iterator[CallbackFate]:
    """Yield what became of each callback of the setting *key*, which is a name or a list of names.

    *source_of* returns the text of the module of a callback, None if there is none beside the file; *installed* says
    whether a module can be imported.
    """
    for index, name in enumerate(value if isinstance(value, list) else [value]):
        if not isinstance(name, str):
            yield CallbackFate(index, "", UNKNOWN, "it must be a string: module.object")
            continue
        source = source_of(name) if "." in name else ""
        if source is None:
            yield CallbackFate(index, name, UNKNOWN, "there is no such module beside the file")
        elif only_forwards_token(source):
            explanation = "it passes the caller's token to LiteLLM; here it goes straight to Anthropic, never to AWS"
            yield CallbackFate(index, name, BUILT_IN, explanation)
        elif "." not in name and not litellm_callbacks.is_known(key, name):
            yield CallbackFate(index, name, UNKNOWN, "LiteLLM has no callback of this name")
        elif lacking := _lacking(name, source, source_of, installed):
            yield CallbackFate(index, name, YOURS, f"{lacking.why}: {lacking.hint}", kept=True)
        else:
            how = "loaded from where it is" if source else "built into LiteLLM"
            explanation = f"{how}; it sees what LiteLLM serves: Bedrock and your other models, not Anthropic"
            yield CallbackFate(index, name, CARRIED, explanation, kept=True)


def only_forwards_token(source: str) -> bool:
    """Return whether a callback only forwards the caller's token to LiteLLM, as the usual one does."""
    hooks = set(re.findall(r"def\s+((?:async_)?(?:pre|post|log|moderation)\w*)", source))
    hands_over = "raw_token" in source or re.search(r"""data\[["']api_key["']\]\s*=""", source) is not None
    return hands_over and hooks <= {"async_pre_call_hook", "async_pre_call_deployment_hook"}


def imports(source: str) -> Iterator[str]:
    """Yield the modules that a module cannot be imported without: those at its top."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # of another Python, or none: LiteLLM will say so
        return
    for statement in body:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.level == 0 and statement.module:
            yield statement.module


def _lacking(
    name: str, source: str, source_of: Callable[[str], str | None], installed: Callable[[str], bool]
) -> CallbackPackage | None:
    """Return a package that a callback needs and that is not there, None if there is none."""
    if "." not in name:
        return litellm_callbacks.missing(name, installed)
    for module in imports(source):
        top = module.partition(".")[0]
        if not installed(top) and source_of(f"{top}.it") is None:  # nor does it lie beside the file
            return litellm_callbacks.package_of(top)
    return None
