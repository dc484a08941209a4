"""The environment that Docker Compose gives to the service that runs LiteLLM."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from claude_gatewayd.ctl.migrate.document import YamlPath, lines_of
from claude_gatewayd.ctl.migrate.references import NESTED
from claude_gatewayd.ctl.migrate.variables import dotenv_file
from claude_gatewayd.ctl.migrate.variables.assignment import Assignment
from claude_gatewayd.system import bounded_yaml

# The order in which Compose looks for them: it reads one of each.
NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = (
    "compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml",
)  # fmt: skip
_MOST_SERVICES = 100
_MOST_FILES = 20
_REFERENCE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<bare>[A-Za-z_]\w*)"
    rf"|\{{(?P<name>[A-Za-z_]\w*)(?:(?P<how>:?[-?+])(?P<more>{NESTED}))?\}})",
    re.ASCII,
)


def read(text: str, file: Path, environ: Mapping[str, str], text_of: Callable[[Path], str]) -> list[Assignment]:
    """Return what the services that run LiteLLM get: of `environment`, and of `env_file` what that does not set.

    *environ* is what ${NAME} stands for: the shell's variables, and those of the .env beside *file* that it lacks.
    """
    try:
        found = bounded_yaml.read(text)
    except bounded_yaml.NotYaml:
        return []
    services: Any = found.value.get("services") if isinstance(found.value, dict) else None
    lines = lines_of(found.node)
    assignments: dict[str, Assignment] = {}
    for name, service in list(services.items())[:_MOST_SERVICES] if isinstance(services, dict) else ():
        if not isinstance(service, dict) or not _runs_litellm(service):
            continue
        for env_file in _env_files(service.get("env_file"), file.parent):
            for one in dotenv_file.read(text_of(env_file), env_file, environ):
                assignments[one.name] = one  # of two files the later one counts
        for key, value, place in _environment(service.get("environment")):
            line = lines.get(("services", name, "environment", *place), 1)
            # without a value it is handed on from the shell, if it is there
            given = environ.get(key) if value is None else interpolated(value, environ)
            if given is not None or value is not None:
                assignments[key] = Assignment(key, given, file, line)
    return list(assignments.values())


def interpolated(text: str, environ: Mapping[str, str]) -> str | None:
    """Return a text with what $NAME, ${NAME}, ${NAME:-default} and their like stand for.

    None if ${NAME:?} has to be set and is not: Compose would start nothing.
    """
    lacks = False

    def value(match: re.Match[str]) -> str:
        nonlocal lacks
        if match["escaped"]:
            return "$"
        found, how = environ.get(match["bare"] or match["name"]), match["how"] or ""
        is_set = bool(found) if how.startswith(":") else found is not None
        lacks = lacks or (how.endswith("?") and not is_set)
        if how.endswith("+") is is_set and how.endswith(("+", "-")):
            more = interpolated(match["more"], environ)
            lacks = lacks or more is None
            return more or ""
        return (found or "") if is_set and not how.endswith("+") else ""

    resolved = _REFERENCE.sub(value, text)
    return None if lacks else resolved


def _runs_litellm(service: Mapping[str, Any]) -> bool:
    return any("litellm" in str(service.get(key, "")) for key in ("image", "command", "entrypoint"))


def _env_files(value: Any, directory: Path) -> Iterator[Path]:
    for entry in (value if isinstance(value, list) else [value])[:_MOST_FILES]:
        path = entry.get("path") if isinstance(entry, dict) else entry
        if isinstance(path, str):
            yield directory / path


def _environment(value: Any) -> Iterator[tuple[str, str | None, YamlPath]]:
    """Yield name, value and place of each variable: a mapping, or a list of NAME=value and NAME."""
    if isinstance(value, dict):
        for name, text in value.items():
            if not isinstance(text, (dict, list)):
                shown = str(text).lower() if isinstance(text, bool) else str(text)
                yield str(name), None if text is None else shown, (name,)
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            name, equals, text = str(entry).partition("=")
            yield name, text if equals else None, (index,)
