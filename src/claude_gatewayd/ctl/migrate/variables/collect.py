"""Which variables a proxy got from the files beside its configuration, and where they contradict each other.

Each tool has its own order, and the tools have this one, the last of them to set a variable first: Compose sets what a
container gets; a Makefile goes before the shell; LiteLLM takes from .env what the shell lacks.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from claude_gatewayd.config import litellm_keys
from claude_gatewayd.ctl.migrate.models import providers
from claude_gatewayd.ctl.migrate.translation import UNKNOWN, YOURS, Translation
from claude_gatewayd.ctl.migrate.variables import compose_file, dotenv_file, makefile
from claude_gatewayd.ctl.migrate.variables.assignment import Assignment
from claude_gatewayd.system import small_file

_UNREADABLE = "\ufffd"  # what stands for bytes that are not UTF-8
_WANTED = ("AWS_", "LITELLM_", "DATABASE_URL")
_REFERENCE = re.compile(r"\bos\.environ/([A-Za-z_]\w*)|\$\{([A-Za-z_]\w*)", re.ASCII)


class Collected(NamedTuple):
    """The variables that count, and what there is to say of those that do not."""

    found: list[Assignment]
    notes: list[tuple[Path, Translation]]


def collect(directory: Path, environ: Mapping[str, str], values: Mapping[str, Any]) -> Collected:
    """Return what the files in a directory set: of AWS, LiteLLM and its database, and what a configuration needs.

    *values* is the configuration: it refers to variables, and its callbacks have some of their own name.
    """
    dotenv = dotenv_file.read(_text(directory / ".env"), directory / ".env", environ)
    made = [
        one
        for file in _first(directory, makefile.NAMES)
        for one in makefile.read(_text(file), file, environ, _text)
    ]  # fmt: skip
    shell = {**environ, **{one.name: one.value for one in made if one.value is not None}}
    for_compose = {**{one.name: one.value for one in dotenv if one.value is not None}, **shell}
    composed: dict[str, Assignment] = {}
    for file in chain(_first(directory, compose_file.NAMES), _first(directory, compose_file.OVERRIDES)):
        composed |= {one.name: one for one in compose_file.read(_text(file), file, for_compose, _text)}
    names, beginnings = _needed_by(values)
    return decide([composed.values(), made, dotenv], environ, lambda name: name in names or name.startswith(beginnings))


def decide(
    sources: Iterable[Iterable[Assignment]], environ: Mapping[str, str], wanted: Callable[[str], bool]
) -> Collected:
    """Return which assignment of each variable counts. The shell goes before the last of the sources."""
    *before_shell, after_shell = [list(source) for source in sources]
    ranked: dict[str, list[Assignment]] = {}
    for one in chain(*before_shell, _last(after_shell)):
        if wanted(one.name) and (one.file, one.line) not in [(b.file, b.line) for b in ranked.get(one.name, [])]:
            ranked.setdefault(one.name, []).append(one)
    before = set(chain(*before_shell))  # also a .env that a Makefile includes
    found: list[Assignment] = []
    notes: list[tuple[Path, Translation]] = []
    for name, those in ranked.items():
        first = those[0]
        shells = environ.get(name) if first not in before else None
        if first.value is not None and _UNREADABLE in first.value:
            notes.append((first.file, Translation(first.line, name, UNKNOWN, "its value is not UTF-8 text")))
        elif first.value is None and environ.get(name):  # as the note below asks for
            first = first._replace(value=environ[name])
            found.append(first)
        elif first.value is None:
            notes.append((first.file, Translation(first.line, name, YOURS, _worked_out(name))))
        elif shells is not None and shells != first.value:
            explanation = f"this shell's {name} is another one, and goes before it: unset {name}, and import again"
            notes.append((first.file, Translation(first.line, name, UNKNOWN, explanation)))
        else:
            found.append(first)
        for one in those[1:]:
            if one.value is not None and one.value != first.value:
                explanation = f"{first.file.name}:{first.line} sets it to another value, which is the one that counts"
                notes.append((one.file, Translation(one.line, name, UNKNOWN, explanation)))
    return Collected(found, notes)


def _needed_by(values: Mapping[str, Any]) -> tuple[set[str], tuple[str, ...]]:
    """Return the names of variables that a configuration needs, and with what others begin."""
    names = {name for match in _REFERENCE.findall(repr(values)) for name in match if name}
    entries = values.get("model_list")
    for entry in entries if isinstance(entries, list) else ():
        params = entry.get("litellm_params") if isinstance(entry, dict) else None
        if isinstance(params, dict) and isinstance(params.get("model"), str):
            names.add(providers.key_variable(params["model"], params))  # LiteLLM looks there, named or not
    settings = values.get("litellm_settings")
    listed = [settings.get(key) for key in litellm_keys.CALLBACKS] if isinstance(settings, dict) else []
    flat = [name for one in listed for name in (one if isinstance(one, list) else [one])]
    callbacks = [re.split(r"[_.]", name)[0].upper() + "_" for name in flat if isinstance(name, str) and name]
    return names, (*_WANTED, *callbacks)


def _worked_out(name: str) -> str:
    return f"its value is not in this file: export {name}=VALUE, and import again"


def _last(assignments: Iterable[Assignment]) -> Iterator[Assignment]:
    """Yield the last assignment of each variable."""
    yield from {one.name: one for one in assignments}.values()


def _first(directory: Path, names: Iterable[str]) -> Iterator[Path]:
    """Yield the first of these files that exists."""
    return (directory / name for name in [next((n for n in names if (directory / n).is_file()), "")] if name)


def _text(file: Path) -> str:
    """Return the text of a file, "" if it cannot be read."""
    try:
        return small_file.read(file).decode("utf-8-sig", errors="replace")
    except (OSError, ValueError):
        return ""
