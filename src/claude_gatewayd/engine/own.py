"""A LiteLLM configuration of the person's own: what of it is used, and what is refused aloud."""

import importlib
import logging
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from claude_gatewayd.model import Problem

logger = logging.getLogger(__name__)

_OURS = {
    "router_settings": "use [router] of config.toml: retries, cool-down and fallback are decided in one place",
    "general_settings": "the gateway asks callers for their own credential; its port is [listen] of config.toml",
    "environment_variables": "set them where the daemon gets its environment; os.environ/NAME works in model_list",
    "include": "write it all into one file",
}
_DECIDED_ELSEWHERE = (
    "num_retries", "fallbacks", "default_fallbacks", "context_window_fallbacks", "content_policy_fallbacks",
    "allowed_fails", "cooldown_time", "request_timeout", "disable_cooldowns", "retry_after",
)  # fmt: skip
_OURS_IN_SETTINGS = dict.fromkeys(_DECIDED_ELSEWHERE, "use [router] of config.toml") | {
    "set_verbose": "use [log] level of config.toml",
    "json_logs": "use [log] level of config.toml",
    "custom_auth": "callers are known by their own credential, or by the gateway key (claude-gatewayctl key)",
    "database_url": "the gateway keeps no database of LiteLLM's",
    "master_key": "the gateway makes one at each start",
}
_CALLBACKS = ("callbacks", "success_callback", "failure_callback")
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
class Own:
    """What is used of a person's configuration."""

    model_list: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    loaded: list[tuple[str, Any]] = field(default_factory=list)  # key of litellm_settings, callback
    callbacks: list[Callback] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def model_names(self) -> frozenset[str]:
        """The models that it serves."""
        return frozenset(entry["model_name"] for entry in self.model_list)


def read(file: Path | None) -> Own:
    """Read the configuration. Never fails: what cannot be used is in `problems`, or with its callback."""
    own = Own()
    if file is None:
        return own
    try:
        text = file.read_text()
        import yaml  # LiteLLM's own

        document = yaml.safe_load(text)
    except OSError as error:
        own.problems.append(Problem(str(file), f"cannot be read: {error.strerror or error}", f"ls -l {file}"))
    except ValueError as error:
        own.problems.append(Problem(str(file), f"is no text: {error}", ""))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        why = getattr(error, "problem", None) or "it cannot be parsed"
        own.problems.append(Problem(f"{file}{line}", f"is no YAML: {why}", "nothing of it is used until it is mended"))
    else:
        own.problems += _take(own, document, file, text)
    for problem in own.problems:
        logger.warning("LiteLLM's configuration: %s", problem)
    return own


def refused(file: Path | None, why: str) -> Problem:
    """Return the problem of a configuration that LiteLLM itself does not take."""
    return Problem(str(file), f"LiteLLM does not take it: {why}", "nothing of it is used until it is mended")


def _take(own: Own, document: Any, file: Path, text: str) -> Iterator[Problem]:
    def where(key: str) -> str:
        lines = text.split("\n")
        at = next((n for n, line in enumerate(lines, 1) if re.match(rf"[\s-]*{re.escape(key)}\s*:", line)), 0)
        return f"{file}:{at} {key}" if at else f"{file} {key}"

    if document is None:
        return
    if not isinstance(document, dict):
        yield Problem(str(file), "must be a mapping with model_list and litellm_settings", "")
        return
    for key in document:
        if key in _OURS:
            yield Problem(where(key), "is not used", _OURS[key])
        elif key not in ("model_list", "litellm_settings"):
            yield Problem(where(str(key)), "is not used", "known are model_list and litellm_settings")
    models = document.get("model_list") or []
    if not isinstance(models, list):
        yield Problem(where("model_list"), "must be a list", "")
        models = []
    for entry in models:
        yield from _take_model(own, entry, where)
    settings = document.get("litellm_settings") or {}
    if not isinstance(settings, dict):
        yield Problem(where("litellm_settings"), "must be a mapping", "")
        return
    for key, value in settings.items():
        if key in _OURS_IN_SETTINGS:
            yield Problem(where(key), "is not used", _OURS_IN_SETTINGS[key])
        elif key in _CALLBACKS:
            _take_callbacks(own, key, value, file.parent)
        else:
            own.settings[key] = value


def _take_model(own: Own, entry: Any, where: Any) -> Iterator[Problem]:
    name = entry.get("model_name") if isinstance(entry, dict) else None
    params = entry.get("litellm_params") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not isinstance(params, dict) or not isinstance(params.get("model"), str):
        yield Problem(
            where("model_list"), f"has an entry without model_name or litellm_params.model: {name or entry!r:.60}"
        )
    elif name.startswith("claude-") or "*" in name:
        hint = "give it a model_name of its own, without *; Claude's models are served by the gateway itself"
        yield Problem(where("model_name"), f'"{name}" is not used', hint)
    else:
        own.model_list.append(entry)


def _take_callbacks(own: Own, key: str, value: Any, directory: Path) -> None:
    """Load what is named: modules that lie beside the file, or LiteLLM's own by one word."""
    for name in value if isinstance(value, list) else [value]:
        if not isinstance(name, str):
            own.callbacks.append(Callback(str(name)[:80], "it must be a text: module.object"))
        elif not _MODULE.match(name):
            own.loaded.append((key, name))  # one of LiteLLM's
            own.callbacks.append(Callback(name))
        else:
            try:
                own.loaded.append((key, _imported(name, directory)))
                own.callbacks.append(Callback(name))
            except Exception as error:  # the person's own code
                own.callbacks.append(Callback(name, f"{type(error).__name__}: {error}"[:300]))
                logger.warning("the callback %s cannot be loaded: %s: %s", name, type(error).__name__, error)


def _imported(name: str, directory: Path) -> Any:
    """Import an object from a module beside the configuration; its neighbours it may import too."""
    if str(directory) not in sys.path:
        sys.path.append(str(directory))
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)
