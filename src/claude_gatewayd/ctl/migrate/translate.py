"""What each line of a LiteLLM proxy's configuration comes to here. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.config.keys import KEYS, NAMES
from claude_gatewayd.config.model import Bedrock, Config
from claude_gatewayd.ctl.migrate.document import Document
from claude_gatewayd.errors import GatewayError

Verdict = Literal["carried over", "built in", "not needed", "yours to do", "not understood"]
CARRIED, BUILT_IN, NOT_NEEDED, YOURS, UNKNOWN = Verdict.__args__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one thing: the line and the name that it has in the old file."""

    line: int
    what: str
    verdict: Verdict
    says: str


@dataclass(slots=True)
class Moved:
    """What a configuration comes to: values of config.toml by (section, name), and what LiteLLM goes on with."""

    values: dict[tuple[str, str], Any] = field(default_factory=dict)
    models: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)

    @property
    def litellm(self) -> dict[str, Any]:
        """Return the configuration that is left for LiteLLM, empty if nothing is."""
        left = {"model_list": self.models, "litellm_settings": self.settings}
        return {name: value for name, value in left.items() if value}


_KEYS = {(key.section, key.name): key for key in KEYS}
_ROUTER = ("num_retries", "timeout", "allowed_fails", "cooldown_time", "retry_after")
_ROUTER_ELSEWHERE = {"request_timeout": "timeout", "num_retries": "num_retries", "allowed_fails": "allowed_fails",
                     "cooldown_time": "cooldown_time", "retry_after": "retry_after"}  # fmt: skip
_NO_CHOICE = "there is one Anthropic and one Bedrock: nothing to choose between"
_ROUTER_NOT_NEEDED = {
    "routing_strategy": _NO_CHOICE,
    "routing_strategy_args": _NO_CHOICE,
    "enable_pre_call_checks": "Anthropic judges requests itself",
    "redis_host": "the circuit is kept in the daemon",
    "redis_port": "the circuit is kept in the daemon",
    "redis_password": "the circuit is kept in the daemon",
    "redis_url": "the circuit is kept in the daemon",
}
_NO_DATABASE = "the gateway needs no database, and no PostgreSQL container"
_GENERAL = {
    "master_key": (NOT_NEEDED, "callers bring their own credential; unset ANTHROPIC_AUTH_TOKEN if it holds this key"),
    "custom_auth": (BUILT_IN, "callers are known by their own credential, which Anthropic judges"),
    "database_url": (NOT_NEEDED, _NO_DATABASE),
    "store_model_in_db": (NOT_NEEDED, _NO_DATABASE),
    "forward_client_headers_to_llm_api": (BUILT_IN, "all headers go to Anthropic as they came"),
    "disable_spend_logs": (NOT_NEEDED, _NO_DATABASE),
    "background_health_checks": (NOT_NEEDED, "claude-gatewayctl health asks nobody, and costs nothing"),
    "health_check_interval": (NOT_NEEDED, "claude-gatewayctl health asks nobody, and costs nothing"),
}
_VARIABLES = {"AWS_PROFILE": ("bedrock", "profile"), "AWS_REGION": ("bedrock", "region"),
              "AWS_DEFAULT_REGION": ("bedrock", "region"), "LITELLM_PORT": ("listen", "port")}  # fmt: skip
_AWS = {"aws_profile_name": "profile", "aws_region_name": "region", "aws_bedrock_runtime_endpoint": "runtime_endpoint",
        "timeout": "timeout"}  # fmt: skip
_AWS_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_NOT_CACHED = "one caller's answer would be given to another; prompts of Claude's models are cached without it"
_SETTINGS = {
    "cache": (NOT_NEEDED, _NOT_CACHED),
    "cache_params": (NOT_NEEDED, _NOT_CACHED),
    "enable_redis_auth_cache": (NOT_NEEDED, _NOT_CACHED),
    "enable_anthropic_prompt_caching": (BUILT_IN, "Claude Code says itself what is to be cached"),
    "anthropic_sse_ping_interval_seconds": (BUILT_IN, "the silences of a stream are broken by pings"),
    "sse_keepalive_ping_interval_seconds": (BUILT_IN, "the silences of a stream are broken by pings"),
    "ssl_verify": (YOURS, "certificates are always checked; name your company's CA by [network] ca_file"),
} | dict.fromkeys(
    ("api_base", "api_key", "api_version", "organization", "headers", "model_alias_map"),
    (YOURS, "give it to the entries of model_list: here it would go for Claude's models too"),
)
_NO_OTHER_WAY = "only Bedrock stands in, and only when Anthropic cannot: see [router]"
_FALLBACKS = ("default_fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "disable_cooldowns",
              "num_retries_per_request")  # fmt: skip
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}/")


class _Translation:
    def __init__(self, document: Document, environ: Mapping[str, str], source_of: Callable[[str], str | None]) -> None:
        self._document = document
        self._environ = environ
        self._source_of = source_of
        self._bedrock: dict[str, str] = {}  # model_name -> what Bedrock is asked for
        self.moved = Moved()

    def tell(self, place: tuple[str | int, ...], verdict: Verdict, says: str, what: str = "") -> None:
        named = what or ".".join(str(part) for part in place if not isinstance(part, int))
        self.moved.told.append(Told(self._document.line(*place), named, verdict, says))

    def whole(self) -> None:
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
                self.tell((name,), UNKNOWN, f"it must be a {'list' if wanted is list else 'mapping'}")
        for name, read in sections.items():  # models first: fallbacks name them
            value = self._document.values.get(name)
            if isinstance(value, dict) and name != "model_list":
                read({str(key): inner for key, inner in value.items()})
            elif isinstance(value, list) and name == "model_list":
                read(value)
        for name in self._document.values:
            if name not in sections:
                self.tell((str(name),), UNKNOWN, "it is left where it is, and not used")
        self.moved.told += [
            Told(line, what, UNKNOWN, f"{why}: it is left out") for line, what, why in self._document.left_out
        ]
        # what an anchor says in several places is told once
        self.moved.told = sorted(dict.fromkeys(self.moved.told), key=lambda told: told.line)

    # -- model_list

    def _models(self, entries: list[Any]) -> None:
        for index, entry in enumerate(entries):
            place = ("model_list", index)
            params = entry.get("litellm_params") if isinstance(entry, dict) else None
            name = entry.get("model_name") if isinstance(entry, dict) else None
            model = params.get("model") if isinstance(params, dict) else None
            if not isinstance(name, str) or not isinstance(params, dict) or not isinstance(model, str):
                self.tell(place, UNKNOWN, "it has no model_name, or no litellm_params.model", "model_list entry")
            elif model.startswith("bedrock/"):
                self._bedrock_model(place, name, model, params, entry)
            elif model.startswith("anthropic/") or (model.startswith("claude-") and "/" not in model):
                self._anthropic_model(place, name, model.removeprefix("anthropic/"), params)
            else:
                self._for_litellm(place, name, model, entry)

    def _for_litellm(self, place: tuple[str | int, ...], name: str, model: str, entry: dict[str, Any]) -> None:
        if name.startswith("claude-") or "*" in name or "bedrock/" in name or bedrock_models.is_forced(name):
            self.tell(
                place, UNKNOWN, f"{model} cannot stand under this name, which is the gateway's own: rename it", name
            )
        else:
            self.moved.models.append(entry)
            self.tell(place, CARRIED, f"LiteLLM goes on to serve it ({model})", name)

    def _anthropic_model(self, place: tuple[str | int, ...], name: str, model: str, params: dict[str, Any]) -> None:
        if "*" in name or "*" in model or name == model:
            self.tell(
                place, BUILT_IN, "Claude's models go to Anthropic as they are asked for, each and every one", name
            )
        else:
            self.moved.values["aliases", name] = model
            self.tell(place, CARRIED, f'[aliases] {name} = "{model}"', name)
        for key, value in _texts(params):
            where = (*place, "litellm_params", key)
            if key == "api_key":
                self.tell(
                    where, NOT_NEEDED, "each caller's own credential goes to Anthropic, and no key of a proxy", key
                )
            elif key == "api_base":
                self._value(where, "anthropic", "base_url", value, key)
            elif "timeout" in key:
                self.tell(where, NOT_NEEDED, "see first_byte_timeout and response_timeout in [anthropic]", key)
            elif key != "model":
                self.tell(where, NOT_NEEDED, "requests to Anthropic stay as they came", key)

    def _bedrock_model(
        self, place: tuple[str | int, ...], name: str, model: str, params: dict[str, Any], entry: dict[str, Any]
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
        region = self.moved.values.get(("bedrock", "region"), Bedrock().region)
        known = bedrock_models.find(stem, str(region))
        if known is not None and known.model == there:
            self.tell(place, BUILT_IN, f"the gateway knows it as {there}", name)
        else:
            self.moved.values["bedrock.models", stem] = there
            self.tell(place, CARRIED, f'[bedrock.models] {stem} = "{there}"', name)

    def _bedrock_param(self, where: tuple[str | int, ...], key: str, value: Any) -> None:
        if key in _AWS:
            self._value(where, "bedrock", _AWS[key], value, key)
        elif key in _AWS_KEYS and str(value).startswith("os.environ/AWS_"):
            self.tell(where, BUILT_IN, "AWS keys of the environment are used as they are", key)
        elif key in _AWS_KEYS:
            hint = "keys do not belong into a file like this: aws configure --profile NAME, then [bedrock] profile"
            self.tell(where, YOURS, hint, key)
        elif key in ("aws_role_name", "aws_session_name", "aws_web_identity_token"):
            hint = "make it a profile in ~/.aws/config (role_arn, source_profile), then [bedrock] profile"
            self.tell(where, YOURS, hint, key)
        elif key not in ("model",):
            self.tell(where, NOT_NEEDED, "Bedrock gets what Claude Code itself would send there", key)

    # -- the settings

    def _router(self, settings: dict[str, Any]) -> None:
        for key, value in settings.items():
            where = ("router_settings", key)
            if key in _ROUTER:
                self._value(where, "router", key, value)
            elif key == "fallbacks":
                self._fallbacks(where, value)
            elif key == "model_group_alias" and isinstance(value, dict):
                for name, model in value.items():
                    self.moved.values["aliases", str(name)] = str(model)
                    self.tell((*where, name), CARRIED, f'[aliases] {name} = "{model}"')
            elif key in _ROUTER_NOT_NEEDED:
                self.tell(where, NOT_NEEDED, _ROUTER_NOT_NEEDED[key])
            elif key in _FALLBACKS:
                self.tell(where, UNKNOWN, _NO_OTHER_WAY)
            else:
                self.tell(where, UNKNOWN, "there is nothing like it in [router]")

    def _settings(self, settings: dict[str, Any]) -> None:
        for key, value in settings.items():
            where = ("litellm_settings", key)
            if key in _ROUTER_ELSEWHERE:
                self._value(where, "router", _ROUTER_ELSEWHERE[key], value)
            elif key == "fallbacks":
                self._fallbacks(where, value)
            elif key in _FALLBACKS:
                self.tell(where, UNKNOWN, _NO_OTHER_WAY)
            elif key in ("callbacks", "success_callback", "failure_callback"):
                self._callbacks(where, key, value)
            elif key in ("custom_auth", "master_key", "database_url"):
                self.tell(where, *_GENERAL[key])
            elif key in _SETTINGS:
                self.tell(where, *_SETTINGS[key])
            elif key == "set_verbose" and value:
                self._value(where, "log", "level", "debug")
            elif key in ("set_verbose", "json_logs"):
                self.tell(where, NOT_NEEDED, "[log] level says how much is logged")
            else:
                self.moved.settings[key] = value
                self.tell(where, CARRIED, "LiteLLM goes on with it; requests to Anthropic do not pass through LiteLLM")

    def _general(self, settings: dict[str, Any]) -> None:
        for key, value in settings.items():
            where = ("general_settings", key)
            if key in _GENERAL:
                self.tell(where, *_GENERAL[key])
            elif key.startswith("database"):
                self.tell(where, NOT_NEEDED, _NO_DATABASE)
            else:
                self.tell(where, UNKNOWN, f"there is nothing like it here{': it is off' if value is False else ''}")

    def _variables(self, variables: dict[str, Any]) -> None:
        for name, value in variables.items():
            where = ("environment_variables", name)
            if name in _VARIABLES:
                self._value(where, *_VARIABLES[name], value)
            elif name.startswith("DATABASE_"):
                self.tell(where, NOT_NEEDED, _NO_DATABASE)
            elif name.startswith("LITELLM_"):
                self.tell(where, NOT_NEEDED, "LiteLLM runs inside the daemon, which sets it up")
            else:
                self.tell(
                    where, YOURS, "set it where the daemon gets its environment; it is not written into config.toml"
                )

    def _fallbacks(self, where: tuple[str | int, ...], value: Any) -> None:
        for index, entry in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(entry, dict):
                self.tell((*where, index), UNKNOWN, "it must name a model and its fallbacks")
                continue
            for name, targets in entry.items():
                self._fallback((*where, index, str(name)), str(name), targets)

    def _fallback(self, where: tuple[str | int, ...], name: str, targets: Any) -> None:
        told = f"fallbacks.{name}"
        names = [str(target) for target in (targets if isinstance(targets, list) else [targets])]
        there = [self._bedrock.get(t) or (t.removesuffix("-bedrock") if t.endswith("-bedrock") else "") for t in names]
        lost = [target for target, found in zip(names, there, strict=True) if not found]
        if lost:
            self.tell(where, UNKNOWN, f"{', '.join(lost)}: only models of Bedrock stand in for Anthropic's", told)
        wanted = [found for found in there if found]
        if "*" in name:
            self.tell(
                where,
                UNKNOWN,
                "write an entry in [router.fallbacks] for each model; without one, the same is asked",
                told,
            )
        elif wanted == [name]:
            self.tell(
                where, BUILT_IN, "each model of Anthropic's falls back to the same one at Bedrock", f"fallbacks.{name}"
            )
        elif wanted:
            self.moved.values["router.fallbacks", name] = wanted
            quoted = ", ".join(f'"{one}"' for one in wanted)
            self.tell(where, CARRIED, f"[router.fallbacks] {name} = [{quoted}]", told)

    def _callbacks(self, where: tuple[str | int, ...], key: str, value: Any) -> None:
        kept = []
        names = value if isinstance(value, list) else [value]
        for index, name in enumerate(names):
            place = (*where, index) if isinstance(value, list) else where
            source = self._source_of(str(name)) if isinstance(name, str) and "." in name else ""
            if not isinstance(name, str):
                self.tell(place, UNKNOWN, "it must be a text: module.object", key)
            elif source is None:
                self.tell(place, UNKNOWN, "there is no such module beside the file", f"{key} {name}")
            elif passes_tokens_on(source):
                says = "it hands the caller's token to LiteLLM; here it goes straight to Anthropic, and never to AWS"
                self.tell(place, BUILT_IN, says, f"{key} {name}")
            else:
                kept.append(name)
                how = "it is loaded from where it lies" if source else "it is one of LiteLLM's own"
                self.tell(
                    place, CARRIED, f"{how}; it sees what LiteLLM serves: Bedrock and the other models", f"{key} {name}"
                )
        if kept:
            self.moved.settings[key] = kept if isinstance(value, list) else kept[0]

    # -- values

    def _value(self, where: tuple[str | int, ...], section: str, name: str, raw: Any, what: str = "") -> None:
        """Take over one value, if config.toml takes it, and nothing else has been said before."""
        value = self._resolved(raw)
        shown = f"[{section}] {name}"
        if value is None:
            variable = str(raw).removeprefix("os.environ/")
            self.tell(
                where, YOURS, f"{variable} is not set here: claude-gatewayctl config set {section}.{name} VALUE", what
            )
            return
        if isinstance(raw, str) and raw.startswith("os.environ/"):
            value = _KEYS[section, name].from_text(str(value))
        try:
            _KEYS[section, name].read(value)
        except GatewayError as error:
            self.tell(where, UNKNOWN, f"{shown} {error.message}", what)
            return
        before = self.moved.values.get((section, name))
        if before is not None and before != value:
            self.tell(where, UNKNOWN, f"{shown} is {before} already, by a line before: the gateway has one", what)
            return
        self.moved.values[section, name] = value
        told = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else value
        self.tell(where, CARRIED, f"{shown} = {told}", what)

    def _resolved(self, raw: Any) -> Any:
        if isinstance(raw, str) and raw.startswith("os.environ/"):
            return self._environ.get(raw.removeprefix("os.environ/")) or None
        return raw


def translate(
    document: Document, environ: Mapping[str, str], source_of: Callable[[str], str | None] = lambda _: ""
) -> Moved:
    """Return what a configuration comes to.

    *source_of* returns the text of the module of a callback, None if there is none beside the file.
    """
    translation = _Translation(document, environ, source_of)
    translation.whole()
    return translation.moved


def _texts(params: Mapping[Any, Any]) -> Iterable[tuple[str, Any]]:
    return ((str(key), value) for key, value in params.items())


def passes_tokens_on(source: str) -> bool:
    """Say whether a callback is the usual one that hands the caller's token to LiteLLM, and does nothing else."""
    hooks = set(re.findall(r"def\s+((?:async_)?(?:pre|post|log|moderation)\w*)", source))
    hands_over = "raw_token" in source or re.search(r"""data\[["']api_key["']\]\s*=""", source) is not None
    return hands_over and hooks <= {"async_pre_call_hook", "async_pre_call_deployment_hook"}


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
