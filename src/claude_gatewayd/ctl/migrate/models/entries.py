"""The entries of model_list: who answers each, and with what of its own. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from claude_gatewayd.anthropic.request import routing_name
from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.ctl.migrate import known_keys, references
from claude_gatewayd.ctl.migrate.document import YamlPath
from claude_gatewayd.ctl.migrate.translation import UNKNOWN, YOURS, Verdict

_ROUTE: Final = re.compile(r"\A(?:converse|invoke|converse_like)/")
_REGION: Final = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}/")
_VERSION: Final = re.compile(r"-v\d+(?::\d+)?\Z", re.ASCII)
_ANTHROPIC_ITSELF: Final = "api.anthropic.com"
_NO_MODEL: Final = "it has no model_name, or no litellm_params.model"


class Unusable(NamedTuple):
    """Why an entry is not used."""

    name: str
    verdict: Verdict
    explanation: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. *params* are its litellm_params with those of its credential, *rest* what it has beside them.

    *there* is what Bedrock is asked for, *claude* the Claude model behind that, "" if the id does not say; *region* is
    the one that the model's name has in it.
    """

    place: YamlPath
    name: str
    model: str
    params: Mapping[str, Any]
    rest: Mapping[str, Any]
    answered_by: Literal["anthropic", "bedrock", "litellm"]
    there: str = ""
    claude: str = ""
    region: str = ""

    @property
    def asked(self) -> str:
        """Return the name that requests are routed by: without Claude Code's mark for a long context."""
        return routing_name(self.name)

    @property
    def stem(self) -> str:
        """Return the name without the mark for Bedrock."""
        return self.asked.removesuffix(bedrock_models.BEDROCK_SUFFIX)

    @property
    def own(self) -> Sequence[str]:
        """Return the parameters that hold for this entry alone: neither [bedrock] nor the lane has them."""
        return [key for key, value in self.params.items() if not _is_shared(key, value)]

    @property
    def credentials(self) -> tuple[str, str]:
        """Return what the entry signs with: the kind, and its name or value; ("", "") if it names none."""
        if self.params.get("api_key"):
            return "api_key", str(self.params["api_key"])
        if self.params.get("aws_access_key_id"):
            return "aws_access_key_id", str(self.params["aws_access_key_id"])
        profile = self.params.get("aws_profile_name")
        return ("aws_profile_name", str(profile)) if profile else ("", "")


def read(index: int, raw: Any, credentials: Mapping[str, Any], environ: Mapping[str, str]) -> Entry | Unusable:
    """Read one entry; *credentials* are those of credential_list, by name."""
    name = raw.get("model_name") if isinstance(raw, dict) else None
    params = raw.get("litellm_params") if isinstance(raw, dict) else None
    if isinstance(name, bool | date):
        return Unusable("model_list entry", UNKNOWN, f"YAML reads its model_name as {str(name).lower()}: quote it")
    if isinstance(name, int | float):
        name = str(name)
    if not isinstance(name, str) or not isinstance(params, dict) or not isinstance(params.get("model"), str):
        return Unusable("model_list entry", UNKNOWN, _NO_MODEL)
    for text in (name, params["model"]):
        if missing := references.resolve(text, environ).unset:
            return Unusable(name, YOURS, f"{missing} is not set here: export it, and import again")
    name, model = (str(references.resolve(text, environ).value) for text in (name, params["model"]))
    if credential := params.get("litellm_credential_name"):
        credential = str(credential)
        if credential not in credentials:
            return Unusable(name, UNKNOWN, f"credential_list has no {credential}")
        params = {**credentials[credential], **{k: v for k, v in params.items() if k != "litellm_credential_name"}}
    params = {str(key): value for key, value in params.items() if value is not None} | {"model": model}
    rest = {str(key): value for key, value in raw.items() if key not in ("model_name", "litellm_params")}
    return _sorted(Entry(("model_list", index), name, model, params, rest, "litellm"), environ)


def _sorted(entry: Entry, environ: Mapping[str, str]) -> Entry:
    """Return an entry with who answers it."""
    model, params = entry.model, entry.params
    is_native = bedrock_models.is_bedrock_only(model) and not model.startswith("claude-")
    if model.startswith("bedrock/") or is_native or params.get("custom_llm_provider") == "bedrock":
        there = _ROUTE.sub("", model.removeprefix("bedrock/"))
        in_path = _REGION.match(there)
        there = there[in_path.end() :] if in_path else there
        claude = claude_behind(there, entry.stem, _base_model(entry))
        if claude is None:
            return entry
        region = in_path[0].rstrip("/") if in_path else there.split(":")[3] if there.count(":") > 4 else ""
        return _with(entry, "bedrock", there=there, claude=claude, region=region)
    provider = params.get("custom_llm_provider", "anthropic")
    if model.startswith("anthropic/") or (model.startswith("claude-") and "/" not in model and provider == "anthropic"):
        base = params.get("api_base")
        elsewhere = not is_anthropic_itself(references.resolve(base, environ).value if base else base)
        # A key of its own for a server of its own: neither may meet the callers' credentials.
        if not elsewhere or (entry.name.startswith(("claude-", "*")) and "api_key" not in params):
            return _with(entry, "anthropic")
    return entry


def _with(entry: Entry, answered_by: Literal["anthropic", "bedrock"], **fields: str) -> Entry:
    params, rest = entry.params, entry.rest
    return Entry(entry.place, entry.name, entry.model, params, rest, answered_by, **fields)


def _base_model(entry: Entry) -> str:
    info = entry.rest.get("model_info")
    return str(entry.params.get("base_model") or (info.get("base_model") if isinstance(info, dict) else None) or "")


def claude_behind(there: str, stem: str, base_model: str = "") -> str | None:
    """Return the Claude model behind an id or an ARN; "" if nothing says which one, None if it is not one of Claude's.

    The ARN of a profile or of provisioned capacity does not name its model: base_model does, or the entry's name.
    """
    last = there.rpartition("/")[2]
    if "claude" in last:
        return called(there) if bedrock_models.is_bedrock_only(there) else ""
    if not there.startswith("arn:") or "." in last:
        return None
    if base_model:
        return called(base_model.rpartition("/")[2]) if "claude" in base_model else None
    if not stem.startswith("claude-"):
        return None
    return "" if stem in bedrock_models.ALIASES else called(stem)


def called(name: str) -> str:
    """Return what a model is called, whatever the form; "" if it is none of Anthropic's."""
    target = bedrock_models.find(name, "us-east-1")
    return target.name if target is not None else ""


def is_anthropic_itself(base: Any) -> bool:
    """Return whether an api_base is Anthropic's own, as it is where there is none."""
    return base in (None, "") or urlsplit(str(base)).hostname == _ANTHROPIC_ITSELF


def dated(there: str) -> str:
    """Return Anthropic's name for an id of Bedrock's, with its date; "" for an ARN."""
    return "" if there.startswith("arn:") else _VERSION.sub("", there.rpartition("anthropic.")[2])


def _is_shared(key: str, value: Any) -> bool:
    if key in known_keys.AWS_KEYS:
        return bool(value == known_keys.AWS_KEYS[key])
    if key in ("model", "api_key", *known_keys.AWS_PARAMS):
        return True
    return (
        key in known_keys.WITHOUT_EFFECT or key in known_keys.OF_THE_ROUTER or "_cost_per_" in key or "timeout" in key
    )
