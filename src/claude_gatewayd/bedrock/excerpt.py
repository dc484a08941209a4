"""What may be shown of a refusal's text in a log, a status and a bug report: its words, but nothing it quotes. Pure.

A refusal may quote the request: values, names of the person's own, parts of a prompt. Of quotations only the names of
Bedrock's own API are kept. Of all else, words and paths of fields are kept, and neither keys nor ids.
"""

import re
from typing import Final

from claude_gatewayd.bedrock.features import LEFT_OUT, SENT

_LONGEST: Final = 200
_SEARCHED: Final = 2000
_HIDDEN: Final = "***"

_FIELDS: Final = frozenset(
    part
    for place in (*(f"{holder}.{name}" for holder, names in SENT.items() for name in names), *LEFT_OUT)
    for part in re.findall(r"[a-z_]+", place)
)
# Tags of blocks, fields of blocks, and the values of enumerations.
_NAMES: Final = _FIELDS | frozenset((
    "anthropic-beta", "anthropic_beta", "anthropic_version", "adaptive", "any", "assistant", "auto", "base64", "caller",
    "citations", "custom", "data", "disabled", "document", "enabled", "ephemeral", "file", "high", "id", "image",
    "input", "is_error", "low", "max", "media_type", "medium", "none", "omitted", "redacted_thinking", "scope",
    "search_result", "signature", "summarized", "text", "title", "tool", "tool_reference", "tool_result", "tool_use",
    "tool_use_id", "ttl", "updates", "url", "user", "xhigh",
))  # fmt: skip
# What is below one of these has the person's own names.
_PERSONS: Final = frozenset(("input_schema", "input", "schema", "properties"))
# Patterns are compiled when a refusal is the first to need them: a start should not wait for it.
_BETA: Final = r"[a-z][a-z0-9-]{2,60}-20\d\d-?\d\d-?\d\d"
_API_NAME: Final = r"[a-z][a-z_]*(?:\.[a-z0-9_]+)*"

# From here on, texts of validators have the value itself.
_VALUE: Final = r"(?i)\[type=|input_value|\binput was\b|\bgot:|\bactual:|[{\[<](?![\w-]{1,60}\])"
_QUOTED: Final = (
    r"(?s)`([^`]*)(?:`|\Z)|\"([^\"]*)(?:\"|\Z)|\u201c([^\u201d]*)(?:\u201d|\Z)|(?<![A-Za-z])'(.*?)(?:'(?![A-Za-z])|\Z)"
)
_WORD: Final = (
    r"[(\[]?(?:"
    r"\*\*\*|[A-Za-z]{1,24}(?:[-/'\u2019][A-Za-z]{1,24}){0,3}"  # ***, word, on-demand, isn't
    r"|\d{1,9}|#|&|-|>|<|=|\+"
    r"|(?P<path>#?/?[a-z_]{1,40}(?:[./](?:[a-z_]{1,40}|\d{1,6})){0,12})"
    r"|(?P<beta>[a-z][a-z0-9-]{2,60}-20\d\d-?\d\d-?\d\d)"
    r"|(?:[a-z-]{2,10}\.)?(?:anthropic\.)?claude-[a-z0-9.:-]{1,60}"  # a model
    r"|[a-z][a-z-]{1,30}:[A-Z][A-Za-z]{1,60}"  # an action of IAM
    r"|[a-z_]{1,20}\(s\))[)\]]?[.,:;?!]*"
)


def of(text: str) -> str:
    """Return what may be shown of *text*, on one line; *text* is masked already (`errors.masked`)."""
    text = text[:_SEARCHED]
    if (found := re.search(_VALUE, text)) is not None:
        text = text[: found.start()] + _HIDDEN
    text = " ".join(map(_word, re.sub(_QUOTED, _quotation, text).split()))
    text = re.sub(r"\*\*\*(?: \*\*\*)+", _HIDDEN, text)
    return text if len(text) <= _LONGEST else text[:_LONGEST].rpartition(" ")[0] + " …"


def _quotation(found: re.Match[str]) -> str:
    quote, inner = found[0][0], next((group for group in found.groups() if group is not None), "")
    end = "\u201d" if quote == "\u201c" else quote
    return f"{quote}{inner if _is_of_api(inner) else _HIDDEN}{end}"


def _is_of_api(name: str) -> bool:
    if name in _NAMES or re.fullmatch(_BETA, name):
        return True
    return re.fullmatch(_API_NAME, name) is not None and all(
        part in _NAMES or part.isdecimal() for part in name.split(".")
    )


def _word(word: str) -> str:
    if (quoted := re.fullmatch(r"[(\[]?([`\"'\u201c])([^`\"'\u201d]*)[`\"'\u201d][)\]]?[.,:;?!]*", word)) is not None:
        return word if quoted[2] == _HIDDEN or _is_of_api(quoted[2]) else _HIDDEN
    found = re.fullmatch(_WORD, word)
    if found is None:
        return _HIDDEN
    path = re.split(r"[./]", (found["path"] or "").strip("#/"))
    if _PERSONS & set(path[:-1]):
        first = min(path.index(name) for name in _PERSONS & set(path[:-1]))
        return ".".join(path[: first + 1]) + f".{_HIDDEN}:"
    return word
