"""What a configuration comes to, as it is being put together: values, LiteLLM's part, secrets, and the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from claude_gatewayd.anthropic.request import routing_name
from claude_gatewayd.config.keys import KEYS
from claude_gatewayd.config.litellm_keys import ReservedKey
from claude_gatewayd.ctl.migrate import references
from claude_gatewayd.ctl.migrate.document import LiteLLMDocument, YamlPath
from claude_gatewayd.ctl.migrate.translation import CARRIED, CHANGED, NOT_NEEDED, UNKNOWN, YOURS, Translation, Verdict
from claude_gatewayd.errors import GatewayError

KEY_SPECS = {(key.section, key.name): key for key in KEYS}


@dataclass(slots=True)
class MigratedConfig:
    """What a configuration comes to: values of config.toml by (section, name), and what LiteLLM goes on with.

    *secrets* are variables for the file that the service gets its environment from. *database_url* is the proxy's
    PostgreSQL, "" if it has none.
    """

    values: dict[tuple[str, str], Any] = field(default_factory=dict)
    models: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    translations: list[Translation] = field(default_factory=list)
    database_url: str = field(default="", repr=False)

    @property
    def litellm(self) -> dict[str, Any]:
        """Return the configuration that is left for LiteLLM, empty if nothing is."""
        left = {"model_list": self.models, "litellm_settings": self.settings}
        return {name: value for name, value in left.items() if value}


class Draft:
    """Takes over values, and reports each. *environ* has the variables of the file itself as well."""

    def __init__(self, document: LiteLLMDocument, environ: Mapping[str, str]) -> None:
        self.document = document
        self.environ = environ
        self.migrated = MigratedConfig()
        self._alias_places: dict[str, YamlPath] = {}

    def note(self, place: YamlPath, verdict: Verdict, explanation: str, item: str = "") -> None:
        """Report what became of a place in the file."""
        name = item or ".".join(str(part) for part in place if not isinstance(part, int))
        self.migrated.translations.append(Translation(self.document.line(*place), name, verdict, explanation))

    def note_reserved(self, place: YamlPath, key: ReservedKey) -> None:
        """Report a key that LiteLLM does not get."""
        # What belongs into config.toml has been moved there, unless there is nothing like it.
        self.note(place, UNKNOWN if key.by == "config.toml" else key.by, key.reason)

    def value(self, place: YamlPath, section: str, name: str, raw: Any, what: str = "", *, but: str = "") -> None:
        """Take over one value, if config.toml takes it, and nothing else has been named before.

        *but* is how it differs here: then it is not reported as carried over.
        """
        shown = f"[{section}] {name}"
        if raw is None:
            self.note(place, NOT_NEEDED, "it is empty, and sets nothing", what)
            return
        found = references.resolve(raw, self.environ)
        if found.unset:
            hint = f"claude-gatewayctl config set {section}.{name} VALUE"
            self.note(place, YOURS, f"{found.unset} is not set here: {hint}", what)
            return
        try:
            value = as_written(section, name, found.value)
        except GatewayError as error:
            self.note(place, UNKNOWN, f"{shown} {error.message}", what)
            return
        before = self.migrated.values.get((section, name))
        if before is not None and before != value:
            hint = f"claude-gatewayctl config set {section}.{name} {value} chooses this one"
            self.note(place, YOURS, f"the gateway has one {shown}, {before} by an earlier line: {hint}", what)
            return
        self.migrated.values[section, name] = value
        shown_value = (
            f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else value
        )
        explanation = f"{shown} = {shown_value}{f': {but}' if but else ''}"
        self.note(place, CHANGED if but else CARRIED, explanation, what)

    def alias(self, name: str, model: str, place: YamlPath) -> None:
        """Let a name stand for a model."""
        name = routing_name(name)
        if name != model:
            self.migrated.values["aliases", name] = model
            self._alias_places[name] = place

    def straighten_aliases(self) -> None:
        """Let no alias lead to another, which config.toml does not take."""
        values = self.migrated.values
        aliases = {name: model for (section, name), model in values.items() if section == "aliases"}
        for name, model in aliases.items():
            if model not in aliases:
                continue
            last = aliases[model]
            if last in aliases or last == name:
                del values["aliases", name]
                explanation = f"it leads to {model}, which is an alias as well: it is left out"
                self.note(self._alias_places[name], UNKNOWN, explanation, name)
            else:
                values["aliases", name] = last
                explanation = f'[aliases] {name} = "{last}": {model} is an alias as well'
                self.note(self._alias_places[name], CHANGED, explanation, name)


def as_written(section: str, name: str, raw: Any) -> Any:
    """Return a value as config.toml takes it: in YAML a number may be in quotes, a name not. Raises GatewayError."""
    key = KEY_SPECS[section, name]
    value: Any = raw
    if isinstance(raw, str):
        value = key.from_text(raw.strip())
    elif isinstance(raw, int | float) and not isinstance(raw, bool) and key.example.startswith('"'):
        value = str(raw)
    elif isinstance(raw, float) and raw.is_integer():
        value = int(raw)
    key.read(value)
    return value
