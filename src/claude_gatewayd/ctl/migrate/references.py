"""Variables that a configuration names: os.environ/NAME is LiteLLM's form, ${NAME} and ${NAME:-default} envsubst's."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

# What may stand in ${NAME:-default}: references too, three deep.
NESTED = r"(?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*"
_REFERENCE = re.compile(rf"os\.environ/([A-Za-z_]\w*)|\$\{{([A-Za-z_]\w*)(?::?-({NESTED}))?\}}", re.ASCII)
_WHOLE = re.compile(r"\$\{([A-Za-z_]\w*)\}\Z", re.ASCII)


class Resolved(NamedTuple):
    """A value without references; None if *unset*, the first variable that it names, has none."""

    value: Any
    unset: str = ""


def resolve(raw: Any, environ: Mapping[str, str]) -> Resolved:
    """Return a value with the variables of *environ* in it."""
    if not isinstance(raw, str):
        return Resolved(raw)
    unset: list[str] = []

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if text := environ.get(name):
            return text
        inner = resolve(found[3], environ)
        if found[3] is None or inner.unset:
            unset.append(inner.unset or name)
        return inner.value or ""

    text = _REFERENCE.sub(value, raw)
    return Resolved(None, unset[0]) if unset else Resolved(text)


def for_litellm(raw: Any, environ: Mapping[str, str]) -> Any:
    """Return a value in LiteLLM's own form: it knows os.environ/NAME, which keeps secrets out of a file, and no ${}."""
    if isinstance(raw, Mapping):
        return {key: for_litellm(inner, environ) for key, inner in raw.items()}
    if isinstance(raw, list):
        return [for_litellm(inner, environ) for inner in raw]
    if not isinstance(raw, str) or "${" not in raw:
        return raw
    if whole := _WHOLE.match(raw):
        return f"os.environ/{whole[1]}"
    return raw if (found := resolve(raw, environ)).unset else found.value


def unset(raw: Any, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the variables that a value names, at any depth, and that have no value."""
    if isinstance(raw, Mapping):
        raw = list(raw.values())
    if isinstance(raw, list):
        for inner in raw:
            yield from unset(inner, environ)
    elif isinstance(raw, str):
        for found in _REFERENCE.finditer(raw):
            if not environ.get(name := found[1] or found[2]):
                yield from (name,) if found[3] is None else unset(found[3], environ)
