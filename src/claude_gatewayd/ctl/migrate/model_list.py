"""What becomes of model_list: who answers each name, and which entries [bedrock] is taken from. Pure.

A name that Anthropic answered is Anthropic's, and Bedrock's entries stand in for it. A name that Bedrock alone answered
becomes an alias of a model that only Bedrock is asked for. Whatever has credentials, guardrails or limits of its own
stays with LiteLLM as it is, under a name that is free, and the old name becomes an alias of that.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.bedrock.models import BEDROCK_SUFFIX
from claude_gatewayd.config.model import Bedrock
from claude_gatewayd.ctl.migrate import entries, known_keys, references
from claude_gatewayd.ctl.migrate.draft import Draft
from claude_gatewayd.ctl.migrate.entries import Entry
from claude_gatewayd.ctl.migrate.translation import BUILT_IN, CARRIED, CHANGED, NOT_NEEDED, UNKNOWN, YOURS

BEARER: Final = "AWS_BEARER_TOKEN_BEDROCK"
_PLACES = {"aws_profile_name": "profile", "aws_region_name": "region", "aws_bedrock_runtime_endpoint": "endpoint"}


class ModelList:
    """The entries, and what the gateway calls each name of the file.

    *called* has the model that a name stands for now. *at_bedrock* has the model to name in [router.fallbacks] for one
    that Bedrock answers. *with_litellm* are the names that LiteLLM answers.
    """

    def __init__(self, draft: Draft, targets: Collection[str]) -> None:
        self._draft = draft
        self._targets = targets  # names that stand in for a Claude model
        self._groups: dict[str, list[Entry]] = {}
        self._overrides: dict[str, tuple[str, str]] = {}  # a model -> its key in [bedrock.models], and its id
        self._as_mapped: dict[str, str] = {}  # a model -> its id, which needs no override
        self._signs: tuple[str, str] = ("", "")
        self._taken: dict[str, str] = {}
        self.called: dict[str, str] = {}
        self.at_bedrock: dict[str, str] = {}
        self.with_litellm: set[str] = set()
        self.names_profile = False  # an entry that [bedrock] is taken from does

    @property
    def asks_anthropic(self) -> bool:
        """Return whether Anthropic answers any name of the file."""
        return any(_anthropic(group) for group in self._groups.values())

    @property
    def shares_names(self) -> bool:
        """Return whether LiteLLM chooses between several entries of a name."""
        return any(len(self._groups[name]) > 1 for name in self.with_litellm)

    def read(self, raw_entries: list[Any], credentials: Mapping[str, Any]) -> None:
        """Decide about all entries, and report each."""
        for index, raw in enumerate(raw_entries):
            entry = entries.read(index, raw, credentials, self._draft.environ)
            if isinstance(entry, Entry):
                self._groups.setdefault(entry.name, []).append(entry)
            else:
                self._draft.note(("model_list", index), entry.verdict, entry.explanation, entry.name)
        of_anthropic = [name for name, group in self._groups.items() if _anthropic(group)]
        for name in of_anthropic:
            self._to_anthropic(name, self._groups[name])
        standing_in = [
            entry
            for name, group in self._groups.items()
            for entry in group
            if entry.answered_by == "bedrock"
            and (name in of_anthropic or name in self._targets or name.endswith(BEDROCK_SUFFIX))
        ]
        others = [group for name, group in self._groups.items() if name not in of_anthropic]
        alone = [group[0] for group in others if len(group) == 1 and _is_for_lane(group[0])]
        # Those that stand in for Anthropic's models come first: only [bedrock] has an account for them.
        lane = [e for e in (*standing_in, *(e for e in alone if e not in standing_in)) if self._joins(e, alone)]
        for entry in standing_in:
            self._stand_in(entry, is_reported=entry in lane and entry in alone)
        for group in others:
            entry = group[0]
            if not (entry in lane and entry in alone and self._to_bedrock(entry)):
                self._to_litellm(entry.name, group)
        for name in of_anthropic:
            self._report_others(name, lane)
            self._stand_in_for_same_name(name)
        for key, there in self._overrides.values():
            self._draft.migrated.values["bedrock.models", key] = there

    # -- Anthropic

    def _to_anthropic(self, name: str, group: list[Entry]) -> None:
        draft, first = self._draft, _anthropic(group)[0]
        model = first.model.removeprefix("anthropic/")
        if "*" in name or "*" in model or name == model:
            explanation = "every Claude model goes to Anthropic under the name requested"
            draft.note(first.place, BUILT_IN, explanation, name)
        else:
            draft.alias(name, model, first.place)
            draft.note(first.place, CARRIED, f'[aliases] {name} = "{model}"', name)
        self.called[name] = name if "*" in name or "*" in model else model
        for entry in _anthropic(group):
            self._anthropic_params(entry)

    def _report_others(self, name: str, lane: list[Entry]) -> None:
        """Report the other entries of a name that Anthropic answers."""
        group = self._groups[name]
        for entry in group:
            if entry is not _anthropic(group)[0]:
                then = ", and Bedrock when it cannot" if entry in lane else ": this one is not used"
                explanation = f"the proxy spread requests over its entries; here Anthropic is asked first{then}"
                self._draft.note(entry.place, CHANGED, explanation, name)

    def _anthropic_params(self, entry: Entry) -> None:
        draft = self._draft
        for key, value in entry.params.items():
            place = (*entry.place, "litellm_params", key)
            if key == "api_key":
                explanation = "each caller's own credential goes to Anthropic, and pays"
                draft.note(place, CHANGED, f"{explanation}: log in with claude, or set ANTHROPIC_API_KEY there", key)
            elif key == "api_base":
                draft.value(place, "anthropic", "base_url", value, key)
            elif "timeout" in key:
                draft.note(place, CHANGED, "here first_byte_timeout and response_timeout of [anthropic] count", key)
            elif key != "model":
                self._without_effect(entry, key, "requests to Anthropic pass as they come: set it in the client")

    def _without_effect(self, entry: Entry, key: str, otherwise: str) -> None:
        place = (*entry.place, "litellm_params", key)
        if key in known_keys.WITHOUT_EFFECT or "_cost_per_" in key:
            self._draft.note(
                place, NOT_NEEDED, known_keys.WITHOUT_EFFECT.get(key, "it does not change what is sent"), key
            )
        elif key in known_keys.LIMITS:
            explanation = "the gateway does not limit or weigh requests: the limits of your account apply"
            self._draft.note(place, CHANGED, explanation, key)
        else:
            self._draft.note(place, CHANGED, otherwise, key)

    # -- Bedrock

    def _joins(self, entry: Entry, alone: list[Entry]) -> bool:
        """Return whether [bedrock] is right for an entry; take over its values if it is the first."""
        if not entry.claude:
            return False
        values = {key: self._value_of(entry, key) for key in _PLACES}
        signs = entry.credentials
        others = [
            key for key, value in values.items() if value and (before := self._taken.get(key)) and before != value
        ]
        is_other = self._signs[0] and signs != self._signs
        if signs[0] and (is_other or self._is_other_bearer(signs)) and "aws_profile_name" not in others:
            others.append(signs[0])
        is_own = [key for key in entry.own if key in known_keys.OWN_CREDENTIALS]
        if others or entry.own:
            if entry in alone and not self._must_stand_in(entry):
                return False  # it stays with LiteLLM as it is
            self._report_differences(entry, others)
        self._take(entry, values, others, is_own)
        return not others and not entry.own

    def _is_other_bearer(self, signs: tuple[str, str]) -> bool:
        """Return whether this key would take the variable that another entry names."""
        variable = f"os.environ/{BEARER}"
        if signs[0] != "api_key" or signs[1] == variable:
            return False
        named = any(entry.credentials[1] == variable for group in self._groups.values() for entry in group)
        return named and references.resolve(signs[1], self._draft.environ).value != self._draft.environ.get(BEARER)

    def _must_stand_in(self, entry: Entry) -> bool:
        name = entry.name
        return name in self._targets or name.endswith(BEDROCK_SUFFIX) or bool(_anthropic(self._groups[name]))

    def _report_differences(self, entry: Entry, others: list[str]) -> None:
        """Put to the person what an entry has and [bedrock] has not."""
        for key in others:
            place = (*entry.place, "litellm_params", key)
            mine, name = self._value_of(entry, key), known_keys.AWS_PARAMS.get(key, key)
            hint = f"claude-gatewayctl config set bedrock.{name} {mine} chooses this one"
            if key in _PLACES:
                explanation = f"Bedrock stands in with one {name}, {self._taken[key]} by another entry: {hint}"
            else:
                explanation = "Bedrock stands in with one AWS account, and another entry names it: choose one"
            self._draft.note(place, YOURS, explanation, key)
        for key in entry.own:
            place = (*entry.place, "litellm_params", key)
            if key in others:
                continue
            if key in known_keys.OWN_CREDENTIALS:
                hint = "make it a profile in ~/.aws/config: claude-gatewayctl config set bedrock.profile NAME"
                explanation = f"Bedrock stands in for Anthropic without it: {hint}"
                self._draft.note(place, YOURS, explanation, key)
            else:
                explanation = "Bedrock stands in for Anthropic without it"
                self._draft.note(place, CHANGED, explanation, key)

    def _take(self, entry: Entry, values: Mapping[str, str], others: list[str], is_own: list[str]) -> None:
        draft = self._draft
        self.names_profile |= "aws_profile_name" in entry.params
        for key in entry.params:
            place = (*entry.place, "litellm_params", key)
            raw = entry.params[key]
            if key in others or key in entry.own:
                continue
            if key in _PLACES and not (is_own and key == "aws_profile_name"):
                draft.value(place, "bedrock", known_keys.AWS_PARAMS[key], raw, key)
                if values[key]:
                    self._taken[key] = values[key]
            elif key == "timeout":
                draft.value(place, "bedrock", "timeout", raw, key)
            elif key == "api_key":
                self._bearer(place, raw)
            elif key in known_keys.AWS_KEYS:
                draft.note(place, BUILT_IN, "AWS keys in the environment are used as they are", key)
            elif "timeout" in key:
                draft.note(place, CHANGED, "here [bedrock] timeout counts: how long Bedrock may be silent", key)
            elif key not in ("model", "aws_profile_name"):
                self._without_effect(entry, key, "Bedrock gets what Claude Code itself would send it")
        if entry.region and not entry.params.get("aws_region_name") and "aws_region_name" not in others:
            draft.value((*entry.place, "litellm_params", "model"), "bedrock", "region", entry.region, "model")
            self._taken["aws_region_name"] = entry.region
        if entry.credentials[0] and not self._signs[0] and not is_own and not others:
            self._signs = entry.credentials

    def _bearer(self, place: tuple[str | int, ...], raw: Any) -> None:
        """Carry a Bedrock API key to where the service gets its environment."""
        found = references.resolve(raw, self._draft.environ)
        if found.unset:
            hint = f"export {BEARER}, then claude-gatewayctl install takes it over"
            self._draft.note(place, YOURS, f"{found.unset} is not set here: {hint}", "api_key")
            return
        self._draft.migrated.secrets[BEARER] = str(found.value)
        explanation = f"{BEARER} in the service's environment file; AWS SDKs take it before any profile"
        self._draft.note(place, CARRIED, explanation, "api_key")

    def _value_of(self, entry: Entry, key: str) -> str:
        if key == "aws_region_name" and not entry.params.get(key):
            return entry.region
        found = references.resolve(entry.params.get(key), self._draft.environ).value
        return "" if found is None else str(found)

    def _claim(self, entry: Entry) -> str:
        """Return the name that the lane asks an entry's model by; "" if the name means another id already."""
        if not entry.claude or not bedrock_models.is_bedrock_only(entry.there):
            return ""
        region = str(self._draft.migrated.values.get(("bedrock", "region"), Bedrock().region))
        is_open = bool(references.resolve(entry.params.get("aws_region_name"), self._draft.environ).unset)
        if (before := self._overrides.get(entry.claude)) is not None:
            return before[0] if before[1] == entry.there else ""
        stem = entry.stem if entries.called(entry.stem) == entry.claude else ""
        names = [
            name
            for name in (stem, entries.dated(entry.there), entry.claude)
            if name not in ("", *bedrock_models.ALIASES)
        ]
        for name in names if not is_open else ():
            target = bedrock_models.find(name, region)
            if target is not None and target.model == entry.there:
                self._as_mapped[entry.claude] = entry.there
                return name
        if entry.claude in self._as_mapped:
            return ""
        key = stem if names and names[0] == stem else entry.claude
        self._overrides[entry.claude] = key, entry.there
        return key

    def _stand_in(self, entry: Entry, *, is_reported: bool) -> None:
        is_new = entry.claude not in self._overrides
        if entry.name in self.at_bedrock:
            return  # the first one of a name stands in
        if claimed := self._claim(entry):
            self.at_bedrock[entry.name] = claimed
            if is_new and entry.claude in self._overrides and not is_reported:
                explanation = f'[bedrock.models] {claimed} = "{entry.there}": where Bedrock stands in'
                self._draft.note(entry.place, CARRIED, explanation, entry.name)
        elif entry.there and bedrock_models.is_bedrock_only(entry.there) and entry.claude not in self._overrides:
            self.at_bedrock[entry.name] = entry.there

    def _stand_in_for_same_name(self, name: str) -> None:
        """Name the Bedrock model that stands in under one name, if it is another than Anthropic's."""
        there, model = self.at_bedrock.get(name), self.called[name]
        if there and "*" not in model and entries.called(there) != entries.called(model):
            self._draft.migrated.values["router.fallbacks", model] = [there]
            place = next(entry.place for entry in self._groups[name] if entry.answered_by == "bedrock")
            self._draft.note(place, CARRIED, f'[router.fallbacks] {model} = ["{there}"]', name)

    def _to_bedrock(self, entry: Entry) -> bool:
        """Let the Bedrock lane alone answer a name; return False if it cannot."""
        draft, name = self._draft, entry.name
        if not bedrock_models.is_reserved(name) or "*" in name:
            return False
        claimed = self._claim(entry)
        if not claimed:
            return False
        by_override = entry.claude in self._overrides
        model = f"{claimed}{BEDROCK_SUFFIX}"
        said = f'[bedrock.models] {claimed} = "{entry.there}"' if by_override else ""
        if name == entry.there or name == model:
            self.called[name] = name
            built_in = f"the gateway already maps it to {entry.there}"
            draft.note(entry.place, CARRIED if said else BUILT_IN, said or built_in, name)
        else:
            draft.alias(name, model, entry.place)
            self.called[name] = model
            alias = f'[aliases] {name} = "{model}"'
            both = f"{alias}, {said}" if said else alias
            draft.note(entry.place, CARRIED, f"{both}: Bedrock alone answers, as before", name)
        self.at_bedrock[name] = claimed
        return True

    # -- LiteLLM

    def _to_litellm(self, name: str, group: list[Entry]) -> None:
        """Leave a name to LiteLLM, with all that its entries have."""
        draft = self._draft
        own = name
        if bedrock_models.is_reserved(name):
            if "*" in name or "bedrock/" in name:
                for entry in group:
                    explanation = f"{entry.model} cannot use this name, which the gateway reserves: rename it"
                    draft.note(entry.place, UNKNOWN, explanation, name)
                return
            own = f"litellm-{'bedrock-' * name.endswith(BEDROCK_SUFFIX)}{name.removesuffix(BEDROCK_SUFFIX)}"
            own = own.replace("[1m]", "-1m")
            draft.alias(name, own, group[0].place)
        self.called[name] = own
        self.with_litellm.add(name)
        for entry in group:
            params = references.for_litellm(entry.params, draft.environ)
            draft.migrated.models.append({"model_name": own, "litellm_params": params, **entry.rest})
            renamed = f', as [aliases] {name} = "{own}"' if own != name else ""
            draft.note(entry.place, CARRIED, f"LiteLLM still serves it ({entry.model}){renamed}", name)
            for key, value in entry.params.items():
                for variable in references.unset(value, draft.environ):
                    explanation = f"{variable} is not set here: export it, then claude-gatewayctl install takes it over"
                    draft.note((*entry.place, "litellm_params", key), YOURS, explanation, key)

    def report_shared_account(self) -> None:
        """Report the entries that name no credentials: here they get those of [bedrock]."""
        if not self._signs[0]:
            return
        profile = self._draft.migrated.values.get(("bedrock", "profile"))
        account = f"profile {profile}" if self._signs[0] == "aws_profile_name" else "AWS keys"
        for name, group in self._groups.items():
            for entry in group:
                is_bedrock = entry.answered_by == "bedrock" or entry.model.startswith("bedrock/")
                names_own = entry.credentials[0] or any(key in known_keys.OWN_CREDENTIALS for key in entry.own)
                if is_bedrock and not names_own:
                    explanation = f"it names no AWS credentials: here it gets the {account} of [bedrock]"
                    self._draft.note(entry.place, CHANGED, explanation, name)


def _anthropic(group: list[Entry]) -> list[Entry]:
    return [entry for entry in group if entry.answered_by == "anthropic"]


def _is_for_lane(entry: Entry) -> bool:
    return entry.answered_by == "bedrock" and bedrock_models.is_reserved(entry.name) and "*" not in entry.name
