"""What each line of a LiteLLM proxy's configuration becomes here. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.config import litellm_keys
from claude_gatewayd.config.keys import NAMES
from claude_gatewayd.config.litellm_keys import PROXYS_DATABASE
from claude_gatewayd.config.model import Config
from claude_gatewayd.ctl.migrate import callbacks, known_keys, references
from claude_gatewayd.ctl.migrate.document import LiteLLMDocument, YamlPath
from claude_gatewayd.ctl.migrate.draft import KEY_SPECS, Draft, MigratedConfig
from claude_gatewayd.ctl.migrate.models.account import BEARER
from claude_gatewayd.ctl.migrate.models.model_list import ModelList
from claude_gatewayd.ctl.migrate.translation import (
    BUILT_IN,
    CARRIED,
    CHANGED,
    NOT_NEEDED,
    UNKNOWN,
    YOURS,
    Translation,
)

PROFILE = ("bedrock", "profile")
LEDGER_THERE = (
    "[ledger] url names it: the gateway's usage ledger is kept there, in tables of its own; LiteLLM's virtual keys, "
    "budgets and spend logs end with the proxy"
)


class _Translator:
    def __init__(
        self,
        document: LiteLLMDocument,
        environ: Mapping[str, str],
        source_of: Callable[[str], str | None],
        *,
        keeps_ledger_there: bool,
    ) -> None:
        self._document = document
        self._keeps_ledger_there = keeps_ledger_there
        # LiteLLM puts them into its own environment before it reads the rest.
        own = _mapping(document.values.get("environment_variables"))
        own_texts = {
            name: value for name, value in own.items() if isinstance(value, str) and "os.environ/" not in value
        }
        self._draft = Draft(document, {**environ, **own_texts})
        self._source_of = source_of
        self._models = ModelList(self._draft, list(_fallbacks(document.values)))
        self._note = self._draft.note

    def translate(self) -> MigratedConfig:
        sections: dict[str, Callable[[Any], None]] = {
            "model_list": self._model_list,
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
                read(_mapping(value))
            elif isinstance(value, list) and name == "model_list":
                read(value)
        for name in self._document.values:
            if name not in sections:
                self._other_section(str(name))
        self._models.account.report_shared(self._models.entries)
        self._draft.straighten_aliases()
        migrated = self._draft.migrated
        migrated.translations += [
            Translation(line, what, UNKNOWN, f"{why}: left out") for line, what, why in self._document.left_out
        ]
        # what an anchor says in several places is reported once
        migrated.translations = sorted(dict.fromkeys(migrated.translations), key=lambda one: one.line)
        return migrated

    def _model_list(self, entries: list[Any]) -> None:
        listed = self._document.values.get("credential_list")
        credentials = {
            str(one["credential_name"]): _mapping(one.get("credential_values"))
            for one in (listed if isinstance(listed, list) else ())
            if isinstance(one, dict) and "credential_name" in one
        }
        self._models.read(entries, credentials)

    def _other_section(self, name: str) -> None:
        if name == "credential_list":
            self._note((name,), BUILT_IN, "each entry that names a credential has its values")
        elif name == "guardrails":
            self._note((name,), CHANGED, "no request is checked by them: only what an entry itself has is kept")
        else:
            self._note((name,), UNKNOWN, "not used")

    # -- the settings

    def _router(self, settings: dict[str, Any]) -> None:
        for key, value in settings.items():
            where = ("router_settings", key)
            if key in known_keys.ROUTER_VALUES:
                self._draft.value(where, "router", key, value, but=known_keys.ROUTER_DIFFERENCES.get(key, ""))
            elif key == "fallbacks":
                self._fallbacks(where, value)
            elif key == "model_group_alias" and isinstance(value, dict):
                for name, model in value.items():
                    self._group_alias((*where, name), str(name), model)
            elif key in known_keys.ROUTER_CHOICES and self._models.shares_names and value != "simple-shuffle":
                self._note(where, CHANGED, "LiteLLM asks the entries of one name at random")
            elif key in known_keys.ROUTER_SETTINGS:
                self._note(where, NOT_NEEDED, known_keys.ROUTER_SETTINGS[key])
            elif key in known_keys.ROUTER_TAGS:
                self._note(where, CHANGED, "tags choose no entry: LiteLLM asks those of one name at random")
            elif key in litellm_keys.SETTINGS:
                self._draft.note_reserved(where, litellm_keys.SETTINGS[key])
            else:
                self._note(where, UNKNOWN, "[router] has no equivalent")

    def _group_alias(self, where: YamlPath, name: str, value: Any) -> None:
        """Carry an alias: the name of a model, or a table with it and with whether lists of models hide the alias."""
        named = value.get("model") if isinstance(value, dict) else value
        if not isinstance(named, str) or not named:
            self._note(where, UNKNOWN, "it must name a model")
            return
        model = self._models.called.get(named, named)
        if named not in self._models.called and not bedrock_models.is_claude(named):
            self._note(where, UNKNOWN, f"model_list has no {named}")
        elif "*" in name:
            self._note(where, UNKNOWN, "an alias is one name, without *")
        elif name == model:
            self._note(where, BUILT_IN, "it is the name of the model itself")
        else:
            self._draft.alias(name, model, where)
            self._models.called[name] = model
            self._note(where, CARRIED, f'[aliases] {name} = "{model}"')

    def _settings(self, settings: dict[str, Any]) -> None:
        for key, value in settings.items():
            where = ("litellm_settings", key)
            if key in known_keys.ROUTER_VALUES_ELSEWHERE:
                name = known_keys.ROUTER_VALUES_ELSEWHERE[key]
                self._draft.value(where, "router", name, value, but=known_keys.ROUTER_DIFFERENCES.get(name, ""))
            elif key == "fallbacks":
                self._fallbacks(where, value)
            elif key in litellm_keys.CALLBACKS:
                self._callbacks(where, key, value)
            elif key == "set_verbose" and value:
                self._draft.value(where, "log", "level", "debug")
            elif key in litellm_keys.SETTINGS:
                is_off = value is None or value is False
                if is_off and key != "ssl_verify":
                    self._note(where, NOT_NEEDED, "it is off")
                else:
                    self._draft.note_reserved(where, litellm_keys.SETTINGS[key])
            elif "budget" in key:
                self._note(where, CHANGED, "no budget is enforced: LiteLLM keeps count of them in its database")
            else:
                self._draft.migrated.settings[key] = value
                self._note(where, CARRIED, "LiteLLM still uses it; requests to Anthropic do not pass through LiteLLM")

    def _general(self, settings: dict[str, Any]) -> None:
        for key, value in settings.items():
            where = ("general_settings", key)
            if key == "custom_auth":
                self._custom_auth(where, value)
            elif value is None or value is False:
                self._note(where, NOT_NEEDED, "it is off")
            elif key == "database_url":
                self._database_url(where, value)
            elif key in known_keys.GENERAL_SETTINGS:
                self._draft.note_reserved(where, known_keys.GENERAL_SETTINGS[key])
            elif key.startswith("database"):
                self._draft.note_reserved(where, PROXYS_DATABASE)
            else:
                self._note(where, UNKNOWN, "there is no equivalent")

    def _custom_auth(self, where: YamlPath, value: Any) -> None:
        """The usual one takes the caller's token for LiteLLM; another one decides who may ask."""
        source = (self._source_of(value) if isinstance(value, str) and "." in value else "") or ""
        if "raw_token" in source:
            self._draft.note_reserved(where, litellm_keys.SETTINGS["custom_auth"])
        else:
            explanation = "it is not run: Anthropic checks each caller's own credential, and the gateway its key"
            self._note(where, CHANGED, explanation)

    def _database_url(self, where: YamlPath, value: Any) -> None:
        """Keep the ledger there if that is wanted; of the proxy's own tables nothing is taken over."""
        url = references.resolve(value, self._draft.environ).value
        if not isinstance(url, str) or not url.startswith(known_keys.POSTGRES):
            self._draft.note_reserved(where, PROXYS_DATABASE)
            return
        migrated = self._draft.migrated
        migrated.database_url = migrated.database_url or url
        if not self._keeps_ledger_there:
            self._draft.note_reserved(where, PROXYS_DATABASE)
            return
        migrated.values[known_keys.LEDGER_URL] = migrated.database_url
        self._note(where, CHANGED, LEDGER_THERE)

    def _variables(self, variables: dict[str, Any]) -> None:
        for name, value in variables.items():
            where = ("environment_variables", name)
            if name == "AWS_PROFILE":
                self._models.report_assumed(value)
            if (
                name == "AWS_PROFILE"
                and self._models.account.names_profile
                and PROFILE not in self._draft.migrated.values
            ):
                self._note(where, NOT_NEEDED, "each entry that Bedrock answers for names a profile of its own")
            elif name in known_keys.VARIABLES:
                self._draft.value(where, *known_keys.VARIABLES[name], value)
            elif name == "DATABASE_URL":
                self._database_url(where, value)
            elif name.startswith("DATABASE_"):
                self._draft.note_reserved(where, PROXYS_DATABASE)
            elif name.startswith("LITELLM_"):
                self._note(where, NOT_NEEDED, "LiteLLM runs inside the daemon, which configures it")
            else:
                self._variable(where, name, value)

    def _variable(self, where: YamlPath, name: str, value: Any) -> None:
        """Carry a variable to where the service gets its environment, unless it decides more there than in a proxy."""
        found = references.resolve(value, self._draft.environ)
        if found.unset:
            self._note(where, YOURS, f"{found.unset} is not set here: export it, and import again")
        elif value is None or isinstance(value, (dict, list)) or not name.isidentifier():
            self._note(where, UNKNOWN, "it is no variable with a text or a number")
        elif name != BEARER and name.startswith(known_keys.NOT_FOR_THE_SERVICE):
            file = "~/.config/claude-gateway/environment"
            self._note(where, YOURS, f"the service's own environment decides: if it needs this, write it into {file}")
        elif name == known_keys.ANTHROPIC_KEY and not self._models.names(name):
            self._note(where, CHANGED, known_keys.CALLERS_PAY)
        else:
            self._draft.migrated.secrets[name] = str(found.value)
            self._note(where, CARRIED, "in the service's environment file")

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
        models = self._models
        there = [
            models.at_bedrock.get(t) or (t.removesuffix("-bedrock") if t.endswith("-bedrock") else "") for t in names
        ]
        if name in models.with_litellm:
            self._note(where, CHANGED, "LiteLLM serves it alone: nothing stands in for it", item)
            return
        lost = [target for target, found in zip(names, there, strict=True) if not found]
        if lost:
            self._note(where, UNKNOWN, f"{', '.join(lost)}: only Bedrock models can stand in for Anthropic's", item)
        wanted = [found for found in there if found]
        asked = models.called.get(name, name)
        if bedrock_models.is_bedrock_only(asked):  # it is the first to be asked, and these are after it
            wanted = list(dict.fromkeys([asked.removesuffix("-bedrock"), *wanted])) if wanted else []
        if "*" in name:
            self._note(
                where,
                UNKNOWN,
                "write an entry in [router.fallbacks] for each model; without one, the same model is used",
                item,
            )
        elif wanted == [asked]:
            self._note(where, BUILT_IN, "each Anthropic model falls back to the same model on Bedrock", item)
        elif wanted:
            self._draft.migrated.values["router.fallbacks", asked] = wanted
            quoted = ", ".join(f'"{one}"' for one in wanted)
            self._note(where, CARRIED, f"[router.fallbacks] {asked} = [{quoted}]", item)

    def _callbacks(self, where: YamlPath, key: str, value: Any) -> None:
        kept = []
        for fate in callbacks.decide(key, value, self._source_of):
            place = (*where, fate.position) if isinstance(value, list) else where
            # Requests to Anthropic do not pass through LiteLLM.
            verdict = CHANGED if fate.verdict == CARRIED and self._models.asks_anthropic else fate.verdict
            self._note(place, verdict, fate.explanation, f"{key} {fate.name}".rstrip())
            kept += [fate.name] * fate.kept
        if kept:
            self._draft.migrated.settings[key] = kept if isinstance(value, list) else kept[0]


def translate(
    document: LiteLLMDocument,
    environ: Mapping[str, str],
    source_of: Callable[[str], str | None] = lambda _: "",
    *,
    keeps_ledger_there: bool = False,
) -> MigratedConfig:
    """Return what a configuration comes to.

    *source_of* returns the text of the module of a callback, None if there is none beside the file.
    *keeps_ledger_there*: in the proxy's PostgreSQL.
    """
    return _Translator(document, environ, source_of, keeps_ledger_there=keeps_ledger_there).translate()


def _mapping(value: Any) -> dict[str, Any]:
    return {str(key): inner for key, inner in value.items()} if isinstance(value, dict) else {}


def _fallbacks(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each name that has fallbacks with each of them."""
    for section in ("router_settings", "litellm_settings"):
        listed = _mapping(values.get(section)).get("fallbacks")
        for entry in listed if isinstance(listed, list) else [listed]:
            for name, targets in _mapping(entry).items():
                yield from ((name, str(target)) for target in (targets if isinstance(targets, list) else [targets]))


def differing(values: Iterable[tuple[tuple[str, str], Any]]) -> list[tuple[tuple[str, str], Any]]:
    """Return those that are not what the gateway does anyway."""
    default = Config()

    def usual(section: str, name: str) -> Any:
        return getattr(getattr(default, section), name) if section in NAMES else None

    return [
        ((section, name), value)
        for (section, name), value in values
        if section not in NAMES or KEY_SPECS[section, name].read(value) != usual(section, name)
    ]
