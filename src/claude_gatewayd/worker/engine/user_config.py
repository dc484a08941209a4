"""A LiteLLM configuration of the person's own: what of it is used, and what is refused aloud."""

import importlib
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.config import litellm_keys
from claude_gatewayd.problem import Problem
from claude_gatewayd.system import bounded_yaml, small_file
from claude_gatewayd.worker.engine.raised import describe

logger = logging.getLogger(__name__)

_FROM_ENVIRONMENT = "os.environ/"
_MOST_PROBLEMS = 100  # that are told: all of them go to whoever asks for the status
_LONGEST_NAME = 100
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\Z")


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback that the configuration names, and why it is not loaded, "" where it is."""

    name: str
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the form it has in the status."""
        return {"name": self.name, "loaded": not self.why, "why": self.why}


@dataclass(slots=True)
class UserConfig:
    """What is used of a person's configuration, and what is not."""

    file: Path | None = None
    text: str = ""
    model_list: list[dict[str, Any]] = field(default_factory=list)
    litellm_settings: dict[str, Any] = field(default_factory=dict)
    loaded: list[tuple[str, Any]] = field(default_factory=list)  # key of litellm_settings, callback
    callbacks: list[Callback] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def model_names(self) -> frozenset[str]:
        """The models that it serves."""
        return frozenset(entry["model_name"] for entry in self.model_list)

    def allowed_fields(self, model: str) -> frozenset[str]:
        """Return what `allowed_openai_params` of a model's entries name."""
        entries = (entry["litellm_params"] for entry in self.model_list if entry["model_name"] == model)
        lists = (entry.get("allowed_openai_params") for entry in entries)
        return frozenset(name for names in lists if isinstance(names, list) for name in names if isinstance(name, str))

    def where(self, key: str, value: str = "") -> str:
        """Return the place of a key in the file, of the one with that *value* where it stands there more than once."""
        key = key[:_LONGEST_NAME]
        if len(self.problems) >= _MOST_PROBLEMS:
            return f"{self.file} {key}"  # to look for each of very many would take minutes
        line = re.compile(rf"[\s{{,-]*{re.escape(key)}\s*:\s*[\"']?{re.escape(value)}")
        at = next((n for n, text in enumerate(self.text.split("\n"), 1) if line.match(text)), 0)
        return f"{self.file}:{at} {key}" if at else f"{self.file} {key}"

    def refuse(self, where: str, message: str, hint: str) -> None:
        """Tell of something that is not used."""
        if len(self.problems) > _MOST_PROBLEMS:
            return
        if len(self.problems) == _MOST_PROBLEMS:
            where, message, hint = f"{self.file}", "has more that is not used", "mend these first"
        problem = Problem(where, message, hint)
        logger.warning("LiteLLM's configuration: %s", problem)
        self.problems.append(problem)

    def not_loaded(self, name: str, why: str) -> None:
        """Tell of a callback that is named and not loaded."""
        name = name[:_LONGEST_NAME]
        logger.warning("the callback %s cannot be loaded: %s", name, why)
        self.callbacks = [callback for callback in self.callbacks if callback.name != name]
        if len(self.callbacks) < _MOST_PROBLEMS:
            self.callbacks.append(Callback(name, why))


def read_user_config(file: Path | None, withheld: Mapping[str, str]) -> UserConfig:
    """Read the configuration. Never fails: what cannot be used is in `problems`, or with its callback.

    *withheld* are the variables that LiteLLM does not see in its environment; those that are named here it gets.
    """
    own = UserConfig(file)
    if file is None:
        return own
    try:
        own.text = small_file.read(file).decode()
        found = bounded_yaml.read(own.text)
    except OSError as error:
        own.refuse(str(file), f"cannot be read: {error.strerror or error}", f"ls -l {file}")
    except ValueError as error:
        own.refuse(str(file), f"is no text: {error}", "")
    except bounded_yaml.NotYaml as error:
        line = f":{error.line}" if error.line else ""
        own.refuse(f"{file}{line}", f"is no YAML: {error.why}", "nothing of it is used until it is mended")
    else:
        for part in found.left_out:
            own.refuse(f"{file}:{part.line} {part.what}", part.why, "it is left out; write it without aliases")
        for problem in _take(own, _given(found.value, withheld), file):
            own.refuse(problem.where, problem.message, problem.hint)
    return own


def describe_rejection(error: Exception) -> str:
    """Say what is wrong with an entry. Pydantic's own text would show what is in it, which may be a key."""
    errors = getattr(error, "errors", None)
    if callable(errors):
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in errors())[:300]
    return describe(error)


def _given(value: Any, withheld: Mapping[str, str]) -> Any:
    """Put the variables that are named into their places."""
    if isinstance(value, dict):
        return {key: _given(inner, withheld) for key, inner in value.items()}
    if isinstance(value, list):
        return [_given(inner, withheld) for inner in value]
    if isinstance(value, str) and value.startswith(_FROM_ENVIRONMENT):
        return withheld.get(value.removeprefix(_FROM_ENVIRONMENT), value)
    return value


def _take(own: UserConfig, document: Any, file: Path) -> Iterator[Problem]:
    if document is None:
        return
    if not isinstance(document, dict):
        yield Problem(str(file), "must be a mapping with model_list and litellm_settings", "")
        return
    for key in document:
        if key in litellm_keys.SECTIONS:
            yield Problem(own.where(key), "is not used", litellm_keys.SECTIONS[key])
        elif key not in ("model_list", "litellm_settings"):
            yield Problem(own.where(str(key)), "is not used", "known are model_list and litellm_settings")
    models = document.get("model_list") or []
    if not isinstance(models, list):
        yield Problem(own.where("model_list"), "must be a list", "")
        models = []
    for number, entry in enumerate(models, 1):
        yield from _take_model(own, entry, number)
    settings = document.get("litellm_settings") or {}
    if not isinstance(settings, dict):
        yield Problem(own.where("litellm_settings"), "must be a mapping", "")
        return
    for key, value in settings.items():
        if key in litellm_keys.SETTINGS and (value is not False or key == "ssl_verify"):
            yield Problem(own.where(key), "is not used", litellm_keys.SETTINGS[key].reason)
        elif key in litellm_keys.CALLBACKS:
            _take_callbacks(own, key, value, file.parent)
        elif isinstance(key, str) and key not in litellm_keys.SETTINGS:
            own.litellm_settings[key] = value


def _take_model(own: UserConfig, entry: Any, number: int) -> Iterator[Problem]:
    name = entry.get("model_name") if isinstance(entry, dict) else None
    params = entry.get("litellm_params") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not isinstance(params, dict) or not isinstance(params.get("model"), str):
        which = name if isinstance(name, str) else f"number {number}"  # not its text, which may hold a key
        hint = "each has a model_name, and litellm_params with a model"
        yield Problem(
            own.where("model_list"), f"has an entry without model_name or litellm_params.model: {which}", hint
        )
    elif bedrock_models.is_reserved(name):
        hint = "give it a model_name of its own, without * or bedrock; Claude's models are served by the gateway itself"
        yield Problem(own.where("model_name", name), f'"{name}" is not used', hint)
    elif "ollama" in params["model"] and not params.get("api_base"):
        # LiteLLM would start `ollama serve`, a process that nobody ends.
        where = os.environ.get("OLLAMA_API_BASE") or "http://localhost:11434"
        own.model_list.append({**entry, "litellm_params": {**params, "api_base": where}})
    else:
        own.model_list.append(entry)


def _take_callbacks(own: UserConfig, key: str, value: Any, directory: Path) -> None:
    """Load what is named: modules that lie beside the file, or LiteLLM's own by one word."""
    for name in value[:_MOST_PROBLEMS] if isinstance(value, list) else [value]:
        if not isinstance(name, str):
            own.not_loaded(str(name)[:80], "it must be a text: module.object")
        elif not _MODULE.match(name):
            own.loaded.append((key, name))  # one of LiteLLM's
            own.callbacks.append(Callback(name))
        else:
            try:
                own.loaded.append((key, _imported(name, directory)))
                own.callbacks.append(Callback(name))
            except (Exception, SystemExit) as error:  # the person's own code
                own.not_loaded(name, describe(error))


def _imported(name: str, directory: Path) -> Any:
    """Import an object from a module beside the configuration; its neighbours it may import too."""
    if str(directory) not in sys.path:
        sys.path.append(str(directory))
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)
