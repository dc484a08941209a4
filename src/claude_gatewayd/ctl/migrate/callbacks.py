"""What becomes of the callbacks that a configuration names. Pure."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from claude_gatewayd.ctl.migrate.translation import BUILT_IN, CARRIED, UNKNOWN, Verdict


class CallbackFate(NamedTuple):
    """What became of one callback: its place in the list, its name, and whether LiteLLM still gets it."""

    position: int
    name: str
    verdict: Verdict
    explanation: str
    kept: bool = False


def decide(value: Any, source_of: Callable[[str], str | None]) -> Iterator[CallbackFate]:
    """Yield what became of each callback of a setting, which is a name or a list of names.

    *source_of* returns the text of the module of a callback, None if there is none beside the file.
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
        else:
            how = "loaded from where it is" if source else "built into LiteLLM"
            explanation = f"{how}; it sees what LiteLLM serves: Bedrock and your other models"
            yield CallbackFate(index, name, CARRIED, explanation, kept=True)


def only_forwards_token(source: str) -> bool:
    """Return whether a callback only forwards the caller's token to LiteLLM, as the usual one does."""
    hooks = set(re.findall(r"def\s+((?:async_)?(?:pre|post|log|moderation)\w*)", source))
    hands_over = "raw_token" in source or re.search(r"""data\[["']api_key["']\]\s*=""", source) is not None
    return hands_over and hooks <= {"async_pre_call_hook", "async_pre_call_deployment_hook"}
