"""The variables that a Makefile hands to the LiteLLM that it starts."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from claude_gatewayd.ctl.migrate.variables.assignment import Assignment

NAMES = ("GNUmakefile", "makefile", "Makefile")  # make reads the first of them
_MOST_LINES = 20_000
_DEEPEST = 5  # of files that include files

_ASSIGNMENT = re.compile(
    r"(?:[^\s:=#]+\s*:\s+|[^\s:=#]+:(?![:=]))?\s*"  # perhaps of one target alone
    r"(?P<how>(?:export|override)\s+)*(?P<name>[A-Za-z_]\w*)\s*(?P<operator>::?:?=|\?=|\+=|!=|=)\s*(?P<value>.*)",
    re.ASCII,
)
_INCLUDE = re.compile(r"(?:-|s)?include\s+(.+)")
_EXPORT = re.compile(r"(?P<un>un)?export(?:\s+(?P<names>[A-Za-z_][\w\s]*))?", re.ASCII)
_REFERENCE = re.compile(r"\$(?:(\$)|\(([A-Za-z_]\w*)\)|\{([A-Za-z_]\w*)\}|(.))", re.ASCII | re.DOTALL)
_BEFORE_COMMAND = re.compile(r"(?<![\w$({-])([A-Z_][A-Z0-9_]*)=(\"[^\"]*\"|'[^']*'|[^\s;&|]*)", re.ASCII)
_ON_ONE_LINE = re.compile(r"[^\s:=#][^:=#;]*::?(?!=)[^=;]*;(.*)")  # target: prerequisites ; recipe
_STARTS = re.compile(r"\blitellm\b|\bdocker[ -]compose\b")


class _Variable(NamedTuple):
    """A variable as it stands there: None for a text that make would have to work out."""

    text: str | None
    file: Path
    line: int
    is_deferred: bool  # what it refers to is looked up when it is used


@dataclass(slots=True)
class _Makefile:
    variables: dict[str, _Variable] = field(default_factory=dict)
    exported: set[str] = field(default_factory=set)
    exports_all: bool = False
    recipes: list[tuple[Path, int, str]] = field(default_factory=list)  # what starts LiteLLM


def read(text: str, file: Path, environ: Mapping[str, str], text_of: Callable[[Path], str]) -> list[Assignment]:
    """Return what the LiteLLM that is started by a Makefile gets from it, [] if it starts none.

    A Makefile's own values go before the environment's, except those of `?=`.
    """
    made = _Makefile()
    _read(made, text, file, environ, text_of, 0)
    if not made.recipes:
        return []
    handed = {
        name: Assignment(name, _value(one, made, environ), one.file, one.line)
        for name, one in made.variables.items()
        if made.exports_all or name in made.exported or name in environ or _is_used(name, made)
    }
    for path, line, recipe in made.recipes:
        for match in _BEFORE_COMMAND.finditer(recipe):
            value = _expanded(_unquoted(match[2]), made, environ)
            handed[match[1]] = Assignment(match[1], value, path, line)
    return list(handed.values())


def _read(
    made: _Makefile, text: str, file: Path, environ: Mapping[str, str], text_of: Callable[[Path], str], depth: int
) -> None:
    conditions = 0
    for number, line in _logical_lines(text):
        if line.startswith("\t"):
            if _STARTS.search(line):
                made.recipes.append((file, number, line))
            continue
        stripped = re.sub(r"(?<!\\)#.*", "", line).strip()
        if (recipe := _ON_ONE_LINE.match(stripped)) and _STARTS.search(recipe[1]):
            made.recipes.append((file, number, recipe[1]))
            continue
        if re.match(r"(ifeq|ifneq|ifdef|ifndef|define)\b", stripped):
            conditions += 1
        elif re.match(r"(endif|endef)\b", stripped):
            conditions = max(conditions - 1, 0)
        elif include := _INCLUDE.fullmatch(stripped):
            for name in include[1].split():
                path = _expanded(name, made, environ)
                if path and depth < _DEEPEST:
                    _read(made, text_of(file.parent / path), file.parent / path, environ, text_of, depth + 1)
        elif export := _EXPORT.fullmatch(stripped):
            _export(made, (export["names"] or "").split(), off=bool(export["un"]))
        elif stripped.startswith(".EXPORT_ALL_VARIABLES"):
            made.exports_all = True
        elif found := _ASSIGNMENT.fullmatch(stripped):
            if re.search(r"\bexport\s", stripped[: found.start("name")]):
                made.exported.add(found["name"])
            deferred = found["operator"] in ("=", "?=", "+=")
            is_text = found["operator"] != "!=" and not conditions
            new = _Variable(_unquoted(found["value"]) if is_text else None, file, number, deferred)
            _assign(made, found["name"], found["operator"], new, environ)


def _assign(made: _Makefile, name: str, operator: str, new: _Variable, environ: Mapping[str, str]) -> None:
    before = made.variables.get(name)
    if operator == "?=" and (name in environ or before is not None):
        return
    if new.text is not None and not new.is_deferred:
        new = new._replace(text=_expanded(new.text, made, environ))
    if operator == "+=" and before is not None:
        both = before.text is not None and new.text is not None
        new = new._replace(text=f"{before.text} {new.text}" if both else None)
    made.variables[name] = new


def _value(variable: _Variable, made: _Makefile, environ: Mapping[str, str], depth: int = 0) -> str | None:
    if variable.text is None or not variable.is_deferred:
        return variable.text
    return _expanded(variable.text, made, environ, depth) if depth < _DEEPEST else None


def _export(made: _Makefile, names: list[str], *, off: bool) -> None:
    if not names:
        made.exports_all = not off
    elif off:
        made.exported -= set(names)
    else:
        made.exported |= set(names)


def _is_used(name: str, made: _Makefile) -> bool:
    """Say whether what starts LiteLLM names a variable, as in `litellm --port $(LITELLM_PORT)`."""
    return any(f"$({name})" in recipe or f"${{{name}}}" in recipe for _, _, recipe in made.recipes)


def _expanded(text: str, made: _Makefile, environ: Mapping[str, str], depth: int = 0) -> str | None:
    """Return a value with what $(NAME) stands for; None for what make would have to run, or work out."""
    parts: list[str] = []
    end = 0
    for match in _REFERENCE.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        name = match[2] or match[3]
        if match[1]:
            parts.append("$")
        elif name is None:
            return None
        elif name in made.variables:
            value = _value(made.variables[name], made, environ, depth + 1)
            if value is None:
                return None
            parts.append(value)
        else:
            parts.append(environ.get(name, ""))
    whole = "".join([*parts, text[end:]])
    return None if "`" in whole else whole


def _unquoted(text: str) -> str:
    """Return a value without quotes, which the shell that make starts takes away."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line with its number, one that ends in a backslash together with the next."""
    begun, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines()[:_MOST_LINES], 1):
        begun = begun if parts else number
        if line.endswith("\\"):
            parts.append(line[:-1])
            continue
        yield begun, " ".join([*parts, line])
        parts = []
    if parts:
        yield begun, " ".join(parts)
