"""Where Claude Code goes: the table of all variables and settings that lead it elsewhere, or pin its models. Pure.

Read out of Claude Code 2.1.332. tests/scenarios/client/test_destinations.py finds names that are new in a later one,
and sees with the real client what the rows do.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from claude_gatewayd.bedrock import models
from claude_gatewayd.printable import one_line

# How it is judged, and what we do about it:
#   address     configure-claude and run write it
#   bedrock     the address in Bedrock mode: with --bedrock they write that one
#   provider    if true, elsewhere; configure-claude takes it out of the person's own settings, run turns it off
#   socket      likewise, if it is not empty
#   launcher    if true in the environment, settings.json cannot lead to the gateway; run turns it off
#   model       if it names a model as Bedrock or Vertex does, likewise as a provider
#   credential  sent in place of the subscription's login; only named
#   proxy       configure-claude and run write a NO_PROXY
#   endpoint    in managed settings, Claude Code does not start with a gateway; only named
#   mode        only named
Kind = Literal[
    "address", "bedrock", "provider", "socket", "launcher", "model", "credential", "proxy", "endpoint", "mode"
]

BASE_URL: Final = "ANTHROPIC_BASE_URL"
HEADERS: Final = "ANTHROPIC_CUSTOM_HEADERS"
USE_BEDROCK: Final = "CLAUDE_CODE_USE_BEDROCK"
BEDROCK_URL: Final = "ANTHROPIC_BEDROCK_BASE_URL"
SKIP_AUTH: Final = "CLAUDE_CODE_SKIP_BEDROCK_AUTH"  # it needs no AWS keys, and signs nothing
REGION: Final = "AWS_REGION"  # by which it chooses the prefix of its models; "us" without it (2.1.332)
BEDROCK_PATH: Final = "/bedrock"


class Row(NamedTuple):
    """A variable, or a setting at the top of settings.json; *why* is what it does to Claude Code."""

    name: str
    kind: Kind
    why: str
    is_setting: bool = False


_ANOTHER_CREDENTIAL: Final = "Claude Code sends it instead of your subscription login"
_PROXY: Final = "Claude Code uses this proxy even for 127.0.0.1; configure-claude writes a NO_PROXY that prevents it"

TABLE: Final = (
    Row(BASE_URL, "address", "it names another address"),
    Row(BEDROCK_URL, "bedrock", "it names another address for Bedrock mode"),
    Row(USE_BEDROCK, "provider", "Claude Code talks to Bedrock directly, not to the gateway"),
    Row("CLAUDE_CODE_USE_VERTEX", "provider", "Claude Code talks to Google Vertex, not to the gateway"),
    Row("CLAUDE_CODE_USE_FOUNDRY", "provider", "Claude Code talks to Microsoft Foundry, not to the gateway"),
    Row("CLAUDE_CODE_USE_MANTLE", "provider", "Claude Code talks to Bedrock directly, not to the gateway"),
    Row("CLAUDE_CODE_USE_ANTHROPIC_AWS", "provider",
        "Claude Code talks to Anthropic's platform on AWS, not to the gateway"),
    Row("CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD", "provider",
        "Claude Code talks to Anthropic on Google Cloud, not to the gateway"),
    Row("ANTHROPIC_UNIX_SOCKET", "socket", "Claude Code talks to a socket, not to the gateway"),
    Row("CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST", "launcher",
        "Claude Code ignores the gateway's address in settings.json: it obeys the program that started it"),
    Row("ANTHROPIC_MODEL", "model", "sends every turn"),
    Row("ANTHROPIC_DEFAULT_MODEL", "model", "sends every turn"),
    Row("ANTHROPIC_DEFAULT_OPUS_MODEL", "model", "sends every turn of Opus"),
    Row("ANTHROPIC_DEFAULT_SONNET_MODEL", "model", "sends every turn of Sonnet"),
    Row("ANTHROPIC_DEFAULT_HAIKU_MODEL", "model", "sends every turn of Haiku"),
    Row("ANTHROPIC_DEFAULT_FABLE_MODEL", "model", "sends every turn of Fable"),
    Row("ANTHROPIC_SMALL_FAST_MODEL", "model", "sends small requests"),
    Row("CLAUDE_CODE_SUBAGENT_MODEL", "model", "sends subagents"),
    Row("CLAUDE_CODE_WORKFLOW_SUBAGENT_MODEL", "model", "sends the subagents of workflows"),
    Row("CLAUDE_CODE_AUTO_MODE_MODEL", "model", "sends the checks of auto mode"),
    Row("CLAUDE_CODE_BG_CLASSIFIER_MODEL", "model", "sends the checks of background tasks"),
    Row("ANTHROPIC_AUTH_TOKEN", "credential", _ANOTHER_CREDENTIAL),
    Row("ANTHROPIC_API_KEY", "credential", _ANOTHER_CREDENTIAL),
    Row(HEADERS, "credential", _ANOTHER_CREDENTIAL),
    Row("ANTHROPIC_PROFILE", "credential",
        "Claude Code sends the credential of that profile instead of your subscription login"),
    Row("ANTHROPIC_FEDERATION_RULE_ID", "credential",
        "Claude Code signs in as a workload instead of with your subscription login"),
    *(Row(name, "proxy", _PROXY)
      for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")),
    Row("CLAUDE_CODE_TETHER_LIVE", "mode",
        "Claude Code sends only what is new in a conversation, and all of it once more when Bedrock steps in"),
    Row("CLAUDE_CODE_USE_GATEWAY", "mode",
        "with ANTHROPIC_AUTH_TOKEN, Claude Code leaves out what other gateways do not know, and this one does"),
    Row("_CLAUDE_CODE_ASSUME_FIRST_PARTY_BASE_URL", "mode",
        "it is undocumented, and can make each start 18 s longer while Anthropic is down"),
    Row("model", "model", "sends every turn", is_setting=True),
    Row("modelOverrides", "model", "sends every turn of some models", is_setting=True),
    Row("fallbackModel", "model", "sends what Anthropic is too busy for", is_setting=True),
    Row("advisorModel", "model", "sends what the advisor is asked", is_setting=True),
    Row("apiKeyHelper", "credential", "its key is sent instead of your subscription login", is_setting=True),
    Row("allowedProviders", "endpoint",
        'Claude Code starts with no gateway: the list needs "customEndpoint", and env the same ANTHROPIC_BASE_URL',
        is_setting=True),
    Row("forceLoginMethod", "mode", "the next sign-in is not one of a subscription", is_setting=True),
    Row("forceLoginGatewayUrl", "mode", "who signs in by it goes to that gateway, not to this one", is_setting=True),
)  # fmt: skip
# The front matter of an agent, a command or a skill, which has a model of its own.
FRONT_MATTER: Final = Row("model", "model", "sends its turns")
ROWS: Final = {row.name: row for row in TABLE}
VARIABLES: Final = tuple(row.name for row in TABLE if not row.is_setting)
SETTINGS: Final = tuple(row.name for row in TABLE if row.is_setting)
PROXIES: Final = tuple(row.name for row in TABLE if row.kind == "proxy")
SWITCHES: Final = tuple(row.name for row in TABLE if row.kind in ("provider", "socket", "launcher"))

_VERTEX = re.compile(r"\Aclaude-[^@]*@\d{8}(?:\[1m\])?\Z", re.ASCII)
_SHOWN = 100


def is_true(value: object) -> bool:
    """Say whether Claude Code takes a value for true: nothing else is, not even 2 (2.1.332). A shell's $X may be."""
    text = as_text(value).strip().lower()
    return text in ("1", "true", "yes", "on") or text.startswith("$")


def as_text(value: object) -> str:
    """Return a value of settings.json's `env` as the variable that it becomes."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def leads_to_bedrock_mode(values: Mapping[str, Any], url: str) -> bool:
    """Say whether variables lead Claude Code to the gateway at *url* in Bedrock mode."""
    return is_true(values.get(USE_BEDROCK)) and as_text(values.get(BEDROCK_URL)).rstrip("/") == url + BEDROCK_PATH


def address(values: Mapping[str, Any]) -> str:
    """Return the address of the gateway that variables name, "" for none."""
    for_bedrock = as_text(values.get(BEDROCK_URL)).rstrip("/")
    if is_true(values.get(USE_BEDROCK)) and for_bedrock.endswith(BEDROCK_PATH):
        return for_bedrock.removesuffix(BEDROCK_PATH)
    return as_text(values.get(BASE_URL))


def kept(row: Row, value: Any, *, bedrock: bool = False) -> Any:
    """Return what of a value may stay, None for nothing: all of it, unless it leads away from Anthropic.

    *bedrock*: Claude Code is to be in Bedrock mode, so that it is from the gateway that nothing may lead away.
    """
    if bedrock and row.name == USE_BEDROCK:
        return value
    match row.kind:
        case "provider" | "launcher":
            return None if is_true(value) else value
        case "socket":
            return None if as_text(value) else value
        case "model" if isinstance(value, dict):
            rest: Any = {name: model for name, model in value.items() if not is_foreign(model, bedrock=bedrock)}
        case "model" if isinstance(value, list):
            rest = [model for model in value if not is_foreign(model, bedrock=bedrock)]
        case "model":
            return None if is_foreign(value, bedrock=bedrock) else value
        case _:
            return value
    return value if rest == value else rest or None


def off(row: Row, value: Any, *, bedrock: bool = False) -> Any:
    """Return what `--settings` must say so that what leads away in *value* does not. Seen with 2.1.332."""
    if row.kind in ("provider", "launcher"):
        return "0"
    if isinstance(value, dict):  # what is left out of an override stands; the model itself takes it back
        return {name: name if is_foreign(model, bedrock=bedrock) else model for name, model in value.items()}
    return (kept(row, value, bedrock=bedrock) or []) if isinstance(value, list) else ""


def is_foreign(model: object, *, bedrock: bool = False) -> bool:
    """Say whether a model is named as only Bedrock or Vertex does. NAME-bedrock is ours, and asked for on purpose.

    In *bedrock* mode Bedrock's names are right; but Bedrock is asked for NAME-bedrock as it stands, and has none.
    """
    if not isinstance(model, str):
        return False
    name = model.strip()
    if _VERTEX.match(name):
        return True
    return models.is_bedrock_only(name) and not models.is_native(name) if bedrock else models.is_native(name)


def models_elsewhere(row: Row, value: Any, *, bedrock: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield why each model that a value names is not Anthropic's to answer, and whether that looks like a mistake.

    In *bedrock* mode: why it is not Bedrock's.
    """
    for model in _models(value):
        shown = one_line(model)[:_SHOWN]
        if _VERTEX.match(model):
            whose = "Bedrock" if bedrock else "Anthropic"
            yield f"{row.why} under a name of Google Vertex's, which {whose} does not know: {shown}", True
        elif bedrock:
            if is_foreign(model, bedrock=True):
                yield f"{row.why} under a name that is the gateway's, which Bedrock does not know: {shown}", True
        elif models.is_bedrock_only(model):
            why = f"{row.why} to Bedrock, which AWS bills, even while Anthropic answers: {shown}"
            yield why, models.is_native(model)


def names_bedrock(value: Any) -> bool:
    """Say whether a value names a model by its id or ARN at Bedrock."""
    return any(map(models.is_native, _models(value)))


def _models(value: Any) -> list[str]:
    given = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
    return [one.strip() for one in given if isinstance(one, str)]
