"""What a model at Bedrock refuses of a request, read from its words, and what it takes without that. Pure.

The tables of `features` come from documents and recordings. Where a model refuses more than they say, the request is
made smaller by what the refusal names: never by messages, text, or whole tools.

Sources of the wordings: AWS = reported in public threads (claude-code#48304, #49648, #63532, #82549, litellm#7416,
aichat#543); A = Anthropic's own API, whose words Bedrock passes on; CC = measured with Claude Code 2.1.330, which
corrects its requests by the same words; GW = the tokens that `claude gateway` of 2.1.330 publishes.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from claude_gatewayd.bedrock.features import (
    CONTEXT_1M,
    DISPLAY_UPDATES,
    INTERLEAVED,
    TOOL_SEARCH,
    Capabilities,
)

Json = Any  # what json.loads gives

_LONGEST: Final = 8000  # of a refusal: it is searched on the relay's loop


class RefusedFeature(NamedTuple):
    """Something that a model refuses: *kind* is one of those in `without`, *what* says which."""

    kind: str
    what: str

    @classmethod
    def of(cls, kind: object, what: object) -> "RefusedFeature | None":
        """Return it as a file has it; None if it is nothing that `without` knows."""
        pattern = _WHAT.get(kind) if isinstance(kind, str) else None
        if pattern is None or not isinstance(what, str) or re.fullmatch(pattern, what, re.ASCII) is None:
            return None
        path = what.split(".")
        is_kept = kind == "field" and (path[-1] in _KEPT or bool(_PERSONS & set(path[:-1])))
        return None if is_kept else cls(str(kind), what)

    def __str__(self) -> str:
        """Name it for a log and a report."""
        return self.kind if self.what == "*" else f"{self.kind} {self.what}"


# That an answer is bound to a schema. Whether a request can do without is for who asks to say.
SCHEMA: Final = RefusedFeature("schema", "*")

_WHAT: Final = {
    "schema": r"\*",
    "beta": r"[a-z][a-z0-9-]{2,100}",
    "effort": r"\*|[a-z]{1,20}",
    "thinking": "enabled|adaptive|disabled",
    "thinking display": r"\*",
    "max_tokens above": r"[1-9]\d{0,8}",
    "role": "system",
    "field": r"[\w-]{1,100}(?:\.[\w-]{1,100}){0,20}",
}


# Patterns are compiled when a refusal is the first to need them: a start should not wait for it.
_FIELD: Final = r"\A(?P<path>[\w.\-]{1,200}): Extra inputs are not permitted"
_OLD_FIELD: Final = r"#(?P<place>[\w/\-]{0,200}): extraneous key \[(?P<key>[\w\-]{1,100})\] is not permitted"
_NAMED_BETAS: Final = r"Unexpected value\(s\) (?P<names>.{1,500}?) for the `anthropic-beta` header"
_ONE_BETA: Final = r"\Acapability_rejected: beta_header:(?P<name>[\w\-]{1,100})\s*\Z"
_BETA_NAME: Final = r"[a-z][a-z0-9\-]{2,80}-20\d\d-?\d\d-?\d\d"
_SOME_BETA: Final = r"(?i)invalid beta flag"
_NO_EFFORT: Final = r"does not support the effort parameter|\Acapability_rejected: effort_unsupported"
_EFFORTS: Final = r"output_config\.effort: Input should be (?P<levels>[\w', ]{1,200})"
_NO_THINKING: Final = (
    r"(?P<adaptive>adaptive thinking is not supported)"
    r"|thinking\.type\.(?P<kind>enabled|adaptive|disabled)\"? is not supported"
    r"|\Athinking: Input tag '(?P<tag>enabled|adaptive|disabled)' found"
    r"|\Acapability_rejected: thinking_type:(?P<token>enabled|adaptive)"
)
_MAX_TOKENS: Final = (
    r"max_?tokens: \d{1,9} > (?P<most>\d{1,9})"
    r"|maximum tokens you requested exceeds the model limit of (?P<limit>\d{1,9})"
)
_NO_SYSTEM: Final = (
    r"role: Input should be 'user' or 'assistant'|Unexpected role .?system|\Acapability_rejected: mid_conv_system"
)
_DEPRECATED: Final = r"`(?P<name>temperature|top_p|top_k)` is deprecated"
_DISPLAY: Final = r"thinking\.\w+\.display: Input should be"
_NO_TOOL_REFERENCE: Final = r"'tool_reference'.{0,200}does not match any of the expected tags"
BY_MODEL: Final = "The model returned the following errors: "  # Converse's, and some of invoke's

# "invalid beta flag" does not say which one it is: first all go that only add to an answer, then the others.
_DISPENSABLE: Final = frozenset((INTERLEAVED, CONTEXT_1M, TOOL_SEARCH))
# Without one of these a request is another one, or none.
_KEPT: Final = frozenset((
    "messages", "system", "tools", "max_tokens", "tool_choice", "stop_sequences", "content", "role", "name",
    "input_schema", "text", "type", "source", "input", "id", "tool_use_id", "is_error", "data", "media_type",
    "thinking", "signature", "format", "schema", "url", "file_id", "title", "context", "budget_tokens",
))  # fmt: skip
_PERSONS: Final = frozenset(("input", "input_schema", "schema", "properties"))  # what is below is the person's own


def read(text: str, takes: Capabilities, betas: Iterable[str]) -> tuple[RefusedFeature, ...]:
    """Return what a refusal with status 400 names; nothing if it names nothing that a request can do without.

    *takes* is what the request was shaped for, *betas* are those that it had, in its body or its header.
    """
    text, betas = text[:_LONGEST].removeprefix(BY_MODEL), tuple(betas)
    if (found := re.search(_NAMED_BETAS, text) or re.search(_ONE_BETA, text)) is not None:
        return tuple(RefusedFeature("beta", name) for name in re.findall(_BETA_NAME, found[1]))
    if re.search(_SOME_BETA, text):
        first = [name for name in betas if name not in _DISPENSABLE]
        return tuple(RefusedFeature("beta", name) for name in dict.fromkeys(first or betas))
    if re.search(_NO_EFFORT, text):
        return (RefusedFeature("effort", "*"),)
    if (found := re.search(_EFFORTS, text)) is not None:
        levels = [level for level in takes.efforts if f"'{level}'" not in found["levels"]]
        return tuple(RefusedFeature("effort", level) for level in levels)
    if (found := re.search(_NO_THINKING, text)) is not None:
        kind = found["kind"] or found["tag"] or found["token"] or "adaptive"
        return (RefusedFeature("thinking", kind),)
    if (found := re.search(_MAX_TOKENS, text)) is not None:
        return (RefusedFeature("max_tokens above", found["most"] or found["limit"]),)
    if re.search(_NO_SYSTEM, text):
        return (RefusedFeature("role", "system"),)
    if re.search(_NO_TOOL_REFERENCE, text):
        return (RefusedFeature("beta", TOOL_SEARCH),)
    if re.search(_DISPLAY, text):
        has_updates = DISPLAY_UPDATES in betas
        return (RefusedFeature("beta", DISPLAY_UPDATES) if has_updates else RefusedFeature("thinking display", "*"),)
    if (found := re.search(_DEPRECATED, text)) is not None:
        return (RefusedFeature("field", found["name"]),)
    return _fields(text)


def _fields(text: str) -> tuple[RefusedFeature, ...]:
    if (found := re.search(_FIELD, text)) is not None:
        return _of_path(found["path"].split("."))
    paths = ([*found["place"].strip("/").split("/"), found["key"]] for found in re.finditer(_OLD_FIELD, text))
    return tuple(dict.fromkeys(feature for path in paths for feature in _of_path(path)))


def _of_path(path: list[str]) -> tuple[RefusedFeature, ...]:
    """Return what a path to a refused field stands for; nothing for what a request cannot do without."""
    path = [part for part in path if part and not part.isdecimal()]
    match path:
        case ["output_config"] | ["output_config", "effort"]:
            return (RefusedFeature("effort", "*"),)
        case ["thinking"]:
            return (RefusedFeature("thinking", "enabled"), RefusedFeature("thinking", "adaptive"))
        case ["thinking", *_, "display"]:
            return (RefusedFeature("thinking display", "*"),)
        case ["tools", *_, "defer_loading"]:
            return (RefusedFeature("beta", TOOL_SEARCH),)
    if not path or path[-1] in _KEPT or _PERSONS & set(path[:-1]):
        return ()
    return (RefusedFeature("field", ".".join(path)),)


def without(takes: Capabilities, refused: Iterable[RefusedFeature]) -> Capabilities:
    """Return what is left of *takes*."""
    modes = set()
    for kind, what in refused:
        match kind:
            case "beta":
                takes = takes._replace(betas=takes.betas - {what}, header_betas=takes.header_betas - {what})
            case "effort":
                takes = takes._replace(efforts=tuple(level for level in takes.efforts if what not in ("*", level)))
            case "thinking" if what == "disabled":
                takes = takes._replace(off=False)
            case "thinking":
                modes.add(what)
            case "thinking display":
                takes = takes._replace(display=False)
            case "max_tokens above":
                takes = takes._replace(max_tokens=min(takes.max_tokens, int(what)))
            case "role":
                takes = takes._replace(system=False)
            case "field":
                takes = takes._replace(refused_fields=(*takes.refused_fields, what))
    if modes == {"enabled", "adaptive"}:
        return takes._replace(thinking="none")
    if modes == {"adaptive"} and takes.thinking in ("adaptive", "either"):
        return takes._replace(thinking="budget")
    if modes == {"enabled"} and takes.thinking in ("budget", "either"):
        return takes._replace(thinking="adaptive")
    return takes


def drop(value: Json, path: str) -> Json:
    """Return a copy of *value* without the field at *path*, whose parts are keys, or types of what holds the next."""
    return _drop(value, path.split("."))


def _drop(value: Json, path: list[str]) -> Json:
    if isinstance(value, list):  # none within: a request may have them a thousand deep
        return [inner if isinstance(inner, list) else _drop(inner, path) for inner in value]
    if not isinstance(value, Mapping):
        return value
    first, rest = path[0], path[1:]
    if not rest:
        return {key: inner for key, inner in value.items() if key != first}
    if first == value.get("type", "custom"):
        return _drop(value, rest)
    return {**value, first: _drop(value[first], rest)} if first in value else value
