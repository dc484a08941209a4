"""What becomes of model_list: who answers each name, and which entries [bedrock] is taken from. Pure.

A name that Anthropic answered is Anthropic's, and Bedrock's entries stand in for it. A name that Bedrock alone answered
becomes an alias of a model that only Bedrock is asked for. Whatever has credentials, guardrails or others of its own
stays with LiteLLM as it is, under a name that is free, and the old name becomes an alias of that.
"""

from collections.abc import Collection, Iterable, Mapping
from shlex import quote
from typing import Any

from claude_gatewayd.anthropic.request import routing_name
from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.bedrock.models import BEDROCK_SUFFIX
from claude_gatewayd.ctl.migrate import known_keys, references
from claude_gatewayd.ctl.migrate.document import YamlPath
from claude_gatewayd.ctl.migrate.draft import Draft
from claude_gatewayd.ctl.migrate.models import entries, providers
from claude_gatewayd.ctl.migrate.models.account import BedrockAccount
from claude_gatewayd.ctl.migrate.models.claims import Claims
from claude_gatewayd.ctl.migrate.models.entries import Entry
from claude_gatewayd.ctl.migrate.translation import BUILT_IN, CARRIED, CHANGED, UNKNOWN, YOURS


class ModelList:
    """The entries, and what the gateway calls each name of the file.

    *called* has the model that a name stands for now. *at_bedrock* has the model to name in [router.fallbacks] for one
    that Bedrock answers. *with_litellm* are the names that LiteLLM answers.
    """

    def __init__(self, draft: Draft, fallbacks: Iterable[tuple[str, str]]) -> None:
        self._draft = draft
        self._fallbacks = fallbacks  # a name, and another that stands in for it
        self._targets: frozenset[str] = frozenset()  # names that stand in for a Claude model
        self._groups: dict[str, list[Entry]] = {}
        self._of_anthropic: dict[str, Entry] = {}  # the first one of each name
        self._claims = Claims(draft)
        self.account = BedrockAccount(draft)
        self.called: dict[str, str] = {}
        self.at_bedrock: dict[str, str] = {}
        self.with_litellm: set[str] = set()

    @property
    def asks_anthropic(self) -> bool:
        """Return whether Anthropic answers any name of the file."""
        return bool(self._of_anthropic)

    @property
    def shares_names(self) -> bool:
        """Return whether LiteLLM chooses between several entries of a name."""
        return any(len(self._groups[name]) > 1 for name in self.with_litellm)

    @property
    def entries(self) -> list[Entry]:
        """Return all entries that could be read."""
        return [entry for group in self._groups.values() for entry in group]

    def names(self, variable: str) -> bool:
        """Return whether an entry that is left to LiteLLM names a variable."""
        return f"os.environ/{variable}'" in repr(self._draft.migrated.models)

    def report_assumed(self, profile: Any) -> None:
        """Report the roles that LiteLLM assumed by the AWS_PROFILE of the proxy: the service's environment has none."""
        own_keys = ("aws_access_key_id", "aws_web_identity_token")
        found = references.resolve(profile, self._draft.environ)
        for entry in self.entries:
            role = entry.params.get("aws_role_name")
            if found.value and role and entry.name in self.with_litellm and not entry.params.keys() & set(own_keys):
                explanation = (
                    f"export AWS_PROFILE={quote(str(found.value))}, then claude-gatewayctl install takes it over"
                )
                place = (*entry.place, "litellm_params", "aws_role_name")
                self._draft.note(place, YOURS, f"LiteLLM assumes it by AWS_PROFILE: {explanation}", "aws_role_name")

    def read(self, raw_entries: list[Any], credentials: Mapping[str, Any]) -> None:
        """Decide about all entries, and report each."""
        for index, raw in enumerate(raw_entries):
            entry = entries.read(index, raw, credentials, self._draft.environ)
            if isinstance(entry, Entry):
                self._groups.setdefault(entry.name, []).append(entry)
            else:
                self._draft.note(("model_list", index), entry.verdict, entry.explanation, entry.name)
        self._leave_out_marked()
        everyone = self.entries
        self.account.look(everyone)
        for entry in everyone:
            if entry.answered_by == "anthropic":
                self._of_anthropic.setdefault(entry.name, entry)
        self._targets = frozenset(
            target
            for name, target in self._fallbacks
            if name.startswith("claude-") or "*" in name or name in self._of_anthropic
        )
        for name, first in self._of_anthropic.items():
            self._to_anthropic(name, first)
        for entry in everyone:
            if entry.answered_by == "anthropic":
                self._anthropic_params(entry)
        standing_in = [entry for entry in everyone if entry.answered_by == "bedrock" and self._must_stand_in(entry)]
        others = [group for name, group in self._groups.items() if name not in self._of_anthropic]
        alone = {group[0].place: group[0] for group in others if len(group) == 1 and _is_for_lane(group[0])}
        # Those that stand in for Anthropic's models come first: only [bedrock] has an account for them.
        in_order = {entry.place: entry for entry in (*standing_in, *alone.values())}
        lane = {place for place, entry in in_order.items() if self._joins(entry, is_alone=place in alone)}
        for entry in standing_in:
            self._stand_in(entry, is_reported=entry.place in lane and entry.place in alone)
        for group in others:
            entry = group[0]
            if not (entry.place in lane and entry.place in alone and self._to_bedrock(entry)):
                self._to_litellm(entry.name, group)
        for name in self._of_anthropic:
            self._report_others(name, lane)
            self._stand_in_for_same_name(name)
        for key, there in self._claims.overrides.values():
            self._draft.migrated.values["bedrock.models", key] = there

    def _leave_out_marked(self) -> None:
        """Leave out names that differ from others by Claude Code's mark alone: requests are routed without it."""
        for name in [
            name for name in self._groups if name != routing_name(name) and routing_name(name) in self._groups
        ]:
            for entry in self._groups.pop(name):
                explanation = f"it is answered as {entry.asked} is: requests are routed without the mark"
                self._draft.note(entry.place, CHANGED, explanation, name)

    # -- Anthropic

    def _to_anthropic(self, name: str, first: Entry) -> None:
        draft = self._draft
        model = first.model.removeprefix("anthropic/")
        if "*" in name or "*" in model or first.asked == model:
            explanation = "every Claude model goes to Anthropic under the name requested"
            draft.note(first.place, BUILT_IN, explanation, name)
        else:
            draft.alias(name, model, first.place)
            draft.note(first.place, CARRIED, f'[aliases] {first.asked} = "{model}"', name)
        self.called[name] = name if "*" in name or "*" in model else model

    def _report_others(self, name: str, lane: Collection[YamlPath]) -> None:
        """Report the other entries of a name that Anthropic answers."""
        for entry in self._groups[name]:
            if entry is not self._of_anthropic[name]:
                then = ", and Bedrock when it cannot" if entry.place in lane else ": this one is not used"
                explanation = f"the proxy spread requests over its entries; here Anthropic is asked first{then}"
                self._draft.note(entry.place, CHANGED, explanation, name)

    def _anthropic_params(self, entry: Entry) -> None:
        draft = self._draft
        for key, value in entry.params.items():
            place = (*entry.place, "litellm_params", key)
            if key == "api_key":
                draft.note(place, CHANGED, known_keys.CALLERS_PAY, key)
            elif key == "api_base":
                self._base_url(place, value)
            elif "timeout" in key:
                draft.note(place, CHANGED, "here first_byte_timeout and response_timeout of [anthropic] count", key)
            elif key != "model":
                otherwise = "requests to Anthropic pass as they come: set it in the client"
                draft.note(place, *known_keys.effect_of(key, otherwise), key)

    def _base_url(self, place: YamlPath, value: Any) -> None:
        """Take over where Anthropic is reached, unless that would lead callers' credentials for Anthropic elsewhere."""
        is_itself = entries.is_anthropic_itself(value)
        if is_itself or not any(
            entries.is_anthropic_itself(entry.params.get("api_base"))
            for entry in self.entries
            if entry.answered_by == "anthropic"
        ):
            self._draft.value(place, "anthropic", "base_url", value, "api_base")
            return
        found = references.resolve(value, self._draft.environ)
        hint = f"claude-gatewayctl config set anthropic.base_url {found.value or found.unset}"
        explanation = (
            f"other entries ask Anthropic itself, with the callers' credentials: {hint} asks this server for all"
        )
        self._draft.note(place, YOURS, explanation, "api_base")

    # -- Bedrock

    def _joins(self, entry: Entry, *, is_alone: bool) -> bool:
        """Return whether [bedrock] is right for an entry; take over its values if it is the first."""
        if not entry.claude:
            return False
        differences = self.account.differences(entry)
        is_right = not differences and not entry.own
        if not is_right:
            if is_alone and not self._must_stand_in(entry):
                return False  # it stays with LiteLLM as it is
            self.account.report(entry, differences)
        self.account.take(entry, differences)
        return is_right

    def _must_stand_in(self, entry: Entry) -> bool:
        name = entry.name
        return name in self._targets or name.endswith(BEDROCK_SUFFIX) or name in self._of_anthropic

    def _stand_in(self, entry: Entry, *, is_reported: bool) -> None:
        is_new = entry.claude not in self._claims.overrides
        if entry.name in self.at_bedrock:
            return  # the first one of a name stands in
        if claimed := self._claims.claim(entry):
            self.at_bedrock[entry.name] = claimed
            if is_new and entry.claude in self._claims.overrides and not is_reported:
                explanation = f'[bedrock.models] {claimed} = "{entry.there}": where Bedrock stands in'
                self._draft.note(entry.place, CARRIED, explanation, entry.name)
        elif entry.there and bedrock_models.is_bedrock_only(entry.there) and entry.claude not in self._claims.overrides:
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
        claimed = self._claims.claim(entry)
        if not claimed:
            return False
        by_override = entry.claude in self._claims.overrides
        model = f"{claimed}{BEDROCK_SUFFIX}"
        said = f'[bedrock.models] {claimed} = "{entry.there}"' if by_override else ""
        if entry.asked in (entry.there, model):
            self.called[name] = entry.asked
            built_in = f"the gateway already maps it to {entry.there}"
            draft.note(entry.place, CARRIED if said else BUILT_IN, said or built_in, name)
        else:
            draft.alias(name, model, entry.place)
            self.called[name] = model
            alias = f'[aliases] {entry.asked} = "{model}"'
            both = f"{alias}, {said}" if said else alias
            draft.note(entry.place, CARRIED, f"{both}: Bedrock alone answers, as before", name)
        self.at_bedrock[name] = claimed
        return True

    # -- LiteLLM

    def _to_litellm(self, name: str, group: list[Entry]) -> None:
        """Leave a name to LiteLLM, with all that its entries have."""
        draft = self._draft
        own = group[0].asked
        if bedrock_models.is_reserved(name):
            if "*" in name or "bedrock/" in name:
                for entry in group:
                    explanation = f"{entry.model} cannot use this name, which the gateway reserves: rename it"
                    draft.note(entry.place, UNKNOWN, explanation, name)
                return
            first = group[0]
            own = f"litellm-{'bedrock-' * (first.stem != first.asked)}{first.stem}"
            draft.alias(name, own, group[0].place)
        self.called[name] = own
        self.with_litellm.add(name)
        for entry in group:
            given = {**providers.key_of(entry), **entry.params}
            params, rest = (references.for_litellm(each, draft.environ) for each in (given, entry.rest))
            draft.migrated.models.append({"model_name": own, "litellm_params": params, **rest})
            renamed = f', as [aliases] {entry.asked} = "{own}"' if own != entry.asked else ""
            if lacking := providers.without_route(entry.name, entry.model, entry.rest.get("model_info")):
                explanation = f"LiteLLM has it ({entry.model}), but the gateway has no route for {lacking}"
                draft.note(entry.place, CHANGED, explanation, name)
            else:
                draft.note(entry.place, CARRIED, f"LiteLLM still serves it ({entry.model}){renamed}", name)
            for key, value in given.items():
                for variable in references.unset(value, draft.environ):
                    explanation = f"{variable} is not set here: export it, then claude-gatewayctl install takes it over"
                    draft.note((*entry.place, "litellm_params", key), YOURS, explanation, key)


def _is_for_lane(entry: Entry) -> bool:
    return entry.answered_by == "bedrock" and bedrock_models.is_reserved(entry.name) and "*" not in entry.name
