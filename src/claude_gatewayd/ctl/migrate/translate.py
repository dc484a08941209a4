"""What each line of a LiteLLM proxy's configuration becomes here. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.config import litellm_keys
from claude_gatewayd.config.keys import KEYS, NAMES
from claude_gatewayd.config.litellm_keys import NO_DATABASE, ReservedKey
from claude_gatewayd.config.model import Bedrock, Config
from claude_gatewayd.ctl.migrate import callbacks, known_keys
from claude_gatewayd.ctl.migrate.document import LiteLLMDocument, YamlPath
from claude_gatewayd.ctl.migrate.translation import BUILT_IN, CARRIED, NOT_NEEDED, UNKNOWN, YOURS, Translation, Verdict
from claude_gatewayd.errors import GatewayError


@dataclass(slots=True)
class MigratedConfig:
    """What a configuration comes to: values of config.toml by (section, name), and what LiteLLM goes on with."""

    values: dict[tuple[str, str], Any] = field(default_factory=dict)
    models: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    translations: list[Translation] = field(default_factory=list)

    @property
    def litellm(self) -> dict[str, Any]:
        """Return the configuration that is left for LiteLLM, empty if nothing is."""
        left = {"model_list": self.models, "litellm_settings": self.settings}
        return {name: value for name, value in left.items() if value}


_KEYS = {(key.section, key.name): key for key in KEYS}
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}/")


class _Translator:
    def __init__(
        self, document: LiteLLMDocument, environ: Mapping[str, str], source_of: Callable[[str], str | None]
    ) -> None:
        self._document = document
        self._environ = environ
        self._source_of = source_of
        self._bedrock: dict[str, str] = {}  # model_name -> what Bedrock is asked for
        self.migrated = MigratedConfig()

    def _note(self, place: YamlPath, verdict: Verdict, explanation: str, item: str = "") -> None:
        name = item or ".".join(str(part) for part in place if not isinstance(part, int))
        self.migrated.translations.append(Translation(self._document.line(*place), name, verdict, explanation))

    def translate(self) -> None:
        sections: dict[str, Callable[[Any], None]] = {
            "model_list": self._models,
            "router_settings": self._router,
            "litellm_settings": self._settings,
            "general_settings": self._general,
            "environment_variables": self._variables,
        }
        for name in sections.keys() & self._document.values.keys():
            value = self._document.values[name]
            wanted = list if name == "model_list" else dict
            if value is not None and not isinstance(value, wanted):
                self._note((name,), UNKNOWN, f"it must be a {'list' if wanted is list else 'mapping'}")
        for name, read in sections.items():  # models first: fallbacks name them
            value = self._document.values.get(name)
            if isinstance(value, dict) and name != "model_list":
                read({str(key): inner for key, inner in value.items()})
            elif isinstance(value, list) and name == "model_list":
                read(value)
        for name in self._document.values:
            if name not in sections:
                self._note((str(name),), UNKNOWN, "not used")
        self.migrated.translations += [
            Translation(line, what, UNKNOWN, f"{why}: left out") for line, what, why in self._document.left_out
        ]
        # what an anchor says in several places is reported once
        self.migrated.translations = sorted(dict.fromkeys(self.migrated.translations), key=lambda one: one.line)

    def _note_reserved(self, place: YamlPath, key: ReservedKey) -> None:
        # What belongs into config.toml has been moved there, unless there is nothing like it.
        self._note(place, UNKNOWN if key.by == "config.toml" else key.by, key.reason)

    # -- model_list

    def _models(self, entries: list[Any]) -> None:
        for index, entry in enumerate(entries):
            place = ("model_list", index)
            params = entry.get("litellm_params") if isinstance(entry, dict) else None
            name = entry.get("model_name") if isinstance(entry, dict) else None
            model = params.get("model") if isinstance(params, dict) else None
            if not isinstance(name, str) or not isinstance(params, dict) or not isinstance(model, str):
                self._note(place, UNKNOWN, "it has no model_name, or no litellm_params.model", "model_list entry")
            elif model.startswith("bedrock/"):
                self._bedrock_model(place, name, model, params, entry)
            elif model.startswith("anthropic/") or (model.startswith("claude-") and "/" not in model):
                self._anthropic_model(place, name, model.removeprefix("anthropic/"), params)
            else:
                self._for_litellm(place, name, model, entry)

    def _for_litellm(self, place: YamlPath, name: str, model: str, entry: dict[str, Any]) -> None:
        if bedrock_models.is_reserved(name):
            self._note(place, UNKNOWN, f"{model} cannot use this name, which the gateway reserves: rename it", name)
        else:
            self.migrated.models.append(entry)
            self._note(place, CARRIED, f"LiteLLM still serves it ({model})", name)

    def _anthropic_model(self, place: YamlPath, name: str, model: str, params: dict[str, Any]) -> None:
        if "*" in name or "*" in model or name == model:
            self._note(place, BUILT_IN, "every Claude model goes to Anthropic under the name requested", name)
        else:
            self.migrated.values["aliases", name] = model
            self._note(place, CARRIED, f'[aliases] {name} = "{model}"', name)
        for key, value in _texts(params):
            where = (*place, "litellm_params", key)
            if key == "api_key":
                self._note(where, NOT_NEEDED, "each caller's own credential goes to Anthropic, not a proxy's key", key)
            elif key == "api_base":
                self._value(where, "anthropic", "base_url", value, key)
            elif "timeout" in key:
                self._note(where, NOT_NEEDED, "see first_byte_timeout and response_timeout in [anthropic]", key)
            elif key != "model":
                self._note(where, NOT_NEEDED, "requests to Anthropic are not changed", key)

    def _bedrock_model(
        self, place: YamlPath, name: str, model: str, params: dict[str, Any], entry: dict[str, Any]
    ) -> None:
        there = re.sub(r"\A(converse|invoke|converse_like)/", "", model.removeprefix("bedrock/"))
        in_path = _REGION.match(there)
        there = there[in_path.end() :] if in_path else there
        if in_path:
            self._value((*place, "litellm_params", "model"), "bedrock", "region", in_path[0].rstrip("/"), "model")
        if "claude" not in there and not there.startswith("arn:"):
            self._for_litellm(place, name, model, entry)
            return
        stem = name.removesuffix("-bedrock")
        self._bedrock[name] = stem if stem.startswith("claude-") else there
        for key, value in _texts(params):
            self._bedrock_param((*place, "litellm_params", key), key, value)
        if not stem.startswith("claude-"):
            self._for_litellm(place, name, model, entry)
            return
        region = self.migrated.values.get(("bedrock", "region"), Bedrock().region)
        known = bedrock_models.find(stem, str(region))
        if known is not None and known.model == there:
            self._note(place, BUILT_IN, f"the gateway already maps it to {there}", name)
        else:
            self.migrated.values["bedrock.models", stem] = there
            self._note(place, CARRIED, f'[bedrock.models] {stem} = "{there}"', name)

    def _bedrock_param(self, where: YamlPath, key: str, value: Any) -> None:
        if key in known_keys.AWS_PARAMS:
            self._value(where, "bedrock", known_keys.AWS_PARAMS[key], value, key)
        elif key in known_keys.AWS_KEYS and str(value).startswith("os.environ/AWS_"):
            self._note(where, BUILT_IN, "AWS keys in the environment are used as they are", key)
        elif key in known_keys.AWS_KEYS:
            hint = "keys do not belong in this file: aws configure --profile NAME, then [bedrock] profile"
            self._note(where, YOURS, hint, key)
        elif key in ("aws_role_name", "aws_session_name", "aws_web_identity_token"):
            hint = "make it a profile in ~/.aws/config (role_arn, source_profile), then [bedrock] profile"
            self._note(where, YOURS, hint, key)
        elif key not in ("model",):
            self._note(where, NOT_NEEDED, "Bedrock gets what Claude Code itself would send it", key)

    # -- the settings

    def _router(self, settings: dict[str, Any]) -> None:
        for key, value in settings.items():
            where = ("router_settings", key)
            if key in known_keys.ROUTER_VALUES:
                self._value(where, "router", key, value)
            elif key == "fallbacks":
                self._fallbacks(where, value)
            elif key == "model_group_alias" and isinstance(value, dict):
                for name, model in value.items():
                    self.migrated.values["aliases", str(name)] = str(model)
                    self._note((*where, name), CARRIED, f'[aliases] {name} = "{model}"')
            elif key in known_keys.ROUTER_SETTINGS:
                self._note(where, NOT_NEEDED, known_keys.ROUTER_SETTINGS[key])
            elif key in litellm_keys.SETTINGS:
                self._note_reserved(where, litellm_keys.SETTINGS[key])
            else:
                self._note(where, UNKNOWN, "[router] has no equivalent")

    def _settings(self, settings: dict[str, Any]) -> None:
        for key, value in settings.items():
            where = ("litellm_settings", key)
            if key in known_keys.ROUTER_VALUES_ELSEWHERE:
                self._value(where, "router", known_keys.ROUTER_VALUES_ELSEWHERE[key], value)
            elif key == "fallbacks":
                self._fallbacks(where, value)
            elif key in litellm_keys.CALLBACKS:
                self._callbacks(where, key, value)
            elif key == "set_verbose" and value:
                self._value(where, "log", "level", "debug")
            elif key in litellm_keys.SETTINGS:
                self._note_reserved(where, litellm_keys.SETTINGS[key])
            else:
                self.migrated.settings[key] = value
                self._note(where, CARRIED, "LiteLLM still uses it; requests to Anthropic do not pass through LiteLLM")

    def _general(self, settings: dict[str, Any]) -> None:
        for key, value in settings.items():
            where = ("general_settings", key)
            if key in known_keys.GENERAL_SETTINGS:
                self._note_reserved(where, known_keys.GENERAL_SETTINGS[key])
            elif key.startswith("database"):
                self._note_reserved(where, NO_DATABASE)
            else:
                self._note(where, UNKNOWN, f"there is no equivalent{': it is off' if value is False else ''}")

    def _variables(self, variables: dict[str, Any]) -> None:
        for name, value in variables.items():
            where = ("environment_variables", name)
            if name in known_keys.VARIABLES:
                self._value(where, *known_keys.VARIABLES[name], value)
            elif name.startswith("DATABASE_"):
                self._note_reserved(where, NO_DATABASE)
            elif name.startswith("LITELLM_"):
                self._note(where, NOT_NEEDED, "LiteLLM runs inside the daemon, which configures it")
            else:
                self._note(where, YOURS, "set it in the daemon's environment; it has no place in config.toml")

    def _fallbacks(self, where: YamlPath, value: Any) -> None:
        for index, entry in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(entry, dict):
                self._note((*where, index), UNKNOWN, "it must name a model and its fallbacks")
                continue
            for name, targets in entry.items():
                self._fallback((*where, index, str(name)), str(name), targets)

    def _fallback(self, where: YamlPath, name: str, targets: Any) -> None:
        item = f"fallbacks.{name}"
        names = [str(target) for target in (targets if isinstance(targets, list) else [targets])]
        there = [self._bedrock.get(t) or (t.removesuffix("-bedrock") if t.endswith("-bedrock") else "") for t in names]
        lost = [target for target, found in zip(names, there, strict=True) if not found]
        if lost:
            self._note(where, UNKNOWN, f"{', '.join(lost)}: only Bedrock models can stand in for Anthropic's", item)
        wanted = [found for found in there if found]
        if "*" in name:
            self._note(
                where,
                UNKNOWN,
                "write an entry in [router.fallbacks] for each model; without one, the same model is used",
                item,
            )
        elif wanted == [name]:
            self._note(where, BUILT_IN, "each Anthropic model falls back to the same model on Bedrock", item)
        elif wanted:
            self.migrated.values["router.fallbacks", name] = wanted
            quoted = ", ".join(f'"{one}"' for one in wanted)
            self._note(where, CARRIED, f"[router.fallbacks] {name} = [{quoted}]", item)

    def _callbacks(self, where: YamlPath, key: str, value: Any) -> None:
        kept = []
        for fate in callbacks.decide(key, value, self._source_of):
            place = (*where, fate.position) if isinstance(value, list) else where
            self._note(place, fate.verdict, fate.explanation, f"{key} {fate.name}".rstrip())
            kept += [fate.name] * fate.kept
        if kept:
            self.migrated.settings[key] = kept if isinstance(value, list) else kept[0]

    # -- values

    def _value(self, where: YamlPath, section: str, name: str, raw: Any, what: str = "") -> None:
        """Take over one value, if config.toml takes it, and nothing else has been said before."""
        value = self._resolved(raw)
        shown = f"[{section}] {name}"
        if value is None:
            variable = str(raw).removeprefix("os.environ/")
            self._note(
                where, YOURS, f"{variable} is not set here: claude-gatewayctl config set {section}.{name} VALUE", what
            )
            return
        if isinstance(raw, str) and raw.startswith("os.environ/"):
            value = _KEYS[section, name].from_text(str(value))
        try:
            _KEYS[section, name].read(value)
        except GatewayError as error:
            self._note(where, UNKNOWN, f"{shown} {error.message}", what)
            return
        before = self.migrated.values.get((section, name))
        if before is not None and before != value:
            self._note(where, UNKNOWN, f"an earlier line has set {shown} to {before}: the gateway has only one", what)
            return
        self.migrated.values[section, name] = value
        shown_value = (
            f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else value
        )
        self._note(where, CARRIED, f"{shown} = {shown_value}", what)

    def _resolved(self, raw: Any) -> Any:
        if isinstance(raw, str) and raw.startswith("os.environ/"):
            return self._environ.get(raw.removeprefix("os.environ/")) or None
        return raw


def translate(
    document: LiteLLMDocument, environ: Mapping[str, str], source_of: Callable[[str], str | None] = lambda _: ""
) -> MigratedConfig:
    """Return what a configuration comes to.

    *source_of* returns the text of the module of a callback, None if there is none beside the file.
    """
    translator = _Translator(document, environ, source_of)
    translator.translate()
    return translator.migrated


def _texts(params: Mapping[Any, Any]) -> Iterable[tuple[str, Any]]:
    return ((str(key), value) for key, value in params.items())


def differing(values: Iterable[tuple[tuple[str, str], Any]]) -> list[tuple[tuple[str, str], Any]]:
    """Return those that are not what the gateway does anyway."""
    default = Config()

    def usual(section: str, name: str) -> Any:
        return getattr(getattr(default, section), name) if section in NAMES else None

    return [
        ((section, name), value)
        for (section, name), value in values
        if section not in NAMES or _KEYS[section, name].read(value) != usual(section, name)
    ]
