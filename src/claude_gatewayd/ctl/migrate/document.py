"""A LiteLLM configuration with the line of each thing in it, and the files that it includes.

The lines of several files are counted through, as if one stood behind the other: `where` tells them apart.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.system import bounded_yaml, small_file
from claude_gatewayd.system.bounded_yaml import LeftOut

_MOST_PLACES = 100_000
_MOST_FILES = 100

YamlPath = tuple[str | int, ...]


class SourceFile(NamedTuple):
    """A file, how many lines stand before it and in it, and whether it is a part of the configuration."""

    file: Path
    before: int
    lines: int
    is_yaml: bool = True


@dataclass(frozen=True, slots=True)
class LiteLLMDocument:
    """What a YAML file says, in which line each place of it begins, and what was over the bounds of a configuration."""

    values: Mapping[str, Any]
    lines: Mapping[YamlPath, int] = field(default_factory=dict)
    left_out: Sequence[LeftOut] = ()
    sources: Sequence[SourceFile] = ()

    def line(self, *place: str | int) -> int:
        """Return the line of a place, or of the nearest one around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    @property
    def included(self) -> list[Path]:
        """Return the files that this was read from; the others have only set variables."""
        return [source.file for source in self.sources if source.is_yaml]

    def where(self, line: int) -> tuple[Path, int]:
        """Return the file, and the line in it, of a line that is counted through."""
        *_, source = takewhile(lambda one: one.before < line or not one.before, self.sources)
        return source.file, line - source.before

    def with_variables(self, variables: Iterable[tuple[str, str, Path, int]]) -> "LiteLLMDocument":
        """Return this with environment_variables that it does not have itself: name, value, file and line of each."""
        own = self.values.get("environment_variables")
        if own is not None and not isinstance(own, dict):
            return self
        values: dict[Any, Any] = {}
        lines, sources = dict(self.lines), list(self.sources)
        for name, value, file, line in variables:
            if name in (own or {}):
                continue
            source = next((one for one in sources if one.file == file), None)
            if source is None:
                source = SourceFile(file, sources[-1].before + sources[-1].lines, _MOST_PLACES, is_yaml=False)
                sources.append(source)
            # a number in quotes is no number; that of a port always is one
            values[name] = int(value) if name == "LITELLM_PORT" and value.isdecimal() else value
            lines["environment_variables", name] = source.before + line
        merged = {**self.values, "environment_variables": {**(own or {}), **values}} if values else self.values
        return replace(self, values=merged, lines=lines, sources=sources)


def read(file: Path) -> LiteLLMDocument:
    """Read a file and those that it includes, as LiteLLM merges them. Raises GatewayError.

    Lists are extended, everything else is replaced; each file is read once, those that an included one includes last.
    """
    document = _read(file, 0)
    pending = [(entry, file) for entry in _included(document, file)]
    loaded = {file}
    while pending:
        entry, named_in = pending.pop(0)
        path = _beside(entry, named_in, file)
        if path in loaded:
            continue
        if len(loaded) >= _MOST_FILES:
            raise GatewayError(
                f"cannot read {file}: it includes more than {_MOST_FILES} files", f"less {quote(str(file))}"
            )
        loaded.add(path)
        last = document.sources[-1]
        one = _read(path, last.before + last.lines)
        pending += [(inner, path) for inner in _included(one, path)]
        document = _merged(document, one)
    return replace(document, values={key: value for key, value in document.values.items() if key != "include"})


def _included(document: LiteLLMDocument, file: Path) -> list[str]:
    entries = document.values.get("include", [])
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        line = document.where(document.line("include"))[1]
        raise GatewayError(
            f"cannot read {file}: include, at line {line}, must be a list of files",
            f"${{EDITOR:-vi}} +{line} {quote(str(file))}",
        )
    return entries


def _beside(entry: str, named_in: Path, root: Path) -> Path:
    """Return the file that is meant: beside the one that includes it, or else beside the first one."""
    near, far = (Path(os.path.abspath(one.parent / entry)) for one in (named_in, root))
    return far if not near.exists() and far.exists() else near


def _merged(base: LiteLLMDocument, one: LiteLLMDocument) -> LiteLLMDocument:
    values, lines, left_out = dict(base.values), dict(base.lines), [*base.left_out, *one.left_out]
    for key, value in one.values.items():
        if key == "include":
            continue
        before = values.get(key)
        shift = 0
        if isinstance(value, list) and isinstance(before, list):
            shift, values[key] = len(before), [*before, *value]
        else:
            if before is not None:
                file, line = one.where(one.line(key))
                why = f"{file.name}:{line} replaces it, for LiteLLM too"
                left_out.append(LeftOut(base.line(key), str(key), why))
                lines = {place: number for place, number in lines.items() if place[0] != key}
            values[key] = value
        for place, number in one.lines.items():
            if place[0] != key:
                continue
            index = place[1] if len(place) > 1 else None
            shifted = (key, index + shift, *place[2:]) if shift and isinstance(index, int) else place
            if shifted != (key,) or not shift:
                lines[shifted] = number
    return LiteLLMDocument(values, lines, left_out, [*base.sources, *one.sources])


def _read(file: Path, before: int) -> LiteLLMDocument:
    pasted = quote(str(file))
    try:
        text = small_file.read(file).decode("utf-8-sig")
    except OSError as error:
        raise GatewayError(f"cannot read {file}: {error.strerror}", f"ls -l {pasted}") from None
    except UnicodeDecodeError:
        raise GatewayError(f"cannot read {file}: it is not UTF-8 text", f"file {pasted}") from None
    try:
        found = bounded_yaml.read(text)
    except bounded_yaml.NotYaml as error:
        place = f" at line {error.line}, column {error.column}" if error.line else ""
        raise GatewayError(
            f"cannot read {file}: it is not YAML{place}: {error.why}", f"${{EDITOR:-vi}} +{error.line or 1} {pasted}"
        ) from None
    if not isinstance(found.value, dict):
        raise GatewayError(
            f"cannot read {file}: it is not a LiteLLM configuration: it has no model_list", f"less {pasted}"
        )
    left_out = [one._replace(line=one.line + before) for one in found.left_out]
    source = SourceFile(file, before, text.count("\n") + 1)
    return LiteLLMDocument(found.value, lines_of(found.node, before), left_out, [source])


def lines_of(node: Any, before: int = 0) -> dict[YamlPath, int]:
    """Return the line of each place in what a YAML file says; *before* are the lines that stand before it."""
    lines: dict[YamlPath, int] = {}
    if node is not None:
        _mark(node, (), lines, 0, before)
    return lines


def _mark(node: Any, place: YamlPath, lines: dict[YamlPath, int], depth: int, before: int) -> None:
    # an anchor may contain itself, or be repeated over and over
    if isinstance(node.value, str) or depth > 20 or len(lines) > _MOST_PLACES:
        return
    for index, part in enumerate(node.value):
        key, child = part if isinstance(part, tuple) else (None, part)
        inner = (*place, key.value if key is not None else index)
        lines[inner] = before + (key if key is not None else child).start_mark.line + 1
        _mark(child, inner, lines, depth + 1, before)
