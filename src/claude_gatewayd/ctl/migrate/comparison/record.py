"""The record of what was imported: the names of each configuration, kept until a person lets it be forgotten."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from claude_gatewayd import paths
from claude_gatewayd.ctl.migrate import references
from claude_gatewayd.errors import not_changed
from claude_gatewayd.system import files, small_file

_MOST_FILES = 20
_MOST_NAMES = 500
_MOST_TEXT = 200


@dataclass(frozen=True, slots=True)
class OldName:
    """A name that a proxy answered, and the models that it stood for there."""

    name: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """A configuration that was imported."""

    file: str
    names: tuple[OldName, ...]


def names_of(values: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[OldName, ...]:
    """Return the names of a configuration: of its models, and of its groups' aliases."""
    found: dict[str, list[str]] = {}

    def add(name: Any, model: Any) -> None:
        name, model = (_resolved(one, environ) for one in (name, model))
        if isinstance(name, bool) or not isinstance(name, str | int | float) or not isinstance(model, str):
            return
        models = found.setdefault(str(name)[:_MOST_TEXT], [])
        if model not in models:
            models.append(model[:_MOST_TEXT])

    entries = values.get("model_list")
    for entry in entries if isinstance(entries, list) else ():
        params = entry.get("litellm_params") if isinstance(entry, dict) else None
        if isinstance(params, dict):
            add(entry.get("model_name"), params.get("model"))
    settings = values.get("router_settings")
    aliases = settings.get("model_group_alias") if isinstance(settings, dict) else None
    for name, value in aliases.items() if isinstance(aliases, dict) else ():
        add(name, value.get("model") if isinstance(value, dict) else value)
    return tuple(OldName(name, tuple(models)) for name, models in islice(found.items(), _MOST_NAMES))


def _resolved(raw: Any, environ: Mapping[str, str]) -> Any:
    """Return a value with its variables, as it stands where one is not set: clients ask for that name all the same."""
    found = references.resolve(raw, environ)
    return raw if found.unset else found.value


def read(environ: Mapping[str, str]) -> list[Imported]:
    """Return what is recorded, [] if that is nothing or cannot be read."""
    try:
        document = json.loads(small_file.read(paths.imported_file(environ)))
        return [
            Imported(str(one["file"]), tuple(OldName(str(n["name"]), tuple(n["models"])) for n in one["names"]))
            for one in document["imports"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def add(file: Path, names: Sequence[OldName]) -> None:
    """Record a configuration, in place of what is recorded of the same file. Raises GatewayError."""
    before = [one for one in read(os.environ) if one.file != str(file)]
    imports = [*before, Imported(str(file), tuple(names))][-_MOST_FILES:]
    document = {
        "imports": [
            {"file": one.file, "names": [{"name": n.name, "models": list(n.models)} for n in one.names]}
            for one in imports
        ]
    }
    store = paths.imported_file(os.environ)
    try:
        files.write(store, json.dumps(document, indent=1).encode() + b"\n")
    except OSError as error:
        raise not_changed("write", store, error) from None


def forget() -> list[str]:
    """Remove the record; return the files that it was of. Raises GatewayError."""
    store = paths.imported_file(os.environ)
    known = [one.file for one in read(os.environ)]
    try:
        store.unlink(missing_ok=True)
    except OSError as error:
        raise not_changed("remove", store, error) from None
    return known
