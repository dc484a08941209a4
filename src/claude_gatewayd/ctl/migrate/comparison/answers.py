"""What answers a name now, in the order in which the gateway chooses a lane (worker/gateway/gateway.py). Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from claude_gatewayd.anthropic.request import routing_name
from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.config.model import Config

Provider = Literal["anthropic", "bedrock", "litellm", ""]


class OwnModel(NamedTuple):
    """A model of [litellm] config.

    *needs_account*: only where there is an AWS account can it be answered. *unset* is the variable that has its key,
    if it is not set, *no_profile* the AWS profile that it names, if that does not exist.
    """

    model: str
    needs_account: bool = False
    unset: str = ""
    no_profile: str = ""


@dataclass(frozen=True, slots=True)
class NameAnswer:
    """Who answers a name, "" for nobody, and the model that is asked for; the rest is as for an own model."""

    provider: Provider
    model: str = ""
    needs_account: bool = False
    unset: str = ""
    no_profile: str = ""


def answer(name: str, config: Config, own_models: Mapping[str, OwnModel]) -> NameAnswer:
    """Return who answers *name*, if Bedrock is on. *own_models* are those of [litellm] config that have a route."""
    asked = routing_name(name)
    if "*" in asked:  # it stood for many names: only those of Claude are answered, whatever they are
        return NameAnswer("anthropic", asked) if asked.startswith("claude-") else NameAnswer("")
    model = config.aliases.get(asked, asked)
    settings = config.bedrock
    if bedrock_models.is_bedrock_only(model):
        target = bedrock_models.find(model, settings.region, settings.geography, settings.models)
        return NameAnswer("bedrock", target.model) if target is not None else NameAnswer("")
    if model in own_models and not bedrock_models.is_reserved(model):
        return NameAnswer("litellm", *own_models[model])
    return NameAnswer("anthropic", model) if bedrock_models.is_claude(model) else NameAnswer("")


def before(models: Collection[str]) -> Provider:
    """Return who answered a name, by the models that it stood for; the first of several."""
    first = next(iter(models), "")
    if first.startswith("bedrock/") or bedrock_models.is_bedrock_only(first):
        return "bedrock"
    if first.startswith("anthropic/") or bedrock_models.is_claude(first):
        return "anthropic"
    return "litellm"
