"""A LiteLLM configuration of the person's own: what of it is used, and what is not, each with a reason."""

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
from claude_gatewayd.config import litellm_callbacks, litellm_keys
from claude_gatewayd.errors import describe_exception, list_command
from claude_gatewayd.ledger.prices import litellm_map
from claude_gatewayd.ledger.prices.rates import Price
from claude_gatewayd.problem import Problem
from claude_gatewayd.system import bounded_yaml, small_file

logger = logging.getLogger(__name__)

_MAX_PROBLEMS = 100  # all of them are in every status
_MAX_NAME = 100
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\Z")


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback that the configuration names, and why it is not loaded, "" if it is; *hint* is what helps."""

    name: str
    why: str = ""
    hint: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the form it has in the status."""
        return {"name": self.name, "loaded": not self.why, "why": self.why, "hint": self.hint}


@dataclass(slots=True)
class UserConfig:
    """What of a person's configuration is used, and the problems of the rest."""

    file: Path | None = None
    text: str = ""
    model_list: list[dict[str, Any]] = field(default_factory=list)
    litellm_settings: dict[str, Any] = field(default_factory=dict)
    loaded: list[tuple[str, Any]] = field(default_factory=list)  # key of litellm_settings, callback
    callbacks: list[Callback] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def model_names(self) -> frozenset[str]:
        """The names of its models."""
        return frozenset(entry["model_name"] for entry in self.model_list)

    def allowed_fields(self, model: str) -> frozenset[str]:
        """Return what `allowed_openai_params` of a model's entries name."""
        entries = (entry["litellm_params"] for entry in self.model_list if entry["model_name"] == model)
        lists = (entry.get("allowed_openai_params") for entry in entries)
        return frozenset(name for names in lists if isinstance(names, list) for name in names if isinstance(name, str))

    def price_of(self, model: str, listed: Mapping[str, Any]) -> Price | None:
        """Return what a model costs; None if that is not known. *listed* is LiteLLM's map.

        What an entry itself says of costs goes before the map, as it does for LiteLLM.
        """
        for entry in (entry for entry in self.model_list if entry["model_name"] == model):
            parameters, info = entry["litellm_params"], entry.get("model_info")
            asked = parameters["model"]
            provider, _, name = asked.partition("/")
            name = name.rpartition("/")[2] if provider == "bedrock" else name  # without a route or a region
            known = listed.get(asked) or listed.get(name) or {}
            if "claude" in asked and not known.get("input_cost_per_token"):
                known = {}  # registered by model_map, at no cost
            own = {**(info if isinstance(info, Mapping) else {}), **parameters}
            costs = {key: value for key, value in own.items() if "cost" in str(key)}
            if (price := litellm_map.price_of({**known, **costs})) is not None:
                return price
        return None

    def where(self, key: str, value: str = "") -> str:
        """Return the place of a key in the file; *value* tells apart those that occur more than once."""
        key = key[:_MAX_NAME]
        if len(self.problems) >= _MAX_PROBLEMS:
            return f"{self.file} {key}"  # searching for thousands would take minutes
        line = re.compile(rf"[\s{{,-]*{re.escape(key)}\s*:\s*[\"']?{re.escape(value)}")
        at = next((n for n, text in enumerate(self.text.split("\n"), 1) if line.match(text)), 0)
        return f"{self.file}:{at} {key}" if at else f"{self.file} {key}"

    def refuse(self, where: str, message: str, hint: str) -> None:
        """Report something that is not used."""
        if len(self.problems) > _MAX_PROBLEMS:
            return
        if len(self.problems) == _MAX_PROBLEMS:
            where, message, hint = f"{self.file}", "has more that is not used", "fix these first"
        problem = Problem(where, message, hint)
        logger.warning("LiteLLM's configuration: %s", problem)
        self.problems.append(problem)

    def add_failed_callback(self, name: str, why: str, hint: str = "") -> None:
        """Report a callback that is not loaded."""
        name = name[:_MAX_NAME]
        logger.warning("the callback %s cannot be loaded: %s%s", name, why, f" ({hint})" if hint else "")
        self.callbacks = [callback for callback in self.callbacks if callback.name != name]
        if len(self.callbacks) < _MAX_PROBLEMS:
            self.callbacks.append(Callback(name, why, hint))


def read_user_config(file: Path | None, withheld: Mapping[str, str]) -> UserConfig:
    """Read the configuration. Never fails: what cannot be used is in `problems`, or with its callback.

    *withheld* are the variables that were removed from LiteLLM's environment: os.environ/NAME still finds them.
    """
    user_config = UserConfig(file)
    if file is None:
        return user_config
    try:
        user_config.text = small_file.read(file).decode()
        found = bounded_yaml.read(user_config.text)
    except OSError as error:
        user_config.refuse(str(file), f"cannot be read: {error.strerror or error}", list_command(file))
    except ValueError as error:
        user_config.refuse(str(file), f"is not text: {error}", "")
    except bounded_yaml.NotYaml as error:
        line = f":{error.line}" if error.line else ""
        user_config.refuse(f"{file}{line}", f"is not YAML: {error.why}", "nothing of it is used until it is fixed")
    else:
        for part in found.left_out:
            user_config.refuse(f"{file}:{part.line} {part.what}", part.why, "it is left out; write it without aliases")
        for problem in _use(user_config, _with_variables(found.value, withheld), file):
            user_config.refuse(problem.where, problem.message, problem.hint)
    return user_config


def describe_rejection(error: Exception) -> str:
    """Describe what is wrong with an entry. Pydantic's own text would show its values, which may be keys."""
    errors = getattr(error, "errors", None)
    if callable(errors):
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in errors())[:300]
    return describe_exception(error)


def _with_variables(value: Any, withheld: Mapping[str, str]) -> Any:
    """Replace os.environ/NAME by the value of a withheld variable."""
    if isinstance(value, dict):
        return {key: _with_variables(inner, withheld) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_variables(inner, withheld) for inner in value]
    if isinstance(value, str) and value.startswith(litellm_keys.REFERENCE):
        return withheld.get(value.removeprefix(litellm_keys.REFERENCE), value)
    return value


def _use(user_config: UserConfig, document: Any, file: Path) -> Iterator[Problem]:
    if document is None:
        return
    if not isinstance(document, dict):
        yield Problem(str(file), "must be a mapping with model_list and litellm_settings", "")
        return
    for key in document:
        if key in litellm_keys.SECTIONS:
            yield Problem(user_config.where(key), "is not used", litellm_keys.SECTIONS[key])
        elif key not in ("model_list", "litellm_settings"):
            yield Problem(user_config.where(str(key)), "is not used", "known are model_list and litellm_settings")
    models = document.get("model_list") or []
    if not isinstance(models, list):
        yield Problem(user_config.where("model_list"), "must be a list", "")
        models = []
    for number, entry in enumerate(models, 1):
        yield from _use_model(user_config, entry, number)
    settings = document.get("litellm_settings") or {}
    if not isinstance(settings, dict):
        yield Problem(user_config.where("litellm_settings"), "must be a mapping", "")
        return
    for key, value in settings.items():
        if key in litellm_keys.SETTINGS and (value is not False or key == "ssl_verify"):
            yield Problem(user_config.where(key), "is not used", litellm_keys.SETTINGS[key].reason)
        elif key in litellm_keys.CALLBACKS:
            _load_callbacks(user_config, key, value, file.parent)
        elif isinstance(key, str) and key not in litellm_keys.SETTINGS:
            user_config.litellm_settings[key] = value


def _use_model(user_config: UserConfig, entry: Any, number: int) -> Iterator[Problem]:
    name = entry.get("model_name") if isinstance(entry, dict) else None
    params = entry.get("litellm_params") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not isinstance(params, dict) or not isinstance(params.get("model"), str):
        which = name if isinstance(name, str) else f"number {number}"  # not its content, which may hold a key
        hint = "each has a model_name, and litellm_params with a model"
        yield Problem(
            user_config.where("model_list"), f"has an entry without model_name or litellm_params.model: {which}", hint
        )
    elif bedrock_models.is_reserved(name):
        hint = "give it a model_name of its own, without * or bedrock; Claude's models are served by the gateway itself"
        yield Problem(user_config.where("model_name", name), f'"{name}" is not used', hint)
    elif "ollama" in params["model"] and not params.get("api_base"):
        # Without api_base LiteLLM starts `ollama serve`, a process that nobody ends.
        where = os.environ.get("OLLAMA_API_BASE") or "http://localhost:11434"
        user_config.model_list.append({**entry, "litellm_params": {**params, "api_base": where}})
    else:
        user_config.model_list.append(entry)


def _load_callbacks(user_config: UserConfig, key: str, value: Any, directory: Path) -> None:
    """Load callbacks: module.object of a module beside the file, or a single word for one of LiteLLM's own."""
    for name in value[:_MAX_PROBLEMS] if isinstance(value, list) else [value]:
        if not isinstance(name, str):
            user_config.add_failed_callback(str(name)[:80], "it must be a string: module.object")
        elif not _MODULE.match(name):
            user_config.loaded.append((key, name))  # LiteLLM's own
            user_config.callbacks.append(Callback(name))
        else:
            try:
                user_config.loaded.append((key, _imported(name, directory)))
                user_config.callbacks.append(Callback(name))
            except (Exception, SystemExit) as error:  # the person's code can raise anything
                user_config.add_failed_callback(name, describe_exception(error), _hint(error, name, directory))


def _hint(error: BaseException, callback: str, directory: Path) -> str:
    """Return how to add the package that a callback imports, "" if that is not what is wrong."""
    top = str(getattr(error, "name", None) or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or top in ("", callback.partition(".")[0]):
        return ""
    beside = directory.joinpath(top).exists() or directory.joinpath(f"{top}.py").exists()
    return "" if beside or litellm_callbacks.is_there(top) else litellm_callbacks.package_of(top).hint


def _imported(name: str, directory: Path) -> Any:
    """Import an object from a module beside the configuration, which may import its neighbours too."""
    if str(directory) not in sys.path:
        sys.path.append(str(directory))
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)
